"""Norway's Enhetsregisteret: open, without a key. A deleted company answers 200, a removed one 410
(docs/registers.md).
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


class _Code(msgspec.Struct):
    kode: str
    beskrivelse: str = ""


class _Address(msgspec.Struct):
    poststed: str = ""


class _Unit(msgspec.Struct):
    organisasjonsnummer: str
    navn: str = ""
    naeringskode1: _Code | None = None
    forretningsadresse: _Address | None = None
    slettedato: date | None = None


class _Units(msgspec.Struct):
    enheter: list[_Unit] = []


class _Page(msgspec.Struct):
    embedded: _Units = msgspec.field(default_factory=_Units, name="_embedded")


class Brreg:
    name = RegisterCode.BRREG.value
    rate_limit = RegisterQuota(calls=10, seconds=1)
    """No limit is published; this is a considerate one."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/enhetsregisteret/api/enheter"

    def supports(self, query: RegisterQuery) -> bool:
        return query.country == "NO" and query.kind is not QueryKind.RSIN

    async def look_up(self, http: HttpClient, query: RegisterQuery, today: date) -> RegisterResult:
        """Look the query up. Raises `RegisterUnavailable`."""
        if query.kind is QueryKind.NAME:
            return await self._search(http, query.value)
        response = await request(http, "GET", f"{self._url}/{query.value}")
        if response.status == 404:
            return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
        if response.status == 410:
            return RegisterResult(LookupOutcome.CLOSED, self.name, number=query.value)
        if response.status != 200:
            raise RegisterUnavailable(f"status_{response.status}", 300)
        return self._to_result(decode(response, _Unit))

    async def _search(self, http: HttpClient, name: str) -> RegisterResult:
        response = await request(http, "GET", self._url, params={"navn": name, "size": "10"})
        if response.status != 200:
            raise RegisterUnavailable(f"status_{response.status}", 300)
        units = decode(response, _Page).embedded.enheter
        cities = [unit.forretningsadresse.poststed if unit.forretningsadresse else "" for unit in units]
        candidates = [
            CompanyCandidate(
                number=unit.organisasjonsnummer,
                name=unit.navn,
                city=city,
                is_closed=unit.slettedato is not None,
            )
            for unit, city in zip(units, cities, strict=True)
        ]
        return RegisterResult(
            LookupOutcome.AMBIGUOUS if units else LookupOutcome.NOT_FOUND, self.name, candidates=candidates
        )

    def _to_result(self, unit: _Unit) -> RegisterResult:
        code = unit.naeringskode1
        activity = (
            Activity(code=code.kode, scheme=national_scheme("NO", code.kode), label=code.beskrivelse)
            if code
            else None
        )
        return RegisterResult(
            LookupOutcome.CLOSED if unit.slettedato else LookupOutcome.FOUND,
            self.name,
            number=unit.organisasjonsnummer,
            legal_name=unit.navn.strip(),
            closed_on=unit.slettedato,
            activity=activity,
        )
