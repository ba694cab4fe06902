"""The fiscal years of the books, and the selected year and period of a page, an API call or a command."""

from dataclasses import dataclass

from django.db import connection as django_connection

from koppel.books.models import ACTUAL
from koppel.kit.database.sql_files import load_statements
from koppel.kit.web.parameters import UnknownParameter, unknown_value

PERIOD_DIGITS = 6
NUMBER_DIGITS = 2
MONTHS = 12
_SQL = load_statements("koppel.books")


def fiscal_years(administration_id: int) -> dict[str, str]:
    """Return the fiscal years with entries or balances of the actual ledger, newest first.

    Each comes with its last period (`YYYYPP`).
    """
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL["list_fiscal_years"], {"administration": administration_id, "actual": ACTUAL})
        return {str(year): str(last) for year, last in cursor.fetchall()}


def require_year(administration_id: int, year: str) -> str:
    """Return the fiscal year if the books contain it; for '' the newest, or '' without books.

    Raises `UnknownParameter`.
    """
    years = list(fiscal_years(administration_id))
    if year and year not in years:
        raise UnknownParameter([unknown_value("year", year, years)])
    return year or next(iter(years), "")


def require_period(year: str, period: str, name: str = "until") -> str:
    """Return the period `YYYYPP` if it is one of this year; for '' one after all of the year's periods.

    `name` is that of the parameter. Raises `UnknownParameter`.
    """
    if not period:
        return f"{year}99"
    if not (
        period.isascii() and period.isdecimal() and len(period) == PERIOD_DIGITS and period.startswith(year)
    ):
        raise UnknownParameter([unknown_value(name, period)])
    return period


@dataclass(frozen=True)
class PeriodRange:
    """Periods `YYYYPP` of a fiscal year."""

    year: str
    since: str
    """'' is the start of the year."""
    until: str
    periods: tuple[str, ...]
    """Those that the year has so far."""

    @property
    def first(self) -> str:
        """Return the period that a page shows as the first."""
        return self.since or next(iter(self.periods), "")

    @property
    def last(self) -> str:
        """Return the period that a page shows as the last."""
        return min(self.until, self.periods[-1]) if self.periods else ""

    @property
    def quarters(self) -> list[tuple[int, str, str]]:
        """Return number, first and last period of the quarters that have begun; none with other periods."""
        if len(self.periods) > MONTHS:
            return []
        starts = range(0, len(self.periods), 3)
        return [
            (number, self.periods[start], f"{self.year}{start + 3:02}")
            for number, start in enumerate(starts, 1)
        ]


def require_period_range(administration_id: int, year: str, since: str, until: str) -> PeriodRange:
    """Return the range between two periods, each written `YYYYPP` or as the number `PP`, or ''.

    A number stands in any year, so a page can change the year alone. Raises `UnknownParameter`.
    """
    since, until = (
        f"{year}{period}" if len(period) == NUMBER_DIGITS else period for period in (since, until)
    )
    last = fiscal_years(administration_id).get(year, "")[4:]
    periods = [f"{year}{number:02}" for number in range(1, int(last) + 1)] if last.isdecimal() else []
    return PeriodRange(
        year,
        require_period(year, since, "since") if since else "",
        require_period(year, until),
        tuple(periods),
    )
