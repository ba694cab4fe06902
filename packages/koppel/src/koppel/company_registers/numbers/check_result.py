"""The result of checking a company number."""

from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True)
class NumberCheck:
    """A checked number."""

    number: str
    """Normalised."""
    scheme: str
    status: NumberStatus
    note: str = ""
    """A stable word; '' when all is well."""
    message: str | Promise = ""
    """What to tell the person; '' when all is well."""
    is_personal: bool = False
    """Whether the number belongs to a natural person, so that lists, logs and exports mask it."""
    suggested_reason: str = ""
    """The reason that fits better than this number."""


def valid(number: str, country: str, *, is_personal: bool = False) -> NumberCheck:
    return NumberCheck(number, SCHEMES.get(country, ""), NumberStatus.VALID, is_personal=is_personal)


def doubtful(
    number: str, country: str, note: str, message: str | Promise, *, is_personal: bool = False
) -> NumberCheck:
    return NumberCheck(number, SCHEMES.get(country, ""), NumberStatus.DOUBTFUL, note, message, is_personal)


def invalid(number: str, country: str, note: str, message: str | Promise) -> NumberCheck:
    return NumberCheck(number, SCHEMES.get(country, ""), NumberStatus.INVALID, note, message)
