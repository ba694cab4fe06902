"""What moved in each period of a fiscal year: by account, and as income and cost. From posted entries of the actual ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import connection

_MOVEMENT_BY_PERIOD = """
SELECT line.account, entry.period, sum(line.debit - line.credit)
FROM books_entry_line line
JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
WHERE line.administration_id = %(administration)s AND line.deleted_at IS NULL AND entry.deleted_at IS NULL
  AND entry.status = 'posted' AND entry.balance_type = 'actual' AND left(entry.period, 4) = %(year)s
GROUP BY 1, 2
"""

_RESULT_BY_PERIOD = """
SELECT entry.period,
  coalesce(sum(line.credit - line.debit) FILTER (WHERE chart.kind = 'income'), 0),
  coalesce(sum(line.debit - line.credit) FILTER (WHERE chart.kind = 'expense'), 0)
FROM books_entry entry
JOIN books_entry_line line ON line.administration_id = entry.administration_id AND line.entry = entry.external_id
  AND line.deleted_at IS NULL
JOIN books_account chart ON chart.administration_id = line.administration_id AND chart.code = line.account
  AND chart.deleted_at IS NULL
WHERE entry.administration_id = %(administration)s AND entry.deleted_at IS NULL
  AND entry.status = 'posted' AND entry.balance_type = 'actual' AND left(entry.period, 4) = %(year)s
GROUP BY entry.period ORDER BY entry.period
"""


@dataclass(frozen=True)
class PeriodResult:
    """Income and cost of one period (`YYYYPP`), each positive when it is of the usual sign."""

    period: str
    income: Decimal
    cost: Decimal


def movement_by_period(administration_id: int, fiscal_year: str) -> dict[tuple[str, str], Decimal]:
    """Return the net movement (debit less credit) by (account code, period)."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVEMENT_BY_PERIOD, {"administration": administration_id, "year": fiscal_year})
        return {(account, period): amount for account, period, amount in cursor.fetchall()}


def result_by_period(administration_id: int, fiscal_year: str) -> Sequence[PeriodResult]:
    """Return the results in order of the periods; periods without entries are absent."""
    with connection.cursor() as cursor:
        cursor.execute(_RESULT_BY_PERIOD, {"administration": administration_id, "year": fiscal_year})
        return [PeriodResult(*row) for row in cursor.fetchall()]
