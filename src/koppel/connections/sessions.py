"""Sessions: what a connector gets to call the vendor with. One is made for one grant and, except while listing, one company."""

from collections.abc import Mapping
from dataclasses import dataclass

from koppel.connections.models import AppRegistration
from koppel.connections.outbound import PlainHttp
from koppel.connections.sealing import addresses
from koppel.connections.vault import Vault
from koppel.connector.contract import Company
from koppel.connector.errors import SetupMissing
from koppel.kit.database import Database
from koppel.kit.http import HttpClient, Response

UNAUTHORISED = 401


@dataclass(frozen=True)
class Runtime:
    """What async work shares within a process."""

    database: Database
    http: HttpClient
    vault: Vault


class BoundSession:
    """The contract's `Session`. A token that is refused is renewed once; a second refusal is the company's matter."""

    def __init__(
        self, runtime: Runtime, organisation_id: int, grant_id: int, app: AppRegistration, company: Company | None
    ) -> None:
        self.addresses: Mapping[str, str] = addresses(app)
        self.consent_mode = app.consent_mode
        self.company = company
        self._vault, self._grant = runtime.vault, (organisation_id, grant_id)
        self._http = PlainHttp(runtime.http, self.addresses)

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        token = await self._vault.access_token(*self._grant)
        for last in (False, True):
            sent = {**(headers or {}), "Authorization": f"Bearer {token.reveal()}"}
            answer = await self._http.send(method, url, params=params, headers=sent)
            if answer.status != UNAUTHORISED:
                return answer
            if not last:
                token = await self._vault.access_token(*self._grant, refused=token)
        raise SetupMissing("unauthorised", "The accounting system refuses this company with a fresh token.")


_GRANT = """
SELECT g.company_id, a.id, a.connector, a.environment, a.consent_mode, a.client_id, a.client_secret, a.addresses
  FROM connections_grant g
  JOIN connections_connection c ON c.id = g.connection_id AND c.organisation_id = g.organisation_id
  JOIN connections_app_registration a ON a.id = c.app_id
 WHERE g.id = %s
"""


async def listing_session(runtime: Runtime, organisation_id: int, grant_id: int) -> BoundSession:
    """For `list_companies`. A grant for one company carries that company. Raises `LookupError`."""
    app, company_id = await _app_of(runtime, organisation_id, grant_id)
    company = Company(company_id, "") if company_id else None
    return BoundSession(runtime, organisation_id, grant_id, app, company)


async def company_session(runtime: Runtime, organisation_id: int, remote_company_id: int) -> BoundSession:
    """For one company. The caller has proved that it may be read or described. Raises `LookupError`."""
    async with runtime.database.scoped(organisation_id) as connection:
        found = await connection.execute(
            "SELECT grant_id, external_id, name, code, routing FROM connections_remote_company WHERE id = %s",
            [remote_company_id],
        )
        row = await found.fetchone()
    if row is None:
        raise LookupError(f"remote company {remote_company_id}")
    app, _company_id = await _app_of(runtime, organisation_id, row[0])
    return BoundSession(runtime, organisation_id, row[0], app, Company(row[1], row[2], row[3], row[4]))


async def _app_of(runtime: Runtime, organisation_id: int, grant_id: int) -> tuple[AppRegistration, str]:
    async with runtime.database.scoped(organisation_id) as connection:
        found = await connection.execute(_GRANT, [grant_id])
        row = await found.fetchone()
    if row is None:
        raise LookupError(f"grant {grant_id}")
    company_id, *app = row
    names = ("id", "connector", "environment", "consent_mode", "client_id", "client_secret", "addresses")
    return AppRegistration(**dict(zip(names, app, strict=True))), str(company_id)
