"""Finland's YTJ, open data v3 of PRH: without a key; the hyphen in the number is required; 429 when asked too fast."""

from datetime import date

import msgspec

from koppel.company_registers.activities import Activity, national_scheme
from koppel.company_registers.clients.http import call, parse
from koppel.company_registers.protocol import Answer, Budget, Candidate, Kind, Outcome, Question, Unavailable
from koppel.kit.http import HttpClient

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
    name = "prh"
    budget = Budget(calls=240, seconds=60)
    """300 a minute are reported, not published."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/opendata-ytj-api/v3/companies"

    def answers(self, question: Question) -> bool:
        return question.country == "FI" and question.kind is not Kind.RSIN

    async def ask(self, http: HttpClient, question: Question, today: date) -> Answer:
        """Raises `Unavailable`."""
        key = "name" if question.kind is Kind.NAME else "businessId"
        answer = await call(http, "GET", self._url, params={key: question.value})
        if answer.status == 404:
            return Answer(Outcome.NOT_FOUND, self.name)
        if answer.status != 200:
            raise Unavailable(f"status_{answer.status}", 300)
        found = parse(answer, _Companies).companies
        if not found:
            return Answer(Outcome.NOT_FOUND, self.name)
        if question.kind is Kind.NAME:
            candidates = [Candidate(one.businessId.value, _official_name(one)) for one in found[:10]]
            return Answer(Outcome.AMBIGUOUS, self.name, candidates=candidates)
        return self._answer(found[0])

    def _answer(self, company: _Company) -> Answer:
        line = company.mainBusinessLine
        return Answer(
            Outcome.CLOSED if company.endDate else Outcome.FOUND,
            self.name,
            number=company.businessId.value,
            legal_name=_official_name(company),
            closed_on=company.endDate,
            activity=Activity(line.type, national_scheme("FI", line.type), _words(line)) if line else None,
        )


def _official_name(company: _Company) -> str:
    """The one in use; auxiliary and parallel names and earlier ones are left aside."""
    now = [one.name for one in company.names if one.type == OFFICIAL_NAME and one.endDate is None]
    return (now or [one.name for one in company.names] or [""])[0].strip()


def _words(line: _Line) -> str:
    return next((one.description for one in line.descriptions if one.languageCode == ENGLISH), "")
