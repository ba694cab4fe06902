"""The Dutch register: Basisprofiel v1 by number; Zoeken v2 (free of charge) by RSIN or name, then the
profile.

Shapes from the register's published API descriptions and answers recorded at its test service
(docs/registers.md).
"""

import re
from datetime import date, datetime

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
from koppel.company_registers.sectors.activities import Activity, sbi_scheme
from koppel.kit.http.client import HttpClient, Response

NOTHING_FOUND = ("IPD0005", "IPD5200")
"""Basisprofiel's and Zoeken's codes; the status is 404."""


class _City(msgspec.Struct):
    plaats: str | None = None


class _Address(msgspec.Struct):
    binnenlandsAdres: _City | None = None


class _Result(msgspec.Struct):
    kvkNummer: str
    naam: str | None = None
    adres: _Address | None = None
    actief: str = "Ja"


class _Results(msgspec.Struct):
    resultaten: list[_Result]


class _Registration(msgspec.Struct):
    datumEinde: str | None = None


class _Sbi(msgspec.Struct):
    sbiCode: str
    sbiOmschrijving: str = ""
    indHoofdactiviteit: str = ""


class _Profile(msgspec.Struct):
    kvkNummer: str
    naam: str = ""
    statutaireNaam: str | None = None
    materieleRegistratie: _Registration | None = None
    sbiActiviteiten: list[_Sbi] = []


class _Fault(msgspec.Struct):
    code: str


class _Faults(msgspec.Struct):
    fout: list[_Fault]


class Kvk:
    name = RegisterCode.KVK.value
    rate_limit = RegisterQuota(calls=20, seconds=1)
    """The register allows 100 a second for a key; other programs of the firm may use it too."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"apikey": key}

    def supports(self, query: RegisterQuery) -> bool:
        return query.country == "NL"

    async def look_up(self, http: HttpClient, query: RegisterQuery, today: date) -> RegisterResult:
        """Look the query up. Raises `RegisterUnavailable`."""
        if query.kind is QueryKind.NUMBER:
            return await self._profile(http, query.value, today)
        key = "rsin" if query.kind is QueryKind.RSIN else "naam"
        candidates = await self._search(http, {key: query.value, "resultatenPerPagina": "10"})
        if not candidates:
            return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
        if len(candidates) > 1 or query.kind is QueryKind.NAME:
            # A name is no proof: even the only hit is for a person to confirm.
            return RegisterResult(LookupOutcome.AMBIGUOUS, self.name, candidates=candidates)
        return await self._profile(http, candidates[0].number, today)

    async def _profile(self, http: HttpClient, number: str, today: date) -> RegisterResult:
        url = f"{self._url}/api/v1/basisprofielen/{number}"
        response = await request(http, "GET", url, headers=self._headers)
        if _is_not_found(response):
            return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
        profile = decode(response, _Profile)
        ended = profile.materieleRegistratie.datumEinde if profile.materieleRegistratie else None
        return RegisterResult(
            LookupOutcome.CLOSED if ended else LookupOutcome.FOUND,
            self.name,
            number=profile.kvkNummer,
            legal_name=" ".join((profile.statutaireNaam or profile.naam).split()),
            closed_on=_date(ended),
            activity=_main_activity(profile, today),
        )

    async def _search(self, http: HttpClient, params: dict[str, str]) -> list[CompanyCandidate]:
        """Return each company once, though its branches are results of their own."""
        response = await request(
            http, "GET", f"{self._url}/api/v2/zoeken", params=params, headers=self._headers
        )
        if _is_not_found(response):
            return []
        candidates: dict[str, CompanyCandidate] = {}
        for result in decode(response, _Results).resultaten:
            city = (
                result.adres.binnenlandsAdres.plaats if result.adres and result.adres.binnenlandsAdres else ""
            )
            candidate = CompanyCandidate(
                number=result.kvkNummer,
                name=" ".join((result.naam or "").split()),
                city=(city or "").strip(),
                is_closed=result.actief == "Nee",
            )
            candidates.setdefault(result.kvkNummer, candidate)
        return list(candidates.values())


def _is_not_found(response: Response) -> bool:
    """Return True for the register's own "not found" and False for a result. Raises `RegisterUnavailable` for
    other errors, such as the 404 of an address that moved.
    """
    if response.status == 200:
        return False
    try:
        codes = {fault.code for fault in msgspec.json.decode(response.body, type=_Faults).fout}
    except msgspec.DecodeError:
        codes = set()
    if response.status == 404 and codes & set(NOTHING_FOUND):
        return True
    raise RegisterUnavailable(f"status_{response.status}", 300)


def _main_activity(profile: _Profile, today: date) -> Activity | None:
    main = next(
        (activity for activity in profile.sbiActiviteiten if activity.indHoofdactiviteit == "Ja"), None
    )
    if main is None:
        return None
    code = re.sub(r"\D", "", main.sbiCode)
    return Activity(code=code, scheme=sbi_scheme(code, today), label=main.sbiOmschrijving.strip())


def _date(text: str | None) -> date | None:
    """Parse `YYYYMMDD`, in which unknown parts are zeros."""
    try:
        return datetime.strptime(text or "", "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None
