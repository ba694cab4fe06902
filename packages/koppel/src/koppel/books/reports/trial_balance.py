"""The trial balance: opening, movement and closing per account, checked against the source's own closing balance.

Opening balances come from the source's first statement in the fiscal year, movements from the lines of posted entries of
the actual ledger. Debit = credit proves little, so every account's closing is compared with what the source states.
Amounts are in base currency, debit positive.
"""

from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

ZERO = Decimal(0)


@dataclass(frozen=True)
class AccountBalance:
    """One account. `stated` is the source's closing balance; None = the source states none for this account."""

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
        """Ours less the source's; 0 when the source states nothing to compare with."""
        return self.closing - self.stated if self.stated is not None else ZERO


@dataclass(frozen=True)
class TrialBalance:
    """All accounts that have an opening balance, a movement or a stated closing balance, in order of their code."""

    fiscal_year: str
    accounts: tuple[AccountBalance, ...]

    @property
    def differing(self) -> tuple[AccountBalance, ...]:
        return tuple(one for one in self.accounts if one.difference)

    def total(self, column: str) -> Decimal:
        """The sum of a column: opening, debit, credit, movement or closing."""
        return sum((getattr(one, column) for one in self.accounts), ZERO)


_SERIES = (
    "CASE WHEN right(external_id, length(period)) = period THEN left(external_id, -length(period))"
    " ELSE replace(external_id, period, '') END"
)
"""What the source states apart for one account (by ledger, branch, subaccount): statements whose keys differ in the period
alone follow one another."""

_TRIAL_BALANCE = f"""
WITH stated AS (
  SELECT account, {_SERIES} AS series, period, opening, closing
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = 'actual'
    AND left(period, 4) = %(year)s AND period <= %(until)s
), opening AS (
  SELECT account, sum(opening) AS amount FROM (
    SELECT DISTINCT ON (account, series) account, opening FROM stated ORDER BY account, series, period
  ) first GROUP BY account
), closing AS (
  SELECT account, sum(closing) AS amount FROM (
    SELECT DISTINCT ON (account, series) account, closing FROM stated ORDER BY account, series, period DESC
  ) last GROUP BY account
), movement AS (
  SELECT line.account, sum(line.debit) AS debit, sum(line.credit) AS credit
  FROM books_entry_line line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
  WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
    AND entry.status = 'posted' AND entry.balance_type = 'actual'
    AND left(entry.period, 4) = %(year)s AND entry.period <= %(until)s
  GROUP BY line.account
), used AS (
  SELECT account FROM opening UNION SELECT account FROM closing UNION SELECT account FROM movement
)
SELECT used.account, coalesce(chart.name, ''), coalesce(chart.kind, ''), coalesce(opening.amount, 0),
  coalesce(movement.debit, 0), coalesce(movement.credit, 0), closing.amount
FROM used
LEFT JOIN opening USING (account) LEFT JOIN closing USING (account) LEFT JOIN movement USING (account)
LEFT JOIN LATERAL (
  SELECT name, kind FROM books_account
  WHERE administration_id = %(administration)s AND code = used.account ORDER BY deleted_at NULLS FIRST LIMIT 1
) chart ON true
ORDER BY used.account
"""  # noqa: S608 - an expression of our own

_DIFFERING = f"""
WITH stated AS (
  SELECT left(period, 4) AS year, account, {_SERIES} AS series, period, opening, closing
  FROM books_balance
  WHERE administration_id = %(administration)s AND deleted_at IS NULL AND balance_type = 'actual'
), opening AS (
  SELECT year, account, sum(opening) AS amount FROM (
    SELECT DISTINCT ON (year, account, series) year, account, opening
    FROM stated ORDER BY year, account, series, period
  ) first GROUP BY year, account
), closing AS (
  SELECT year, account, sum(closing) AS amount FROM (
    SELECT DISTINCT ON (year, account, series) year, account, closing
    FROM stated ORDER BY year, account, series, period DESC
  ) last GROUP BY year, account
), movement AS (
  SELECT left(entry.period, 4) AS year, line.account, sum(line.debit - line.credit) AS amount
  FROM books_entry_line line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
  WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
    AND entry.status = 'posted' AND entry.balance_type = 'actual'
  GROUP BY 1, 2
)
SELECT * FROM (
  SELECT year, account, coalesce(opening.amount, 0) + coalesce(movement.amount, 0) - closing.amount AS difference
  FROM closing LEFT JOIN opening USING (year, account) LEFT JOIN movement USING (year, account)
) compared WHERE difference <> 0 ORDER BY year, account
"""  # noqa: S608 - names of ours alone


def trial_balance(administration_id: int, fiscal_year: str, to_period: str) -> TrialBalance:
    """Return the trial balance: opening at the start of `fiscal_year`, movement until and closing at the end of `to_period`."""
    values: dict[str, int | str] = {"administration": administration_id, "year": fiscal_year, "until": to_period}
    with connection.cursor() as cursor:
        cursor.execute(_TRIAL_BALANCE, values)
        return TrialBalance(fiscal_year, tuple(AccountBalance(*row) for row in cursor.fetchall()))


def differing_accounts(administration_id: int) -> dict[str, list[tuple[str, Decimal]]]:
    """Return by fiscal year the accounts whose closing balance differs from the source's, with the difference: ours less the
    source's. Years and accounts that agree are absent; so are those of which the source states nothing."""
    differences: dict[str, list[tuple[str, Decimal]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERING, {"administration": administration_id})
        for year, account, difference in cursor.fetchall():
            differences.setdefault(year, []).append((account, difference))
    return differences
