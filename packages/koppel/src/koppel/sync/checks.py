"""After something changed: do the books agree with themselves and with the source? If not, an issue."""

from collections.abc import Callable
from decimal import Decimal

from django.db import connection

from koppel.administrations.models import Administration
from koppel.books.reports.trial_balance import differing_accounts
from koppel.issues.issue_types import IssueCode
from koppel.issues.services import has_open_issues, reconcile_issues
from koppel.kit.database.json_fields import MessageContext
from koppel.sync.issue_types import SyncIssue
from koppel.sync.runs.claims import ClaimedRun

Problems = dict[str, MessageContext]
"""The facts of what is wrong, by the issue's detail."""
UNBALANCED_MAX = 100
ACCOUNTS_NAMED = 40

_UNBALANCED = """
SELECT entry.external_id, entry.number, line.difference
  FROM (SELECT administration_id, entry, sum(debit - credit) AS difference FROM books_entry_line
         WHERE administration_id = %s AND deleted_at IS NULL
         GROUP BY administration_id, entry HAVING sum(debit - credit) <> 0) line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
 WHERE entry.administration_id = %s AND entry.deleted_at IS NULL
 ORDER BY entry.external_id LIMIT %s
"""
_REJECTED = """
SELECT resource, count(*), min(reason) FROM sync_rejected_record
 WHERE organisation_id = %s AND administration_id = %s GROUP BY resource
"""
_IN_CLOSED_PERIODS = """
SELECT period, count(*), max(run_id) FROM sync_change
 WHERE administration_id = %s AND at > now() - interval '30 days' AND in_closed_period
   AND resource IN ('entries', 'entry_lines')
 GROUP BY period ORDER BY period
"""
_HAS_CHANGES = """
WITH since AS (
  SELECT coalesce(max(id), 0) AS id, coalesce(max(created_at), '-infinity') AS created_at FROM (
    SELECT id, created_at FROM sync_run
     WHERE administration_id = %(administration)s AND state = 'succeeded' AND id <> %(run)s ORDER BY created_at DESC LIMIT 1
  ) newest
)
SELECT EXISTS (SELECT FROM since JOIN sync_change change
                   ON change.administration_id = %(administration)s AND change.run_id > since.id)
    OR EXISTS (SELECT FROM since JOIN sync_run run
                   ON run.administration_id = %(administration)s AND run.created_at > since.created_at
                 JOIN sync_run_resource run_resource ON run_resource.run_id = run.id
                WHERE run_resource.added + run_resource.changed + run_resource.deleted + run_resource.rejected > 0)
"""


def is_due(claimed: ClaimedRun) -> bool:
    """Whether anything changed since the run before this one that ended well: in an earlier attempt too, whose worker died,
    or in a run that was stopped. What is wrong is looked at again each time."""
    with connection.cursor() as cursor:
        cursor.execute(_HAS_CHANGES, {"administration": claimed.administration_id, "run": claimed.id})
        has_news = bool(cursor.fetchone()[0])
    return has_news or has_open_issues(
        claimed.organisation_id, ("administration", claimed.administration_id), tuple(_CHECKS)
    )


def check(organisation_id: int, administration_id: int) -> None:
    """Raise what is wrong, resolve what is right again. Joins the caller's scope."""
    problems = {code: looked(organisation_id, administration_id) for code, looked in _CHECKS.items()}
    reconcile_issues(organisation_id, ("administration", administration_id), problems)


def _unbalanced(_organisation_id: int, administration_id: int) -> Problems:
    with connection.cursor() as cursor:
        cursor.execute(_UNBALANCED, [administration_id, administration_id, UNBALANCED_MAX])
        rows: list[tuple[str, str, Decimal]] = cursor.fetchall()
    return {
        key: {"number": number, "difference": format_amount(difference), "entry": key}
        for key, number, difference in rows
    }


def _balances(_organisation_id: int, administration_id: int) -> Problems:
    rows: Problems = {}
    for year, accounts in differing_accounts(administration_id).items():
        account_list = ", ".join(
            f"{code} ({format_amount(difference)})" for code, difference in accounts[:ACCOUNTS_NAMED]
        )
        rows[year] = {"year": year, "count": len(accounts), "accounts": account_list}
    if rows:
        currency = Administration.objects.values_list("base_currency", flat=True).get(pk=administration_id)
        for facts in rows.values():
            facts["currency"] = currency
    return rows


def _rejected(organisation_id: int, administration_id: int) -> Problems:
    with connection.cursor() as cursor:
        cursor.execute(_REJECTED, [organisation_id, administration_id])
        rows: list[tuple[str, int, str]] = cursor.fetchall()
    return {resource: {"resource": resource, "count": count, "reason": reason} for resource, count, reason in rows}


def _closed_periods(_organisation_id: int, administration_id: int) -> Problems:
    """Whoever filed accounts on a closed period wants to know that it moved. Told for a month after the last change."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_CLOSED_PERIODS, [administration_id])
        rows: list[tuple[str, int, int]] = cursor.fetchall()
    return {period: {"period": period, "count": count, "run": run} for period, count, run in rows}


_CHECKS: dict[IssueCode, Callable[[int, int], Problems]] = {
    SyncIssue.ENTRY_UNBALANCED: _unbalanced,
    SyncIssue.BALANCE_DIFFERS: _balances,
    SyncIssue.RECORDS_REJECTED: _rejected,
    SyncIssue.CLOSED_PERIOD_CHANGED: _closed_periods,
}


def format_amount(amount: Decimal) -> str:
    """Exact, with two decimals where two are enough: `-67800.00`, not `-67800.0000`."""
    cents = amount.quantize(Decimal("0.01"))
    return str(cents if cents == amount else amount.normalize())
