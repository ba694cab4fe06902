"""The fiscal year and the period that a page, a program or a command asks for."""

from koppel.books.reports.trial_balance import fiscal_years
from koppel.kit.web.parameters import UnknownParameter, unknown_value

PERIOD_DIGITS = 6


def require_year(administration_id: int, year: str) -> str:
    """The year, when there are books of it; of none asked for the newest, '' without books. Raises `UnknownParameter`."""
    years = list(fiscal_years(administration_id))
    if year and year not in years:
        raise UnknownParameter([unknown_value("year", year, years)])
    return year or next(iter(years), "")


def require_period(year: str, until: str) -> str:
    """A period `YYYYPP` of this year; none asked for: all of it. Raises `UnknownParameter`."""
    if not until:
        return f"{year}99"
    if not (until.isascii() and until.isdecimal() and len(until) == PERIOD_DIGITS and until.startswith(year)):
        raise UnknownParameter([unknown_value("until", until)])
    return until
