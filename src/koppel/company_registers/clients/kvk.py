"""The Dutch register: Basisprofiel v1 by number; Zoeken v2 (free of charge) by RSIN or name, then the profile.

Shapes from the register's published API descriptions and answers recorded at its test service (docs/registers.md).
"""

import re
from datetime import date, datetime

import msgspec

from koppel.company_registers.activities import Activity, sbi_scheme
from koppel.company_registers.clients.http import call, parse
from koppel.company_registers.protocol import Answer, Budget, Candidate, Kind, Outcome, Question, Unavailable
from koppel.kit.http import HttpClient, Response

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
    name = "kvk"
    budget = Budget(calls=20, seconds=1)
    """The register allows 100 a second for a key; other programs of the firm may use it too."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"apikey": key}

    def answers(self, question: Question) -> bool:
        return question.country == "NL"

    async def ask(self, http: HttpClient, question: Question, today: date) -> Answer:
        """Raises `Unavailable`."""
        if question.kind is Kind.NUMBER:
            return await self._profile(http, question.value, today)
        key = "rsin" if question.kind is Kind.RSIN else "naam"
        found = await self._search(http, {key: question.value, "resultatenPerPagina": "10"})
        if not found:
            return Answer(Outcome.NOT_FOUND, self.name)
        if len(found) > 1 or question.kind is Kind.NAME:
            # A name is no proof: even the only hit is for a person to confirm.
            return Answer(Outcome.AMBIGUOUS, self.name, candidates=found)
        return await self._profile(http, found[0].number, today)

    async def _profile(self, http: HttpClient, number: str, today: date) -> Answer:
        url = f"{self._url}/api/v1/basisprofielen/{number}"
        answer = await call(http, "GET", url, headers=self._headers)
        if _is_nothing(answer):
            return Answer(Outcome.NOT_FOUND, self.name)
        found = parse(answer, _Profile)
        ended = found.materieleRegistratie.datumEinde if found.materieleRegistratie else None
        return Answer(
            Outcome.CLOSED if ended else Outcome.FOUND,
            self.name,
            number=found.kvkNummer,
            legal_name=" ".join((found.statutaireNaam or found.naam).split()),
            closed_on=_date(ended),
            activity=_main_activity(found, today),
        )

    async def _search(self, http: HttpClient, params: dict[str, str]) -> list[Candidate]:
        """Each company once, though its branches are results of their own."""
        answer = await call(http, "GET", f"{self._url}/api/v2/zoeken", params=params, headers=self._headers)
        if _is_nothing(answer):
            return []
        found: dict[str, Candidate] = {}
        for one in parse(answer, _Results).resultaten:
            city = one.adres.binnenlandsAdres.plaats if one.adres and one.adres.binnenlandsAdres else ""
            candidate = Candidate(one.kvkNummer, " ".join((one.naam or "").split()), (city or "").strip())
            found.setdefault(one.kvkNummer, candidate)
        return list(found.values())


def _is_nothing(answer: Response) -> bool:
    """A 404 of the register itself; any other refusal, an address that moved for instance, says nothing."""
    if answer.status == 200:
        return False
    try:
        codes = {one.code for one in msgspec.json.decode(answer.body, type=_Faults).fout}
    except msgspec.DecodeError:
        codes = set()
    if answer.status == 404 and codes & set(NOTHING_FOUND):
        return True
    raise Unavailable(f"status_{answer.status}", 300)


def _main_activity(found: _Profile, today: date) -> Activity | None:
    main = next((one for one in found.sbiActiviteiten if one.indHoofdactiviteit == "Ja"), None)
    if main is None:
        return None
    code = re.sub(r"\D", "", main.sbiCode)
    return Activity(code, sbi_scheme(code, today), main.sbiOmschrijving.strip())


def _date(text: str | None) -> date | None:
    """`YYYYMMDD`; parts that are not known are zeros."""
    try:
        return datetime.strptime(text or "", "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None
