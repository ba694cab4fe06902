"""Do the years join? What an account closes a year with, it must open the next one with.

Compared are the balances that the source states. No entry explains a difference: nothing is booked between
two years. Accounts of income and expense begin at zero, and equity takes their result:

- The result of the year is what its result accounts close with; where entries closed them, what they had
  before.
- One account may take the whole result (retained earnings), or several may share it (the capital of
  partners).
- The account that showed the result in its year may begin at zero, when another takes exactly its balance.
- Of an account that takes nearly the result the remainder is the difference.

Nothing else explains a difference. An asset takes no result, nor does an account that begins at zero: that is
how a lost balance looks. Amounts are in base currency, debit positive.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby

from django.db import connection as django_connection

from koppel.books.models import ACTUAL, POSTED
from koppel.books.reports.period_totals import YearResult, result_by_period
from koppel.books.reports.trial_balance import ZERO
from koppel.kit.database.sql_files import load_statements

RESULT_KINDS = ("income", "expense", "result")
NEAR = Decimal("0.1")
"""An account whose difference is within this part of the result took the result, and something else."""
_ASSET = "asset"
_SQL = load_statements("koppel.books")
_BROKEN_TRANSITIONS = _SQL["list_broken_transitions"].format(series=_SQL["balance_series_expression"])


@dataclass(frozen=True)
class AccountTransition:
    """What an account closed a year with, and opens the next stated year with."""

    code: str
    kind: str
    closing: Decimal
    opening: Decimal
    taken: Decimal = ZERO
    """The part of the result of the year before that it took."""

    @property
    def difference(self) -> Decimal:
        """Return the opening balance less the closing balance of the year before, and less what was taken."""
        return self.opening - self.closing - self.taken

    @property
    def may_take_result(self) -> bool:
        return self.kind != _ASSET and bool(self.opening)


@dataclass(frozen=True)
class BrokenTransition:
    """Two successive years with stated balances that do not join, and the accounts that differ."""

    before: str
    year: str
    accounts: Sequence[AccountTransition]


def broken_transitions(administration_id: int) -> list[BrokenTransition]:
    """Return the years that do not join with the one before, oldest first.

    Only successive years are compared; see the statement for what counts as successive and as stated.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(
            _BROKEN_TRANSITIONS,
            {
                "administration": administration_id,
                "posted": POSTED,
                "actual": ACTUAL,
                "result_kinds": list(RESULT_KINDS),
            },
        )
        rows = cursor.fetchall()
    broken = []
    for (year, before, result), group in groupby(rows, key=lambda row: (row[0], row[1], row[6])):
        accounts = [AccountTransition(*row[2:6]) for row in group]
        if accounts := _unexplained(administration_id, before, accounts, result):
            broken.append(BrokenTransition(before=before, year=year, accounts=accounts))
    return broken


def _unexplained(
    administration_id: int, before: str, accounts: list[AccountTransition], result: Decimal
) -> list[AccountTransition]:
    """Return the accounts whose difference is not the appropriation of the result of the year before.

    `result` is what the result accounts close with, a profit negative.
    """
    explained = _appropriation(accounts, result)
    if not explained and not result and any(account.may_take_result for account in accounts):
        booked = YearResult(before, result_by_period(administration_id, before)).result
        explained = _move_of_result(accounts, -booked)
    compared = (replace(account, taken=explained.get(account.code, ZERO)) for account in accounts)
    return [account for account in compared if account.difference]


def _appropriation(accounts: list[AccountTransition], result: Decimal) -> dict[str, Decimal]:
    """Return what the result explains of the differences, by account."""
    takers = [account for account in accounts if account.may_take_result]
    if not result or not takers:
        return {}
    exact = [account for account in takers if account.difference == result]
    if len(exact) == 1:
        return {exact[0].code: result, **_move_of_result(accounts, result)}
    shares = {account.code: account.difference for account in takers}
    if sum(shares.values()) == result and all((share > 0) == (result > 0) for share in shares.values()):
        return shares
    nearest = min(takers, key=lambda account: abs(account.difference - result))
    is_near = not exact and abs(nearest.difference - result) <= abs(result) * NEAR
    return {nearest.code: result} if is_near else {}


def _move_of_result(accounts: Iterable[AccountTransition], result: Decimal) -> dict[str, Decimal]:
    """Return the differences of the account that took the result and of the one that had it; nothing unless
    both are one.
    """
    if not result:
        return {}
    takers = [account for account in accounts if account.may_take_result and account.difference == result]
    givers = [
        account
        for account in accounts
        if account.kind != _ASSET and not account.opening and account.closing == result
    ]
    if len(takers) != 1 or len(givers) != 1:
        return {}
    return {takers[0].code: result, givers[0].code: -result}
