"""Movements per period of a fiscal year: by account, and as income and cost.

From posted entries of the actual ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection as django_connection

from koppel.books.models import ACTUAL, POSTED
from koppel.books.reports.period_selection import PeriodRange
from koppel.books.reports.trial_balance import AccountBalance
from koppel.kit.database.sql_files import load_statements

_SQL = load_statements("koppel.books")
_CONSTANTS = {"posted": POSTED, "actual": ACTUAL}
_KINDS = {"income": "income", "expense": "expense", "liability": "liability"}


@dataclass(frozen=True)
class PeriodResult:
    """Income and cost of one period (`YYYYPP`), each positive when it has its usual sign."""

    period: str
    income: Decimal
    cost: Decimal


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class AccountMovements:
    """An account's opening balance, movement by period and closing balance."""

    account: AccountBalance
    amounts: Sequence[Decimal | None]
    """In the order of the table's periods; None without entries in the period."""


@dataclass(frozen=True)
class MovementTable:
    """The movements of accounts in the periods (`YYYYPP`) of a range."""

    periods: Sequence[str]
    rows: Sequence[AccountMovements]

    @property
    def totals(self) -> list[Decimal]:
        """Return the sum of each period."""
        columns = range(len(self.periods))
        return [sum((row.amounts[at] or Decimal(0) for row in self.rows), Decimal(0)) for at in columns]


def movement_table(
    administration_id: int, selected: PeriodRange, accounts: Sequence[AccountBalance]
) -> MovementTable:
    """Return the movements of the accounts in all periods of the range, also those without entries."""
    moves = movement_by_period(administration_id, selected.year)
    moved = {period for _account, period in moves if selected.since <= period <= selected.until}
    periods = sorted(moved.union(selected.selected))
    rows = [
        AccountMovements(account, [moves.get((account.code, period)) for period in periods])
        for account in accounts
    ]
    return MovementTable(periods, rows)


def year_result(administration_id: int, fiscal_year: str) -> YearResult:
    """Return the results of a year beside those of the year before, until the same period."""
    periods = result_by_period(administration_id, fiscal_year)
    if not periods or not fiscal_year.isdecimal():
        return YearResult(fiscal_year, periods)
    before = f"{int(fiscal_year) - 1:04}"
    last = periods[-1].period[4:]
    same = [row for row in result_by_period(administration_id, before) if row.period[4:] <= last]
    return YearResult(fiscal_year, periods, YearResult(before, same) if same else None)


def movement_by_period(administration_id: int, fiscal_year: str) -> dict[tuple[str, str], Decimal]:
    """Return the net movement (debit less credit) by (account code, period)."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_movements_by_period"],
            {**_CONSTANTS, "administration": administration_id, "year": fiscal_year},
        )
        return {(account, period): amount for account, period, amount in cursor.fetchall()}


def result_by_period(administration_id: int, fiscal_year: str) -> Sequence[PeriodResult]:
    """Return the results in the order of the periods; periods without entries are absent.

    Entries that close the year by bringing income and cost to zero are left out: the result is that before
    its appropriation.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_results_by_period"],
            {**_CONSTANTS, **_KINDS, "administration": administration_id, "year": fiscal_year},
        )
        return [PeriodResult(*row) for row in cursor.fetchall()]
