"""Finland's YTJ, open data v3 of PRH: without a key; the hyphen in the number is required; 429 for too many
requests.
"""

from datetime import date

import msgspec

from koppel.company_registers.clients.protocol import (
    CompanyCandidate,
    LookupOutcome,
    QueryKind,
    RegisterCode,
    RegisterQuery,
    RegisterQuota,
    RegisterResult,
    RegisterUnavailable,
)
from koppel.company_registers.clients.register_call import decode, request
from koppel.company_registers.sectors.activities import Activity, national_scheme
from koppel.kit.http.client import HttpClient

OFFICIAL_NAME = "1"
ENGLISH = "3"


class _Id(msgspec.Struct):
    value: str


class _Name(msgspec.Struct):
    name: str
    type: str = ""
    endDate: date | None = None


class _Description(msgspec.Struct):
    languageCode: str = ""
    description: str = ""


class _Line(msgspec.Struct):
    type: str
    descriptions: list[_Description] = []


class _Company(msgspec.Struct):
    businessId: _Id
    names: list[_Name] = []
    mainBusinessLine: _Line | None = None
    endDate: date | None = None


class _Companies(msgspec.Struct):
    companies: list[_Company] = []


class Prh:
    name = RegisterCode.PRH.value
    rate_limit = RegisterQuota(calls=240, seconds=60)
    """300 a minute are reported, not published."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/opendata-ytj-api/v3/companies"

    def supports(self, query: RegisterQuery) -> bool:
        return query.country == "FI" and query.kind is not QueryKind.RSIN

    async def look_up(self, http: HttpClient, query: RegisterQuery, today: date) -> RegisterResult:
        """Look the query up. Raises `RegisterUnavailable`."""
        key = "name" if query.kind is QueryKind.NAME else "businessId"
        response = await request(http, "GET", self._url, params={key: query.value})
        if response.status == 404:
            return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
        if response.status != 200:
            raise RegisterUnavailable(f"status_{response.status}", 300)
        companies = decode(response, _Companies).companies
        if not companies:
            return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
        if query.kind is QueryKind.NAME:
            candidates = [
                CompanyCandidate(
                    number=company.businessId.value,
                    name=_official_name(company),
                    is_closed=company.endDate is not None,
                )
                for company in companies[:10]
            ]
            return RegisterResult(LookupOutcome.AMBIGUOUS, self.name, candidates=candidates)
        return self._to_result(companies[0])

    def _to_result(self, company: _Company) -> RegisterResult:
        line = company.mainBusinessLine
        return RegisterResult(
            LookupOutcome.CLOSED if company.endDate else LookupOutcome.FOUND,
            self.name,
            number=company.businessId.value,
            legal_name=_official_name(company),
            closed_on=company.endDate,
            activity=Activity(
                code=line.type, scheme=national_scheme("FI", line.type), label=_description(line)
            )
            if line
            else None,
        )


def _official_name(company: _Company) -> str:
    """Return the name in use, not auxiliary, parallel and earlier ones."""
    now = [name.name for name in company.names if name.type == OFFICIAL_NAME and name.endDate is None]
    return (now or [name.name for name in company.names] or [""])[0].strip()


def _description(line: _Line) -> str:
    return next(
        (description.description for description in line.descriptions if description.languageCode == ENGLISH),
        "",
    )
