"""The connector contract, implemented for Visma.net; most methods delegate to a module."""

from collections.abc import Mapping, Sequence

import msgspec
from django.utils.translation import gettext_noop as _

from koppel.connector.contract import (
    AppCredentials,
    Company,
    CompanyDescription,
    Consent,
    ConsentRequest,
    DeleteMode,
    Descriptor,
    HistoryWindow,
    Http,
    Page,
    RateLimitStatus,
    ReadMode,
    Redirect,
    ResourceSpec,
    Session,
    Tokens,
)
from koppel.connector.errors import NotConsented, SetupMissing
from koppel.connector.rows import Row
from koppel.connectors.visma_net import consent, journal_data, master_data, normalise
from koppel.connectors.visma_net.client import get, parse, require_success
from koppel.connectors.visma_net.cursors import ChangesRead, decode_cursor
from koppel.connectors.visma_net.descriptor import COMPANY_LIST, DESCRIPTOR, SERVICE
from koppel.connectors.visma_net.periods import read_periods
from koppel.connectors.visma_net.rate_limits import stated_rate_limits
from koppel.kit.clock import now
from koppel.kit.database.text import clean_text
from koppel.kit.encryption import Secret
from koppel.kit.http.client import Response

ORDER = (
    "company_details",
    "periods",
    "accounts",
    "vat_codes",
    "journals",
    "cost_codes",
    "projects",
    "contacts",
    "payment_terms",
    "balances",
    "entries",
)
WITH_CHANGES = (*master_data.WITH_CHANGES, *journal_data.ENDPOINTS)
"""Resources that support `lastModifiedDateTime` and are long enough to need it; the others are compared
whole.
"""


class _Context(msgspec.Struct):
    id: int
    name: str
    type: str = ""


class _Unit(msgspec.Struct):
    number: str = ""
    name: str = ""


class _Organization(normalise.Organization):
    organizationCd: str = ""
    branches: list[_Unit] = []


class VismaNet:
    """Stateless; one instance serves all organisations."""

    @property
    def descriptor(self) -> Descriptor:
        return DESCRIPTOR

    def begin_consent(self, app: AppCredentials, request: ConsentRequest) -> Redirect:
        return consent.begin(app, request)

    async def complete_consent(
        self,
        http: Http,
        app: AppCredentials,
        request: ConsentRequest,
        authorisation_response: Mapping[str, str],
    ) -> Consent:
        return await consent.complete(http, app, request, authorisation_response)

    async def refresh(self, http: Http, app: AppCredentials, refresh_token: Secret) -> Tokens:
        return await consent.refresh(http, app, refresh_token)

    async def service_token(self, http: Http, app: AppCredentials, company_id: str) -> Tokens:
        return await consent.service_token(http, app, company_id)

    async def check_app(self, http: Http, app: AppCredentials, redirect_uri: str) -> None:
        await consent.check(http, app, redirect_uri)

    async def revoke(self, http: Http, app: AppCredentials, token: Secret) -> None:
        await consent.revoke(http, app, token)

    def company_of(self, access_token: Secret) -> str | None:
        return consent.company_of(access_token)

    async def list_companies(self, session: Session) -> Sequence[Company]:
        """Return the companies that the consent reaches.

        In company-list mode, those of the deprecated context endpoint; otherwise the one company of the
        token.
        """
        if session.consent_mode == COMPANY_LIST:
            url = f"{session.base_urls['legacy']}/API/resources/v1/context"
            contexts: list[_Context] = await parse(
                require_success(await session.send("GET", url)), list[_Context]
            )
            return [
                Company(
                    external_id=str(context.id),
                    name=clean_text(context.name),
                    code=str(context.id),
                    routing={"id": str(context.id)},
                )
                for context in contexts
            ]
        if session.company is None:
            return []
        description = await self.describe_company(session)
        return [Company(session.company.external_id, description.name)]

    async def describe_company(self, session: Session) -> CompanyDescription:
        """Return the identity of the company from `GET /v1/organization`.

        If there are several organisations, the first stands for the company; `branches` lists all. The old
        gateway returns an empty response for a company that the user cannot reach.
        """
        try:
            body = await get(session, "/v1/organization")
        except SetupMissing as error:
            # The API refuses a customer tenant's token with 401 (docs.vismasoftware.no, fix401error), unlike
            # a company's.
            if error.code == "unauthorised" and session.consent_mode == SERVICE:
                raise SetupMissing("customer_tenant", consent.CUSTOMER_TENANT) from None
            raise
        organizations: list[_Organization] = await parse(body, list[_Organization])
        if not organizations:
            raise NotConsented("no_company", _("Visma.net shows no data of this company to this user."))
        first = organizations[0]
        branches = [
            (clean_text(branch.number), clean_text(branch.name), None)
            for organization in organizations
            for branch in organization.branches
        ]
        branch_organisations = [
            (
                clean_text(organization.organizationCd),
                clean_text(organization.name),
                _cleaned(organization.corporateId),
            )
            for organization in organizations[1:]
        ]
        return CompanyDescription(
            name=clean_text(first.name),
            number=clean_text(first.corporateId or "") or None,
            vat_number=clean_text(first.vatRegistrationId or "") or None,
            country=_cleaned(first.defaultCountry.code if first.defaultCountry else None),
            base_currency=_cleaned(first.baseCurrency),
            industry_code=_cleaned(first.industryCode.code if first.industryCode else None),
            branches=tuple(branches + branch_organisations)
            if len(branches) + len(branch_organisations) > 1
            else (),
        )

    async def list_resources(self, session: Session) -> Sequence[ResourceSpec]:
        """Return all resources.

        They belong to the general ledger, which every company has. A resource that the licence lacks is only
        detected when it is read.
        """
        return [
            ResourceSpec(
                key=key,
                read_modes=(
                    ReadMode.MODIFIED_SINCE if key in WITH_CHANGES else ReadMode.COMPARED,
                    ReadMode.FULL,
                ),
                delete_mode=DeleteMode.BY_ABSENCE,
            )
            for key in ORDER
        ]

    async def read_page(
        self, session: Session, resource: str, mode: ReadMode, window: HistoryWindow, cursor: str | None
    ) -> Page:
        read_cursor = decode_cursor(cursor, mode, now())
        if resource not in journal_data.ENDPOINTS:
            return await master_data.read(session, resource, read_cursor)
        if not isinstance(read_cursor, ChangesRead) and not read_cursor.names:
            names = tuple(await read_periods(session, window))
            read_cursor = msgspec.structs.replace(read_cursor, names=names, oldest=names[0] if names else "")
        return await journal_data.read(session, resource, read_cursor)

    def rate_limits(self, response: Response) -> Sequence[RateLimitStatus]:
        return stated_rate_limits(response.headers)

    @property
    def normalisation_versions(self) -> Mapping[str, int]:
        return normalise.VERSIONS

    def normalise(self, resource: str, raw: bytes, parent: str = "") -> Row:
        """Map a record to a row. Raises `ValueError` (the base of msgspec's errors) with a reason."""
        if resource == "entry_lines":
            return normalise.entry_line(raw, parent)
        return normalise.NORMALISERS[resource](raw)


def _cleaned(text: str | None) -> str | None:
    return None if text is None else clean_text(text)
