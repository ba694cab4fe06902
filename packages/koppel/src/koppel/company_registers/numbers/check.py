"""The check of a company number: by its country's rules, and against made-up numbers."""

import re
import unicodedata
from dataclasses import replace
from functools import lru_cache

from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from koppel.company_registers.numbers.check_result import (
    NumberCheck,
    NumberNote,
    NumberStatus,
    doubtful,
    invalid,
)
from koppel.company_registers.numbers.country_rules import VALIDATORS
from koppel.company_registers.numbers.number_labels import digits_beside_label, strip_labels
from koppel.kit.database.text import clean_text
from koppel.kit.tabular.damaged_cells import is_date

LENGTH_MAX = 60
CACHED_CHECKS = 4096
"""A page of companies checks each of its numbers several times."""
PLACEHOLDERS = {
    "NL": {"12345678", "87654321"},
    "NO": {"123456785", "987654325"},
    "SE": {"1234567897", "1122334455"},
    "DK": {"12345674"},
    "FI": {"12345671"},
    "BE": {"0123456749"},
}
"""Beyond one repeated digit: numbers that people type to get past a field, and that pass their country's
check.
"""


def check_number(text: str, country: str) -> NumberCheck:
    """Check a text as a registration number of this country (ISO 3166, `UK` too). Never raises."""
    return _check_in_language(text, country, get_language())


@lru_cache(maxsize=CACHED_CHECKS)
def _check_in_language(text: str, country: str, _language: str | None) -> NumberCheck:
    """Check as `check_number` does; some messages are already in the active language."""
    country = {"UK": "GB", "EL": "GR"}.get(country.strip().upper(), country.strip().upper())
    typed = clean_text(unicodedata.normalize("NFKC", text[: LENGTH_MAX * 2]))
    compact_number = re.sub(r"[^A-Z0-9]", "", strip_labels(typed.upper()))
    if not compact_number:
        return invalid("", country, NumberNote.EMPTY, _("Enter a number, or choose a reason and a sector."))
    if is_date(typed):
        return invalid(
            compact_number[:LENGTH_MAX], country, NumberNote.DATE, _("This is a date, not a number.")
        )
    if country in VALIDATORS:
        check = _check_with_rules(compact_number, typed, country)
    else:
        message = _("Koppel cannot check numbers of this country.")
        check = doubtful(compact_number[:LENGTH_MAX], country, NumberNote.NOT_CHECKABLE, message)
    return _as_placeholder(check) if is_placeholder(compact_number, country) else check


def _check_with_rules(compact_number: str, typed: str, country: str) -> NumberCheck:
    """Check by the country's rules; of a text with a label and other words around the number, its digits."""
    check = VALIDATORS[country](compact_number, typed)
    if check.note is NumberNote.FORMAT and (digits := digits_beside_label(typed.upper())):
        of_digits = VALIDATORS[country](digits, digits)
        return check if of_digits.note is NumberNote.FORMAT else of_digits
    return check


def _as_placeholder(check: NumberCheck) -> NumberCheck:
    """Return the check as refused: vendors put such a number into sample books, and people type it to get
    past a field.
    """
    message = _("This is a made-up number. For a test company, choose the reason “test / demo”.")
    return replace(
        check,
        status=NumberStatus.INVALID,
        note=NumberNote.DUMMY,
        message=message,
        suggested_reason="test_demo",
    )


def is_placeholder(compact_number: str, country: str) -> bool:
    """Return whether it is one digit repeated, or a number of `PLACEHOLDERS`. Vendors' sample books hold such
    numbers.
    """
    digits = re.sub(r"[^0-9]", "", compact_number)
    repeated = len(digits) >= 6 and len(set(digits)) == 1
    # Check digits make 1111111-2 of a row of ones.
    nearly = len(digits) >= 8 and len(set(digits[:-1])) == 1
    return repeated or nearly or digits in PLACEHOLDERS.get(country, ())
