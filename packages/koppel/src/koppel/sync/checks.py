"""Consistency checks after a sync: the books must balance, and agree with the source."""

from collections.abc import Callable
from decimal import Decimal

from django.db import connection as django_connection

from koppel.administrations.models import Administration
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.models import ACTUAL, POSTED
from koppel.books.reports.trial_balance import differing_accounts, unbalanced_openings
from koppel.books.reports.year_transitions import broken_transitions
from koppel.connector.registry import system_title
from koppel.issues.issue_types import IssueCode
from koppel.issues.services import has_open_issues, reconcile_issues
from koppel.kit.database.json_fields import MessageContext
from koppel.kit.database.sql_files import load_statements
from koppel.sync.issue_types import SyncIssue
from koppel.sync.models import RunState
from koppel.sync.runs.claims import ClaimedRun

Problems = dict[str, MessageContext]
"""The context of each problem's message, by the key of the problem."""
UNBALANCED_MAX = 100
ACCOUNTS_NAMED_MAX = 40
_SQL = load_statements("koppel.sync")


def checks_are_due(run: ClaimedRun) -> bool:
    """Return whether the checks must run: something changed since the last check, or an issue is open.

    Counts changes since the last successful run, including changes of cancelled runs and of attempts whose
    worker died.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["has_changes_since_last_check"],
            {"administration": run.administration_id, "run": run.id, "succeeded": RunState.SUCCEEDED},
        )
        has_news = bool(cursor.fetchone()[0])
    return has_news or has_open_issues(
        run.organisation_id,
        Subject(SubjectKind.ADMINISTRATION, run.administration_id),
        tuple(_CHECKS),
    )


def reconcile_check_issues(organisation_id: int, administration_id: int) -> None:
    """Raise issues for the problems found and resolve the others, in the caller's transaction."""
    shared = _shared_context(administration_id)
    problems = {
        code: {
            detail: {**shared, **context}
            for detail, context in find_problems(organisation_id, administration_id).items()
        }
        for code, find_problems in _CHECKS.items()
    }
    reconcile_issues(organisation_id, Subject(SubjectKind.ADMINISTRATION, administration_id), problems)


def _find_unbalanced_entries(_organisation_id: int, administration_id: int) -> Problems:
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_unbalanced_entries"],
            {
                "administration": administration_id,
                "limit": UNBALANCED_MAX,
                "posted": POSTED,
                "actual": ACTUAL,
            },
        )
        rows: list[tuple[str, str, str, Decimal]] = cursor.fetchall()
    return {
        key: {"journal": journal, "number": number, "difference": format_amount(difference), "entry": key}
        for key, journal, number, difference in rows
    }


def _find_entries_with_another_total(_organisation_id: int, administration_id: int) -> Problems:
    """Return the entries whose lines are not all there, by the total that the source states."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_entries_with_another_total"],
            {
                "administration": administration_id,
                "limit": UNBALANCED_MAX,
                "posted": POSTED,
                "actual": ACTUAL,
            },
        )
        rows: list[tuple[str, str, str, Decimal, Decimal]] = cursor.fetchall()
    return {
        key: {
            "journal": journal,
            "number": number,
            "total": format_amount(total),
            "sum": format_amount(lines),
            "entry": key,
        }
        for key, journal, number, total, lines in rows
    }


def _find_differing_balances(_organisation_id: int, administration_id: int) -> Problems:
    rows: Problems = {}
    for year, accounts in differing_accounts(administration_id).items():
        account_list = ", ".join(
            f"{code} ({format_amount(difference)})" for code, difference in accounts[:ACCOUNTS_NAMED_MAX]
        )
        rows[year] = {"year": year, "count": len(accounts), "accounts": account_list}
    return rows


def _find_unbalanced_openings(_organisation_id: int, administration_id: int) -> Problems:
    """Return the years whose stated opening balances do not add up to zero.

    Closing balances do not either then; entries that do not balance are found by themselves.
    """
    return {
        year: {"year": year, "difference": format_amount(total)}
        for year, total in unbalanced_openings(administration_id).items()
    }


def _find_broken_transitions(_organisation_id: int, administration_id: int) -> Problems:
    """Return the years that open with other balances than those before closed with."""
    problems: Problems = {}
    for broken in broken_transitions(administration_id):
        account_list = ", ".join(
            f"{account.code} ({format_amount(account.difference)})"
            for account in broken.accounts[:ACCOUNTS_NAMED_MAX]
        )
        problems[broken.year] = {
            "year": broken.year,
            "before": broken.before,
            "count": len(broken.accounts),
            "accounts": account_list,
        }
    return problems


def _shared_context(administration_id: int) -> MessageContext:
    """Return what the sentences of all checks may name."""
    fields = Administration.objects.values_list("base_currency", "connection__connector")
    currency, connector = fields.get(pk=administration_id)
    context: MessageContext = {"currency": currency}
    if title := system_title(connector):
        context["system"] = title
    return context


def _count_rejected_records(organisation_id: int, administration_id: int) -> Problems:
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["count_rejected_records"],
            {"organisation": organisation_id, "administration": administration_id},
        )
        rows: list[tuple[str, int, str]] = cursor.fetchall()
    return {
        resource: {"resource": resource, "count": count, "reason": reason} for resource, count, reason in rows
    }


def _find_changed_closed_periods(_organisation_id: int, administration_id: int) -> Problems:
    """Return the closed periods that changed in the last month.

    Returns may have been filed on their figures.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_changed_closed_periods"],
            {"administration": administration_id, "resources": ["entries", "entry_lines"]},
        )
        rows: list[tuple[str, int, int]] = cursor.fetchall()
    return {period: {"period": period, "count": count, "run": run} for period, count, run in rows}


_CHECKS: dict[IssueCode, Callable[[int, int], Problems]] = {
    SyncIssue.ENTRY_UNBALANCED: _find_unbalanced_entries,
    SyncIssue.ENTRY_TOTAL_DIFFERS: _find_entries_with_another_total,
    SyncIssue.BALANCE_DIFFERS: _find_differing_balances,
    SyncIssue.OPENING_UNBALANCED: _find_unbalanced_openings,
    SyncIssue.YEARS_NOT_JOINED: _find_broken_transitions,
    SyncIssue.RECORDS_REJECTED: _count_rejected_records,
    SyncIssue.CLOSED_PERIOD_CHANGED: _find_changed_closed_periods,
}


def format_amount(amount: Decimal) -> str:
    """Return the exact amount with at least two decimals: `-67800.00`, not `-67800.0000`."""
    cents = amount.quantize(Decimal("0.01"))
    return format(cents if cents == amount else amount.normalize(), "f")
