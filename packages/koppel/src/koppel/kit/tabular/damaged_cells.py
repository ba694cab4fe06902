"""Finds cells whose value a spreadsheet or a wrong encoding has damaged."""

import re
from datetime import date

from django.utils.translation import gettext as _

EXCEL_ERRORS = re.compile(r"#[A-ZÄÖÅÉÆØ]{1,10}(/[0A-Z]!?|[!?])|#NV|#{3,}")
"""`#N/A`, `#REF!`, `#VERW!`, `#DEEL/0!` and `#####`, in any language of Excel."""
SHORTENED_NUMBER = re.compile(r"\d([.,]\d+)?E\+\d{2}")
_MONTH = (
    r"(?:jan|feb|mrt|mar|mär|maart|apr|mei|may|maj|mai|jun|jul|aug|sep|okt|oct|nov|dec|des|dez)[a-zé]*\.?"
)
MONTH_NAMES = re.compile(
    rf"\d{{1,2}}\.?[-/ ]{_MONTH}(?:[-/ ]\d{{2,4}})?|{_MONTH}[-/ ]\d{{2,4}}", re.IGNORECASE
)
_DATE_PARTS = re.compile(
    r"(?:(\d{4})([-/.])(\d{1,2})\2(\d{1,2})|(\d{1,2})([-/.])(\d{1,2})\6(\d{4}))"
    r"(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?"
)
YEARS = range(1900, 2100)


def find_damage(cell: str) -> str:
    """Return a sentence on what happened to a number or a code in a spreadsheet or by a wrong encoding; ''
    when nothing did.
    """
    text = cell.strip()
    if "\N{REPLACEMENT CHARACTER}" in text:
        return _("“%s” has a character that cannot be read. Save the file as CSV UTF-8.") % text[:60]
    if EXCEL_ERRORS.fullmatch(text):
        return _("“%s” is an error of the spreadsheet, not a value.") % text[:60]
    if SHORTENED_NUMBER.fullmatch(text.upper()):
        return _("“%s” lost digits in a spreadsheet. Format the column as text.") % text[:60]
    if is_date(text):
        return (
            _("“%s” is a date. Spreadsheets turn numbers into dates: format the column as text.") % text[:60]
        )
    return ""


def is_date(text: str) -> bool:
    """Return whether the text is a day as spreadsheets write it: `2-jan`, `jan-26`, `01-02-2026`,
    `2026-02-01 00:00:00`.
    """
    if MONTH_NAMES.fullmatch(text):
        return True
    if not (match := _DATE_PARTS.fullmatch(text)):
        return False
    parts = [int(part) for part in (match[1], match[3], match[4], match[5], match[7], match[8]) if part]
    year, others = (parts[0], parts[1:]) if match[1] else (parts[2], parts[:2])
    return year in YEARS and (_is_day(year, *others) or _is_day(year, *reversed(others)))


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
