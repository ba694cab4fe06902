"""Norway's Enhetsregisteret: open, without a key. A deleted company answers 200, a removed one 410 (docs/registers.md)."""

from datetime import date

import msgspec

from koppel.company_registers.activities import Activity, national_scheme
from koppel.company_registers.clients.http import call, parse
from koppel.company_registers.protocol import Answer, Budget, Candidate, Kind, Outcome, Question, Unavailable
from koppel.kit.http import HttpClient


class _Code(msgspec.Struct):
    kode: str
    beskrivelse: str = ""


class _Place(msgspec.Struct):
    poststed: str = ""


class _Unit(msgspec.Struct):
    organisasjonsnummer: str
    navn: str = ""
    naeringskode1: _Code | None = None
    forretningsadresse: _Place | None = None
    slettedato: date | None = None


class _Units(msgspec.Struct):
    enheter: list[_Unit] = []


class _Page(msgspec.Struct):
    embedded: _Units = msgspec.field(default_factory=_Units, name="_embedded")


class Brreg:
    name = "brreg"
    budget = Budget(calls=10, seconds=1)
    """No limit is published; this is what a polite neighbour asks."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/enhetsregisteret/api/enheter"

    def answers(self, question: Question) -> bool:
        return question.country == "NO" and question.kind is not Kind.RSIN

    async def ask(self, http: HttpClient, question: Question, today: date) -> Answer:
        """Raises `Unavailable`."""
        if question.kind is Kind.NAME:
            return await self._search(http, question.value)
        answer = await call(http, "GET", f"{self._url}/{question.value}")
        if answer.status == 404:
            return Answer(Outcome.NOT_FOUND, self.name)
        if answer.status == 410:
            return Answer(Outcome.CLOSED, self.name, number=question.value)
        if answer.status != 200:
            raise Unavailable(f"status_{answer.status}", 300)
        return self._answer(parse(answer, _Unit))

    async def _search(self, http: HttpClient, name: str) -> Answer:
        answer = await call(http, "GET", self._url, params={"navn": name, "size": "10"})
        if answer.status != 200:
            raise Unavailable(f"status_{answer.status}", 300)
        found = parse(answer, _Page).embedded.enheter
        places = [one.forretningsadresse.poststed if one.forretningsadresse else "" for one in found]
        candidates = [
            Candidate(one.organisasjonsnummer, one.navn, place) for one, place in zip(found, places, strict=True)
        ]
        return Answer(Outcome.AMBIGUOUS if found else Outcome.NOT_FOUND, self.name, candidates=candidates)

    def _answer(self, unit: _Unit) -> Answer:
        code = unit.naeringskode1
        activity = Activity(code.kode, national_scheme("NO", code.kode), code.beskrivelse) if code else None
        return Answer(
            Outcome.CLOSED if unit.slettedato else Outcome.FOUND,
            self.name,
            number=unit.organisasjonsnummer,
            legal_name=unit.navn.strip(),
            closed_on=unit.slettedato,
            activity=activity,
        )
