"""Fiscal years: their names, and those that cannot be."""

from datetime import date

from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.records import FiscalYear

DAYS_MAX = 732
"""Two years. A fiscal year has 18 months at most; a longer one is mistyped."""


def year_name(starts_on: date, ends_on: date) -> str:
    """Return 2025, or 2024/2025 for a year in two calendar years."""
    same = starts_on.year == ends_on.year
    return str(starts_on.year) if same else f"{starts_on.year}/{ends_on.year}"


def year_problem(starts_on: date, ends_on: date) -> str:
    """Return why a fiscal year cannot be; '' for one that can."""
    if ends_on < starts_on:
        return "the year ends before it begins"
    return "the year is longer than two years" if (ends_on - starts_on).days > DAYS_MAX else ""


def year_refusal(file: str, sentence: str) -> LedgerFileRefused:
    """Return the refusal of a file whose year cannot be."""
    return LedgerFileRefused(RefusalCode.YEAR_INVALID, f"{file} cannot be read: {sentence}.")


def fiscal_year(
    file: str, starts_on: date, ends_on: date, name: str = "", *, is_own: bool = True
) -> FiscalYear:
    """Return a fiscal year, by the name of its calendar years unless given. Raises `LedgerFileRefused`."""
    if problem := year_problem(starts_on, ends_on):
        raise year_refusal(file, f"{problem} ({starts_on} to {ends_on})")
    return FiscalYear(
        name=name or year_name(starts_on, ends_on), starts_on=starts_on, ends_on=ends_on, is_own=is_own
    )
