"""Movements per period of a fiscal year: by account, and as income and cost.

From posted entries of the actual ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection as django_connection

from koppel.books.reports.statements import CONSTANTS, MOVEMENTS_BY_PERIOD, RESULTS_BY_PERIOD

INCOME, EXPENSE = "income", "expense"
"""The kinds of the accounts whose movements are the result."""


@dataclass(frozen=True)
class PeriodResult:
    """Income and cost of one period (`YYYYPP`), each positive when it has its usual sign."""

    period: str
    income: Decimal
    cost: Decimal


@dataclass(frozen=True, kw_only=True)
class YearResult:
    """Income and cost of a fiscal year by period, and their sums."""

    year: str
    periods: Sequence[PeriodResult]
    earlier: "YearResult | None" = None
    """The year before, of the same periods; None without entries in them."""

    @property
    def income(self) -> Decimal:
        return sum((period.income for period in self.periods), Decimal(0))

    @property
    def cost(self) -> Decimal:
        return sum((period.cost for period in self.periods), Decimal(0))

    @property
    def result(self) -> Decimal:
        return self.income - self.cost


def year_result(administration_id: int, fiscal_year: str) -> YearResult:
    """Return the results of a year beside those of the year before, until the same period."""
    periods = result_by_period(administration_id, fiscal_year)
    if not periods or not fiscal_year.isdecimal():
        return YearResult(year=fiscal_year, periods=periods)
    before = f"{int(fiscal_year) - 1:04}"
    last = periods[-1].period[4:]
    same = [row for row in result_by_period(administration_id, before) if row.period[4:] <= last]
    return YearResult(
        year=fiscal_year, periods=periods, earlier=YearResult(year=before, periods=same) if same else None
    )


def movement_by_period(administration_id: int, fiscal_year: str) -> dict[tuple[str, str], Decimal]:
    """Return the net movement (debit less credit) by (account code, period)."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            MOVEMENTS_BY_PERIOD, {**CONSTANTS, "administration": administration_id, "year": fiscal_year}
        )
        return {(account, period): amount for account, period, amount in cursor.fetchall()}


def result_by_period(administration_id: int, fiscal_year: str) -> Sequence[PeriodResult]:
    """Return the results in the order of the periods; periods without entries are absent."""
    with django_connection.cursor() as cursor:
        values = {**CONSTANTS, "income": INCOME, "expense": EXPENSE}
        cursor.execute(
            RESULTS_BY_PERIOD, {**values, "administration": administration_id, "year": fiscal_year}
        )
        return [PeriodResult(*row) for row in cursor.fetchall()]
