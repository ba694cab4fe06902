"""The result of checking a company number."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from django.utils.functional import Promise

SCHEMES = {
    "NL": "0106",
    "NO": "0192",
    "SE": "0007",
    "DK": "0184",
    "FI": "0212",
    "BE": "0208",
    "FR": "0002",
    "EE": "0191",
    "LV": "0218",
    "LT": "0200",
}
"""ISO 6523 codes as far as `docs/registers.md` names a source; a country without one has ''."""


class NumberStatus(StrEnum):
    """The result of a check."""

    VALID = "valid"
    """Nothing speaks against the number."""
    DOUBTFUL = "doubtful"
    """The number may be kept, with a warning."""
    INVALID = "invalid"
    """The text cannot be a number of this country."""


class NumberNote(StrEnum):
    """Why a number is doubtful or invalid: the stored code."""

    BRANCH_NUMBER = "branch_number"
    COURT_MISSING = "court_missing"
    COURT_UNKNOWN = "court_unknown"
    DATE = "date"
    DUMMY = "dummy"
    EMPTY = "empty"
    FORMAT = "format"
    LOOKS_MISTYPED = "looks_mistyped"
    NOT_CHECKABLE = "not_checkable"
    NOT_FOUND = "not_found"
    """The country's register does not know it."""
    NOT_IN_VIES = "not_in_vies"
    RSIN = "rsin"
    VAT_NUMBER = "vat_number"
    ZERO_ADDED = "zero_added"


@dataclass(frozen=True, kw_only=True)
class NumberCheck:
    """A checked number."""

    number: str
    """Normalised."""
    scheme: str
    status: NumberStatus
    note: NumberNote | Literal[""] = ""
    """'' when all is well."""
    message: str | Promise = ""
    """What to tell the person; '' when all is well."""
    is_personal: bool = False
    """Whether the number belongs to a natural person, so that lists, logs and exports mask it."""
    suggested_reason: str = ""
    """The reason that fits better than this number."""


def valid(number: str, country: str, *, is_personal: bool = False) -> NumberCheck:
    return NumberCheck(
        number=number, scheme=SCHEMES.get(country, ""), status=NumberStatus.VALID, is_personal=is_personal
    )


def doubtful(
    number: str, country: str, note: NumberNote, message: str | Promise, *, is_personal: bool = False
) -> NumberCheck:
    return NumberCheck(
        number=number,
        scheme=SCHEMES.get(country, ""),
        status=NumberStatus.DOUBTFUL,
        note=note,
        message=message,
        is_personal=is_personal,
    )


def invalid(number: str, country: str, note: NumberNote, message: str | Promise) -> NumberCheck:
    return NumberCheck(
        number=number,
        scheme=SCHEMES.get(country, ""),
        status=NumberStatus.INVALID,
        note=note,
        message=message,
    )
