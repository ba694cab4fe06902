"""VIES, the European Commission's check of VAT numbers: for countries without a client of their register.

It knows who is registered for VAT, with a name in most countries, and nothing about activities. "Not valid"
therefore means "not registered for VAT under this number", and every error of a member state means "unknown,
ask later", never "not valid". A sole trader's personal number is not sent to it.
"""

import re
from datetime import date

import msgspec

from koppel.company_registers.clients.protocol import (
    LookupOutcome,
    QueryKind,
    RegisterCode,
    RegisterQuery,
    RegisterQuota,
    RegisterResult,
    RegisterUnavailable,
)
from koppel.company_registers.clients.register_call import decode, request
from koppel.company_registers.numbers import is_personal
from koppel.kit.http.client import HttpClient

NO_NAME = "---"
REFUSED = "INVALID_INPUT"
COUNTRIES = ("SE", "DK", "BE", "FR", "FI", "LV")
"""Where the VAT number follows from the company's number. Finland is asked here when its own register is
switched off.
"""


class _Fault(msgspec.Struct):
    error: str = ""


class _Check(msgspec.Struct):
    valid: bool = False
    name: str = ""
    errorWrappers: list[_Fault] = []


class Vies:
    name = RegisterCode.VIES.value
    rate_limit = RegisterQuota(calls=5, seconds=1)
    """Member states limit how many ask at once; the numbers are not published."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/taxation_customs/vies/rest-api/check-vat-number"

    def supports(self, query: RegisterQuery) -> bool:
        if query.kind is not QueryKind.NUMBER or is_personal(query.value, query.country):
            return False
        return bool(vat_of(query.country, query.value))

    async def look_up(self, http: HttpClient, query: RegisterQuery, today: date) -> RegisterResult:
        """Look the query up. Raises `RegisterUnavailable`."""
        body = {"countryCode": query.country, "vatNumber": vat_of(query.country, query.value)}
        headers = {"Content-Type": "application/json"}
        response = await request(http, "POST", self._url, content=msgspec.json.encode(body), headers=headers)
        if response.status != 200:
            raise RegisterUnavailable(f"status_{response.status}", 300)
        check = decode(response, _Check)
        if check.errorWrappers:
            fault = check.errorWrappers[0].error
            if fault == REFUSED:
                return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
            raise RegisterUnavailable(fault.lower(), 60)
        if not check.valid:
            return RegisterResult(LookupOutcome.NOT_FOUND, self.name)
        name = "" if check.name == NO_NAME else " ".join(check.name.split())
        return RegisterResult(LookupOutcome.FOUND, self.name, number=query.value, legal_name=name)


def vat_of(country: str, number: str) -> str:
    """Return the VAT number that follows from a company's number, without the country's letters; '' where
    none follows.
    """
    digits = re.sub(r"\D", "", number)
    if country not in COUNTRIES or not digits:
        return ""
    if country == "SE":
        return f"{digits}01"
    if country == "FR":
        return f"{(12 + 3 * (int(digits) % 97)) % 97:02d}{digits}"
    return digits
