"""The trial balance: opening, movement and closing per account, checked against the source.

Opening balances are the first that the source states in the fiscal year; movements are the lines of posted
entries of the actual ledger. That debit equals credit proves little, so the closing balance of every account
is compared with the source's, and the source's own balances must add up to zero. Amounts are in base
currency, debit positive.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from django.db import connection as django_connection

from koppel.books.models import ACTUAL, POSTED
from koppel.kit.database.sql_files import load_statements

ZERO = Decimal(0)


@dataclass(frozen=True)
class AccountBalance:
    """The balances of one account."""

    code: str
    name: str
    kind: str
    opening: Decimal
    debit: Decimal
    credit: Decimal
    stated: Decimal | None
    """The source's closing balance; None when it states none."""

    @property
    def movement(self) -> Decimal:
        return self.debit - self.credit

    @property
    def closing(self) -> Decimal:
        return self.opening + self.movement

    @property
    def difference(self) -> Decimal | None:
        """Return Koppel's closing balance less the source's; None when the source states none."""
        return self.closing - self.stated if self.stated is not None else None

    @property
    def is_unstated(self) -> bool:
        """Return whether it has an opening balance or entries, and the source states no balance of it."""
        return self.stated is None and any((self.opening, self.debit, self.credit))


@dataclass(frozen=True)
class TrialBalance:
    """All accounts with an opening balance, a movement or a stated closing balance, by code."""

    fiscal_year: str
    accounts: tuple[AccountBalance, ...]

    @property
    def is_checked(self) -> bool:
        """Return whether the source states a closing balance of any account."""
        return any(account.stated is not None for account in self.accounts)

    @cached_property
    def differing(self) -> tuple[AccountBalance, ...]:
        """Return the accounts whose closing balance differs from the source's."""
        return tuple(account for account in self.accounts if account.difference)

    @cached_property
    def unstated(self) -> tuple[AccountBalance, ...]:
        """Return the accounts in use of which the source states no balance."""
        return tuple(account for account in self.accounts if account.is_unstated)

    @property
    def unmatched(self) -> tuple[AccountBalance, ...]:
        """Return the accounts that differ from the source or cannot be compared with it, by code."""
        return tuple(account for account in self.accounts if account.difference or account.is_unstated)

    @cached_property
    def is_balanced(self) -> bool:
        """Return whether the opening and the closing balances each add up to zero."""
        return not self.total("opening") and not self.total("closing")

    @property
    def is_matched(self) -> bool:
        """Return whether it is complete: each account in use agrees with the source, and the totals are
        zero.
        """
        return self.is_checked and self.is_balanced and not self.differing and not self.unstated

    def total(self, column: str) -> Decimal:
        """Return the sum of a column: opening, debit, credit, movement or closing."""
        return total_of(self.accounts, column)


@dataclass(frozen=True)
class AccountGroup:
    """The accounts of one kind."""

    kind: str
    """'' is the kind that the source does not state."""
    accounts: tuple[AccountBalance, ...]

    @property
    def totals(self) -> dict[str, Decimal]:
        return totals_of(self.accounts)


KINDS = ("asset", "liability", "income", "expense")
"""The groups of a trial balance, in their order. Kinds that only a source knows follow."""
TOTALLED = ("opening", "debit", "credit", "closing")


def group_by_kind(accounts: Sequence[AccountBalance]) -> list[AccountGroup]:
    """Return the accounts by kind; accounts keep their order, and accounts without a kind come last."""
    groups: dict[str, list[AccountBalance]] = {kind: [] for kind in KINDS}
    for account in accounts:
        groups.setdefault(account.kind, []).append(account)
    unknown = groups.pop("", [])
    return [AccountGroup(kind, tuple(rows)) for kind, rows in (*groups.items(), ("", unknown)) if rows]


def totals_of(accounts: Iterable[AccountBalance]) -> dict[str, Decimal]:
    """Return the sums of the opening, debit, credit and closing columns."""
    rows = list(accounts)
    return {column: total_of(rows, column) for column in TOTALLED}


def total_of(accounts: Iterable[AccountBalance], column: str) -> Decimal:
    return sum((getattr(account, column) for account in accounts), ZERO)


_SQL = load_statements("koppel.books")
_TRIAL_BALANCE = _SQL["trial_balance"].format(series=_SQL["balance_series_expression"])
_DIFFERING_ACCOUNTS = _SQL["list_differing_accounts"].format(series=_SQL["balance_series_expression"])
_UNBALANCED_OPENINGS = _SQL["list_unbalanced_openings"].format(series=_SQL["balance_series_expression"])
_CONSTANTS = {"posted": POSTED, "actual": ACTUAL}


def trial_balance(
    administration_id: int, fiscal_year: str, to_period: str, from_period: str = ""
) -> TrialBalance:
    """Return the trial balance of a fiscal year, from the start of `from_period` to the end of `to_period`.

    Opening balances are those at the start of `from_period`; '' is the start of `fiscal_year`.
    """
    values: dict[str, int | str] = {
        **_CONSTANTS,
        "administration": administration_id,
        "year": fiscal_year,
        "since": from_period,
        "until": to_period,
    }
    with django_connection.cursor() as cursor:
        cursor.execute(_TRIAL_BALANCE, values)
        return TrialBalance(fiscal_year, tuple(AccountBalance(*row) for row in cursor.fetchall()))


def differing_accounts(administration_id: int) -> dict[str, list[tuple[str, Decimal]]]:
    """Return by fiscal year the accounts whose closing balance differs from the source's.

    Each comes with the difference, Koppel's balance less the source's. Years and accounts that agree, or for
    which the source states no balance, are absent.
    """
    differences: dict[str, list[tuple[str, Decimal]]] = {}
    with django_connection.cursor() as cursor:
        cursor.execute(_DIFFERING_ACCOUNTS, {**_CONSTANTS, "administration": administration_id})
        for year, account, difference in cursor.fetchall():
            differences.setdefault(year, []).append((account, difference))
    return differences


def unbalanced_openings(administration_id: int) -> dict[str, Decimal]:
    """Return the sum of the opening balances that the source states, by fiscal year.

    Years in which they add up to zero are absent.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(_UNBALANCED_OPENINGS, {**_CONSTANTS, "administration": administration_id})
        return dict(cursor.fetchall())
