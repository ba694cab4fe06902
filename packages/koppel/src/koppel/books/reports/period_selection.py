"""The fiscal years of the books, and the selected year and period of a page, an API call or a command."""

from django.db import connection

from koppel.kit.database.sql_files import load_statements
from koppel.kit.web.parameters import UnknownParameter, unknown_value

PERIOD_DIGITS = 6
_SQL = load_statements("koppel.books")


def fiscal_years(administration_id: int) -> dict[str, str]:
    """Return the fiscal years with entries or balances, newest first.

    Each comes with its last period (`YYYYPP`).
    """
    with connection.cursor() as cursor:
        cursor.execute(_SQL["list_fiscal_years"], {"administration": administration_id})
        return {str(year): str(last) for year, last in cursor.fetchall()}


def require_year(administration_id: int, year: str) -> str:
    """Return the fiscal year if the books contain it; for '' the newest, or '' without books.

    Raises `UnknownParameter`.
    """
    years = list(fiscal_years(administration_id))
    if year and year not in years:
        raise UnknownParameter([unknown_value("year", year, years)])
    return year or next(iter(years), "")


def require_period(year: str, period: str) -> str:
    """Return the period `YYYYPP` if it is one of this year; for '' one after all of the year's periods.

    Raises `UnknownParameter`.
    """
    if not period:
        return f"{year}99"
    if not (
        period.isascii() and period.isdecimal() and len(period) == PERIOD_DIGITS and period.startswith(year)
    ):
        raise UnknownParameter([unknown_value("until", period)])
    return period
