"""The trial balance: opening, movement and closing per account, checked against the source's own closing
balance.

Opening balances come from the source's first statement in the fiscal year, movements from the lines of posted
entries of the actual ledger. Debit = credit proves little, so every account's closing is compared with what
the source states. Amounts are in base currency, debit positive.
"""

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

from koppel.books.models import ACTUAL, POSTED
from koppel.kit.database.sql_files import load_statements

ZERO = Decimal(0)


@dataclass(frozen=True)
class AccountBalance:
    """One account. `stated` is the source's closing balance; None =
    the source states none for this account."""

    code: str
    name: str
    kind: str
    opening: Decimal
    debit: Decimal
    credit: Decimal
    stated: Decimal | None

    @property
    def movement(self) -> Decimal:
        return self.debit - self.credit

    @property
    def closing(self) -> Decimal:
        return self.opening + self.movement

    @property
    def difference(self) -> Decimal:
        """Return ours less the source's; 0 when the source states nothing to compare with."""
        return self.closing - self.stated if self.stated is not None else ZERO


@dataclass(frozen=True)
class TrialBalance:
    """All accounts that have an opening balance, a movement or a
    stated closing balance, in order of their code."""

    fiscal_year: str
    accounts: tuple[AccountBalance, ...]

    @property
    def differing(self) -> tuple[AccountBalance, ...]:
        return tuple(account for account in self.accounts if account.difference)

    def total(self, column: str) -> Decimal:
        """Return the sum of a column: opening, debit, credit, movement or closing."""
        return sum((getattr(account, column) for account in self.accounts), ZERO)


_SQL = load_statements("koppel.books")
_TRIAL_BALANCE = _SQL["trial_balance"].format(series=_SQL["get_series"])
_DIFFERING_ACCOUNTS = _SQL["list_differing_accounts"].format(series=_SQL["get_series"])
_CONSTANTS = {"posted": POSTED, "actual": ACTUAL}


def trial_balance(administration_id: int, fiscal_year: str, to_period: str) -> TrialBalance:
    """Return the trial balance: opening at the start of `fiscal_year`, movement until and closing at the end
    of `to_period`."""
    values: dict[str, int | str] = {
        **_CONSTANTS,
        "administration": administration_id,
        "year": fiscal_year,
        "until": to_period,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TRIAL_BALANCE, values)
        return TrialBalance(fiscal_year, tuple(AccountBalance(*row) for row in cursor.fetchall()))


def differing_accounts(administration_id: int) -> dict[str, list[tuple[str, Decimal]]]:
    """Return by fiscal year the accounts whose closing balance differs from the source's, with the
    difference: ours less the source's. Years and accounts that agree are absent; so are those of which the
    source states nothing."""
    differences: dict[str, list[tuple[str, Decimal]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING_ACCOUNTS, {**_CONSTANTS, "administration": administration_id})
        for year, account, difference in cursor.fetchall():
            differences.setdefault(year, []).append((account, difference))
    return differences
