"""The form of CSV cells and the formats of Excel that spreadsheets of a language expect.

Plain CSV is for programs: the same in every language.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

from django.utils import timezone
from django.utils.translation import get_language, gettext

Cell = str | int | bool | Decimal | date | datetime | None
FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "＝",
    "＋",
    "－",
    "＠",
    "\N{MINUS SIGN}",
    "﹦",
    "﹢",
    "﹣",
    "﹫",
)
"""What a spreadsheet may take for the beginning of a formula, full-width and small signs included."""
IGNORED_BEFORE = " \u00a0\u200b\u2060\ufeff\"'`"
"""What some spreadsheets drop before they look for one. An apostrophe is among them, so that every text that
is written can be read back.
"""
CENT = Decimal("0.01")
CENTS_EXACT_BELOW = 24
"""Powers of ten: a larger amount cannot be rounded to cents within the precision of `decimal`."""


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """The way in which people of a language write numbers and dates."""

    delimiter: str
    decimal_point: str
    day: str
    """Formats a date by its parts."""
    excel_day: str
    """The number format of Excel for the same."""

    def text(self, cell: Cell) -> str:
        """Return a cell as people of this language write it: amounts with two decimals, local times."""
        if cell is None:
            return ""
        if isinstance(cell, bool):
            return gettext("yes") if cell else gettext("no")
        if isinstance(cell, Decimal):
            return format(to_cents(cell), "f").replace(".", self.decimal_point)
        if isinstance(cell, datetime):
            moment = to_local(cell)
            return f"{self.day.format(moment)} {moment:%H:%M:%S}"
        if isinstance(cell, date):
            return self.day.format(cell)
        return escape_formula(cell) if isinstance(cell, str) else str(cell)


DUTCH = Conventions(
    delimiter=";", decimal_point=",", day="{0.day:02}-{0.month:02}-{0.year:04}", excel_day="dd-mm-yyyy"
)
ENGLISH = Conventions(
    delimiter=",", decimal_point=".", day="{0.year:04}-{0.month:02}-{0.day:02}", excel_day="yyyy-mm-dd"
)
"""British and American spreadsheets order day and month differently; both understand a date that begins with
its year.
"""
_BY_LANGUAGE = {"nl": DUTCH}


def conventions() -> Conventions:
    """Return the conventions of the active language."""
    return _BY_LANGUAGE.get((get_language() or "").partition("-")[0], ENGLISH)


def plain_text(cell: Cell) -> str:
    """Return a cell of a plain CSV: exact amounts, ISO dates, `true` and `false`."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, date):
        return cell.isoformat()
    return escape_formula(cell) if isinstance(cell, str) else str(cell)


def to_cents(amount: Decimal) -> Decimal:
    """Return the amount with two decimals, as pages show it; never a negative zero."""
    if amount.adjusted() >= CENTS_EXACT_BELOW:
        return amount
    return amount.quantize(CENT, ROUND_HALF_UP) or Decimal("0.00")


def to_local(moment: datetime) -> datetime:
    """Return a moment in the installation's time zone, without a fraction of a second."""
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return local.replace(microsecond=0)


def escape_formula(text: str) -> str:
    """Prefix a text that begins like a formula with an apostrophe, so that spreadsheets do not execute it."""
    return f"'{text}" if begins_like_formula(text) else text


def begins_like_formula(text: str) -> bool:
    return text.lstrip(IGNORED_BEFORE).startswith(FORMULA_STARTS)
