"""Sessions: the clients with which a connector calls the vendor. A session enforces the scope of its consent.

A `DiscoverySession` lists and describes companies, and refuses every other address. A `ReadingSession` reads
books: it is made from an imported administration, and refuses another company's id and another company's
token. Nothing else in Koppel carries a token.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_noop as _

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.hooks import find_imported_company
from koppel.connections.models import AppRegistration, ConnectionState, GrantReason
from koppel.connections.rate_limits import QuotaKey, RateLimitedHttp
from koppel.connections.sessions.consent_scope import audit_call_outside_consent
from koppel.connections.sessions.runtime import Runtime
from koppel.connections.vendor_http import CREDENTIAL_COLUMNS, OriginRestrictedHttp, base_urls_of
from koppel.connector.contract import Company, Connector
from koppel.connector.errors import ConsentLost, NotConsented, SetupMissing, Unreachable
from koppel.connector.registry import connector
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.kit.database.threads import run_in_thread
from koppel.kit.encryption import Secret
from koppel.kit.http.client import Response
from koppel.kit.web.sentences import stored_sentence

_SQL = load_statements("koppel.connections")
OK, UNAUTHORISED = 200, 401
REFUSED = _("The accounting system refuses access to this company, even with a new token.")
OUTSIDE_CONSENT = _("Koppel does not make this call: it is outside of what was imported.")
OTHER_COMPANY_REACHED = _("The consent reaches another company than %(name)s: nothing was read.")
NOT_IMPORTED = _("This company was not imported here, so it cannot be read.")
NOT_IN_CONSENT = _("%(name)s is not within the consent that it was imported with.")
CONNECTION_REMOVED = _("The connection of this administration was removed.")
SERVER_ERROR = _("%(host)s answers with an error (%(status)s).")
REPLACED = _("A newer sign-in now covers this company. Koppel continues with that one.")

_Call = tuple[Sequence[str], ...]
"""Method, address, parameters and headers."""


@dataclass(frozen=True)
class SessionTarget:
    """The grant that a session uses."""

    organisation_id: int
    connection_id: int
    grant_id: int
    company_id: str
    """Set when the grant reaches one company only."""
    remote_company_id: int | None = None
    """Set when the session is for one company."""
    is_pending_transfer: bool = False
    """Whether no company uses the grant yet, so that none is affected when it is lost."""


class AuthorizedSession:
    """The contract's `Session`. It refreshes a refused token once; a second refusal is about the company.

    When one session finds a consent withdrawn, the others of the process do not call with its token
    (`token_probe`).
    """

    def __init__(
        self, runtime: Runtime, target: SessionTarget, app: AppRegistration, company: Company | None
    ) -> None:
        self.base_urls: Mapping[str, str] = base_urls_of(app)
        self.consent_mode = app.consent_mode
        self.company = company
        self.target = target
        self._vault, self._health, self._connector = runtime.vault, runtime.health, connector(app.connector)
        self._token_probe = runtime.token_probe
        http = OriginRestrictedHttp(runtime.http, self.base_urls)
        # The vendor does not count calls that list companies, but may ask for a pause.
        quota = (
            QuotaKey.for_company(app.pk, company.external_id)
            if company
            else QuotaKey.for_listing(app.pk, target.grant_id)
        )
        self._http = RateLimitedHttp(
            http, runtime.rate_limiter, self._connector, quota, target.organisation_id
        )
        self._checked_token: Secret | None = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call the vendor with the access token.

        Raises `NotConsented`, after an audit entry, for a call outside of the session's scope.
        """
        if reason := self._refusal_reason(method, url, headers or {}):
            await self._audit_refusal(reason)
            raise NotConsented("outside_consent", OUTSIDE_CONSENT)
        response = await self._send_once(method, url, params, headers or {})
        if response is None:
            return await self._send_after_refresh(method, url, params, headers or {})
        return response

    async def _send_once(
        self, method: str, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Response | None:
        """Call the vendor with the current token. Returns None when it refused a token that is now replaced.

        Raises `SetupMissing` when it refused a token that a refresh does not replace.
        """
        async with self._token_probe.permit(self.target.grant_id) as permit:
            token = await self._access_token()
            sent = {**headers, "Authorization": f"Bearer {token.reveal()}"}
            response = await self._call_vendor(method, url, params, sent)
            if response.status != UNAUTHORISED:
                permit.trust_token()
                return response
            await permit.record_unauthorized()
            if await self._access_token(refused_token=token) == token:
                permit.trust_token()
                raise SetupMissing("unauthorised", REFUSED)
        return None

    async def _send_after_refresh(
        self, method: str, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Response:
        """Call again with the refreshed token. Raises `SetupMissing` when the vendor refuses that one too."""
        response = await self._send_once(method, url, params, headers)
        if response is None:
            raise SetupMissing("unauthorised", REFUSED)
        return response

    async def _call_vendor(
        self, method: str, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Response:
        """Send the call and return the response, whatever its status. Reports to the connection's health."""
        try:
            response = await self._http.send(method, url, params=params, headers=headers)
        except Unreachable as unreachable:
            await self._record_failure(unreachable.sentence, connection_wide=False)
            raise
        if is_server_error(response):
            host = urlsplit(url).hostname or ""
            sentence = stored_sentence(SERVER_ERROR, host=host, status=response.status)
            await self._record_failure(sentence, connection_wide=False)
        else:
            target = self.target
            await self._health.record_success(
                target.organisation_id, target.connection_id, target.remote_company_id
            )
        return response

    async def _record_failure(self, message: str, *, connection_wide: bool) -> None:
        target = self.target
        await self._health.record_failure(
            target.organisation_id,
            target.connection_id,
            target.remote_company_id,
            message,
            connection_wide=connection_wide,
        )

    def _refusal_reason(self, method: str, url: str, headers: Mapping[str, str]) -> str:
        """Return the stable code of why this call is refused; '' when it is allowed."""
        return "other_company" if names_other_company(self._connector, self.company, headers) else ""

    async def _access_token(self, refused_token: Secret | None = None) -> Secret:
        """Return an access token. Whenever the vault returns a new one, checks that it reaches the grant's
        own company.
        """
        target = self.target
        try:
            token = await self._vault.get_access_token(target.organisation_id, target.grant_id, refused_token)
        except Unreachable as unreachable:
            await self._record_failure(unreachable.sentence, connection_wide=True)
            raise
        except ConsentLost as lost:
            if lost.code == GrantReason.SUPERSEDED:
                raise Unreachable("consent_replaced", REPLACED, retry_after_seconds=1) from None
            if not target.is_pending_transfer:
                await self._health.record_consent_lost(
                    target.organisation_id, target.connection_id, lost.sentence
                )
            raise
        if token != self._checked_token:
            reached = self._connector.company_of(token) if self.target.company_id else None
            if reached not in (None, self.target.company_id):
                await self._audit_refusal("other_company")
                name = self.company.name if self.company else ""
                raise NotConsented("other_company", OTHER_COMPANY_REACHED, name=name)
            self._checked_token = token
        return token

    async def _audit_refusal(self, reason: str) -> None:
        name = self.company.name if self.company else ""
        subject = Subject(SubjectKind.CONNECTION, self.target.connection_id, name)
        await run_in_thread(lambda: audit_call_outside_consent(self.target.organisation_id, subject, reason))


class DiscoverySession(AuthorizedSession):
    """Lists and describes companies, also those that are not imported. It refuses every other call, so it
    reads no books.
    """

    def _refusal_reason(self, method: str, url: str, headers: Mapping[str, str]) -> str:
        path = urlsplit(url).path
        if method != "GET" or not path.endswith(self._connector.descriptor.identity_paths):
            return "not_imported"
        return super()._refusal_reason(method, url, headers)


class ReadingSession(AuthorizedSession):
    """Reads the books of one company. `prefetched` is the company's description as it was last stored."""

    def __init__(
        self,
        runtime: Runtime,
        target: SessionTarget,
        app: AppRegistration,
        company: Company,
        prefetched: Mapping[str, Any],
    ) -> None:
        super().__init__(runtime, target, app, company)
        self.prefetched = prefetched
        self._recording: dict[_Call, Response] | None = None
        self._prefetched_responses: dict[_Call, Response] = {}

    @contextlib.contextmanager
    def prefetching(self) -> Iterator[None]:
        """Record the vendor's responses to the calls in this block; the first repetition of each call gets
        the recorded response.

        Describing a company and reading its details are often the same call, and a company has few calls.
        """
        self._recording = {}
        try:
            yield
        finally:
            self._prefetched_responses, self._recording = self._recording, None

    async def _call_vendor(
        self, method: str, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Response:
        headers_without_token = (
            (name, value) for name, value in sorted(headers.items()) if name != "Authorization"
        )
        call = (method, url, *sorted((params or {}).items()), *headers_without_token)
        if call in self._prefetched_responses:
            return self._prefetched_responses.pop(call)
        response = await super()._call_vendor(method, url, params, headers)
        if self._recording is not None and method == "GET" and response.status == OK:
            self._recording[call] = response
        return response


def is_server_error(response: Response) -> bool:
    """Return whether the response is a server error, or an HTML page where data should be."""
    is_page = response.headers.get("content-type", "").startswith("text/html")
    return response.status >= 500 or (response.status == 200 and is_page)


def names_other_company(connector: Connector, company: Company | None, headers: Mapping[str, str]) -> bool:
    """Return whether the headers name a company other than the session's own."""
    naming = connector.descriptor.company_header
    if naming is None:
        return False
    header, key = naming
    named = next((value for name, value in headers.items() if name.lower() == header), None)
    return named is not None and (company is None or named != company.routing.get(key, company.external_id))


DESCRIPTION_COLUMNS = (
    "legal_name",
    "number",
    "vat_number",
    "country",
    "base_currency",
    "industry_code",
    "branches",
    "unreachable_code",
    "described_at",
    "confirmed_name",
    "confirmed_number",
    "conflict_detected_at",
)
READ_COMPANY_SQL = _SQL["read_session_company"].format(described_columns=", ".join(DESCRIPTION_COLUMNS))


async def listing_session(runtime: Runtime, organisation_id: int, grant_id: int) -> DiscoverySession:
    """Return a session for `list_companies`. One for a grant of one company names that company. Raises
    `LookupError`.
    """
    async with runtime.database.tenant_transaction(organisation_id) as database_connection:
        app, target = await _session_target(database_connection, organisation_id, grant_id)
    company = Company(target.company_id, "") if target.company_id else None
    return DiscoverySession(runtime, target, app, company)


async def describing_session(
    runtime: Runtime, organisation_id: int, remote_company_id: int
) -> DiscoverySession:
    """Return a session for `describe_company`, of an imported company or not. Raises `LookupError`."""
    async with runtime.database.tenant_transaction(organisation_id) as database_connection:
        remote = await _load_company(database_connection, remote_company_id)
        if remote is None:
            raise LookupError(f"remote company {remote_company_id}")
        app, target = await _session_target(
            database_connection, organisation_id, remote.grant_id, remote_company_id
        )
    return DiscoverySession(runtime, target, app, remote.company)


async def reading_session(runtime: Runtime, organisation_id: int, administration_id: int) -> ReadingSession:
    """Return a session for the books of one administration, through the connection that it was imported with.

    Raises `NotConsented`, after an audit entry, when this organisation has no such import.
    """
    app = target = None
    async with runtime.database.tenant_transaction(organisation_id) as database_connection:
        imported = await find_imported_company(database_connection, administration_id)
        remote = await _load_company(database_connection, imported.remote_company_id) if imported else None
        if imported and remote:
            with contextlib.suppress(LookupError):
                app, target = await _session_target(
                    database_connection, organisation_id, remote.grant_id, imported.remote_company_id
                )
    if imported is None or remote is None or remote.connection_id != imported.connection_id:
        await _audit_import_refusal(organisation_id, administration_id, "not_imported")
        raise NotConsented("outside_consent", NOT_IMPORTED)
    if app is None or target is None:
        raise NotConsented("connection_removed", CONNECTION_REMOVED)
    company = remote.company
    if target.connection_id != imported.connection_id or target.company_id not in ("", company.external_id):
        await _audit_import_refusal(organisation_id, administration_id, "other_company")
        raise NotConsented("outside_consent", NOT_IN_CONSENT, name=company.name)
    return ReadingSession(runtime, target, app, company, remote.prefetched)


async def _audit_import_refusal(organisation_id: int, administration_id: int, reason: str) -> None:
    await run_in_thread(
        lambda: audit_call_outside_consent(
            organisation_id, Subject(SubjectKind.ADMINISTRATION, administration_id), reason
        )
    )


@dataclass(frozen=True)
class _StoredCompany:
    grant_id: int
    connection_id: int
    company: Company
    prefetched: Mapping[str, Any]


async def _load_company(
    database_connection: DatabaseConnection, remote_company_id: int
) -> _StoredCompany | None:
    """Return the company, None when the scope's organisation does not have it."""
    cursor = await database_connection.execute(READ_COMPANY_SQL, {"remote_company_id": remote_company_id})
    row = await cursor.fetchone()
    return (
        _StoredCompany(
            row[0], row[1], Company(*row[2:6]), dict(zip(DESCRIPTION_COLUMNS, row[6:], strict=True))
        )
        if row
        else None
    )


async def _session_target(
    database_connection: DatabaseConnection,
    organisation_id: int,
    grant_id: int,
    remote_company_id: int | None = None,
) -> tuple[AppRegistration, SessionTarget]:
    cursor = await database_connection.execute(
        _SQL["read_session_grant"], {"grant_id": grant_id, "removed": ConnectionState.REMOVED.value}
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"grant {grant_id}")
    connection_id, company_id, is_pending_transfer, *app = row
    target = SessionTarget(
        organisation_id, connection_id, grant_id, str(company_id), remote_company_id, is_pending_transfer
    )
    return AppRegistration(**dict(zip(CREDENTIAL_COLUMNS, app, strict=True))), target
