"""The fiscal years of the books, and the selected year and period of a page, an API call or a command."""

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection as django_connection

from koppel.books.models import ACTUAL, Period
from koppel.connector.period_format import format_period
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
    regular: int
    """How many of a full year's periods fall in a quarter; 0 when the periods make no quarters."""

    @property
    def first(self) -> str:
        """Return the period that a page shows as the first."""
        return self.since or next(iter(self.periods), "")

    @property
    def last(self) -> str:
        """Return the period that a page shows as the last."""
        return max(min(self.until, self.periods[-1]), self.since) if self.periods else ""

    @property
    def is_whole_year(self) -> bool:
        """Return whether the range leaves out no period that the year has so far."""
        return not self.periods or (self.since <= self.periods[0] and self.until >= self.periods[-1])

    @property
    def selected(self) -> list[str]:
        """Return the periods of the range that the year has so far."""
        return [period for period in self.periods if self.since <= period <= self.until]

    @property
    def query(self) -> str:
        """Return the query string that selects this year and range on a page."""
        if self.is_whole_year:
            return f"year={self.year}"
        return f"year={self.year}&since={self.first[4:]}&until={self.last[4:]}"

    @property
    def file_part(self) -> str:
        """Return what names the range in a file name: `2026`, `202604-202606`."""
        return self.year if self.is_whole_year else f"{self.first}-{self.last}"

    @property
    def title(self) -> str:
        """Return what names the range for people: `2026`, `2026-04 – 2026-06`."""
        if self.is_whole_year:
            return self.year
        return f"{format_period(self.first)} – {format_period(self.last)}"

    @property
    def quarters(self) -> list[tuple[int, str, str]]:
        """Return number, first and last period of the quarters that have begun; none with other periods.

        Closing periods after the twelfth are in no quarter.
        """
        starts = range(0, min(len(self.periods), self.regular), 3)
        return [
            (number, self.periods[start], f"{self.year}{start + 3:02}")
            for number, start in enumerate(starts, 1)
        ]


def require_period_range(administration_id: int, year: str, since: str, until: str) -> PeriodRange:
    """Return the range between two periods, each written `YYYYPP` or as the number `PP`, or ''.

    A number stands in any year, so a page can change the year alone: a range may end after the year's last
    period, and begin in any of its months. Raises `UnknownParameter`, also when the range ends before it
    begins.
    """
    since, until = (
        f"{year}{period}" if len(period) == NUMBER_DIGITS else period for period in (since, until)
    )
    last = fiscal_years(administration_id).get(year, "")[4:]
    periods = [f"{year}{number:02}" for number in range(1, int(last) + 1)] if last.isdecimal() else []
    first = require_period(year, since, "since") if since else ""
    end = require_period(year, until)
    if first > f"{year}{max(MONTHS, len(periods)):02}":
        raise UnknownParameter([unknown_value("since", since)])
    if first > end:
        raise UnknownParameter([unknown_value("until", until, [one for one in periods if one >= first])])
    return PeriodRange(
        year, first, end, tuple(periods), _regular_periods(administration_id, year, len(periods))
    )


def _regular_periods(administration_id: int, year: str, count: int) -> int:
    """Return how many periods of a year fall in a quarter; 0 when the periods are not months.

    Twelve at most. What follows the twelfth is for closing entries if the source states that it takes a day,
    or begins before the twelfth has ended; where the source states no days, a thirteenth is taken for one.
    """
    if count <= MONTHS:
        return MONTHS
    days = {
        number: (start, end)
        for number, start, end in Period.objects.filter(
            administration_id=administration_id, deleted_at=None, period__startswith=year, number__gte=MONTHS
        ).values_list("number", "starts_on", "ends_on")
        if start and end
    }
    _start, year_end = days.get(MONTHS, (None, None))
    if year_end is None or not all(number in days for number in range(MONTHS + 1, count + 1)):
        return MONTHS if count == MONTHS + 1 else 0
    extra = [days[number] for number in range(MONTHS + 1, count + 1)]
    is_closing = all(start <= year_end or end - start <= timedelta(days=1) for start, end in extra)
    return MONTHS if is_closing else 0
