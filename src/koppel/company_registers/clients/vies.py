"""VIES, the European Commission's check of VAT numbers: for countries whose register is not asked itself.

It knows who is registered for VAT, with a name in most countries, and nothing about activities. "Not valid" therefore means
"not registered for VAT under this number", and every error of a member state means "unknown, ask later", never "not valid".
A sole trader's personal number is not sent to it.
"""

import re
from datetime import date

import msgspec

from koppel.company_registers.clients.http import call, parse
from koppel.company_registers.numbers import is_personal
from koppel.company_registers.protocol import Answer, Budget, Kind, Outcome, Question, Unavailable
from koppel.kit.http import HttpClient

NO_NAME = "---"
REFUSED = "INVALID_INPUT"
COUNTRIES = ("SE", "DK", "BE", "FR", "FI", "LV")
"""Where the VAT number follows from the company's number. Finland is asked here when its own register is switched off."""


class _Fault(msgspec.Struct):
    error: str = ""


class _Check(msgspec.Struct):
    valid: bool = False
    name: str = ""
    errorWrappers: list[_Fault] = []


class Vies:
    name = "vies"
    budget = Budget(calls=5, seconds=1)
    """Member states limit how many ask at once; the numbers are not published."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/taxation_customs/vies/rest-api/check-vat-number"

    def answers(self, question: Question) -> bool:
        if question.kind is not Kind.NUMBER or is_personal(question.value, question.country):
            return False
        return bool(vat_of(question.country, question.value))

    async def ask(self, http: HttpClient, question: Question, today: date) -> Answer:
        """Raises `Unavailable`."""
        asked = {"countryCode": question.country, "vatNumber": vat_of(question.country, question.value)}
        headers = {"Content-Type": "application/json"}
        answer = await call(http, "POST", self._url, content=msgspec.json.encode(asked), headers=headers)
        if answer.status != 200:
            raise Unavailable(f"status_{answer.status}", 300)
        found = parse(answer, _Check)
        if found.errorWrappers:
            fault = found.errorWrappers[0].error
            if fault == REFUSED:
                return Answer(Outcome.NOT_FOUND, self.name)
            raise Unavailable(fault.lower(), 60)
        if not found.valid:
            return Answer(Outcome.NOT_FOUND, self.name)
        name = "" if found.name == NO_NAME else " ".join(found.name.split())
        return Answer(Outcome.FOUND, self.name, number=question.value, legal_name=name)


def vat_of(country: str, number: str) -> str:
    """The VAT number, without the country's letters, that follows from a company's number; '' where it does not."""
    digits = re.sub(r"\D", "", number)
    if country not in COUNTRIES or not digits:
        return ""
    if country == "SE":
        return f"{digits}01"
    if country == "FR":
        return f"{(12 + 3 * (int(digits) % 97)) % 97:02d}{digits}"
    return digits
