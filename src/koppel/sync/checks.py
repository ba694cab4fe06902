"""After a run that changed something: do the books agree with themselves and with the source? If not, an issue."""

from decimal import Decimal

from django.db import connection

from koppel.administrations.models import Administration
from koppel.books.trial_balance import fiscal_years, trial_balance
from koppel.issues.services import raise_issue, resolve_issues
from koppel.sync.models import RejectedRecord

UNBALANCED_MAX = 100
ACCOUNTS_NAMED = 40

_UNBALANCED = """
SELECT entry.external_id, entry.number, line.difference
  FROM (SELECT administration_id, entry, sum(debit) - sum(credit) AS difference FROM books_entry_line
         WHERE administration_id = %s AND deleted_at IS NULL
         GROUP BY administration_id, entry HAVING sum(debit) <> sum(credit)) line
  JOIN books_entry entry ON entry.administration_id = line.administration_id AND entry.external_id = line.entry
 WHERE entry.deleted_at IS NULL
 ORDER BY entry.external_id LIMIT %s
"""


_IN_CLOSED_PERIODS = """
SELECT period, count(*), max(run_id) FROM sync_change
 WHERE administration_id = %s AND at > now() - interval '30 days' AND in_closed_period
   AND resource IN ('entries', 'entry_lines')
 GROUP BY period ORDER BY period
"""


def check(organisation_id: int, administration_id: int) -> None:
    """Raise what is wrong, resolve what is right again. Joins the caller's scope."""
    subject = ("administration", administration_id)
    _unbalanced(organisation_id, subject)
    _balances(organisation_id, subject)
    _rejected(organisation_id, subject)
    _closed_periods(organisation_id, subject)


def _unbalanced(organisation_id: int, subject: tuple[str, int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_UNBALANCED, [subject[1], UNBALANCED_MAX])
        found: list[tuple[str, str, Decimal]] = cursor.fetchall()
    resolve_issues_except(organisation_id, subject, "entry_unbalanced", {key for key, _number, _difference in found})
    for key, number, difference in found:
        facts = {"number": number, "difference": plain(difference), "entry": key}
        raise_issue(organisation_id, "entry_unbalanced", subject, facts, detail_key=key)


def _balances(organisation_id: int, subject: tuple[str, int]) -> None:
    currency = Administration.objects.values_list("base_currency", flat=True).get(pk=subject[1])
    differing = {}
    for year, last in fiscal_years(subject[1]).items():
        accounts = trial_balance(subject[1], year, last).differing
        if accounts:
            differing[year] = accounts
    resolve_issues_except(organisation_id, subject, "balance_differs", set(differing))
    for year, accounts in differing.items():
        named = [f"{one.code} ({plain(one.difference)})" for one in accounts[:ACCOUNTS_NAMED]]
        facts = {"year": year, "count": len(accounts), "accounts": ", ".join(named), "currency": currency}
        raise_issue(organisation_id, "balance_differs", subject, facts, detail_key=year)


def _rejected(organisation_id: int, subject: tuple[str, int]) -> None:
    rows = RejectedRecord.objects.filter(organisation_id=organisation_id, administration_id=subject[1])
    counts: dict[str, int] = {}
    for resource in rows.values_list("resource", flat=True):
        counts[resource] = counts.get(resource, 0) + 1
    resolve_issues_except(organisation_id, subject, "records_rejected", set(counts))
    for resource, count in counts.items():
        reason = rows.filter(resource=resource).values_list("reason", flat=True).first() or ""
        facts = {"resource": resource, "count": count, "reason": reason}
        raise_issue(organisation_id, "records_rejected", subject, facts, detail_key=resource)


def _closed_periods(organisation_id: int, subject: tuple[str, int]) -> None:
    """Whoever filed accounts on a closed period wants to know that it moved. Told for a month after the last change."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_CLOSED_PERIODS, [subject[1]])
        found: list[tuple[str, int, int]] = cursor.fetchall()
    resolve_issues_except(organisation_id, subject, "closed_period_changed", {period for period, _c, _r in found})
    for period, count, run in found:
        facts = {"period": period, "count": count, "run": run}
        raise_issue(organisation_id, "closed_period_changed", subject, facts, detail_key=period)


def resolve_issues_except(organisation_id: int, subject: tuple[str, int], code: str, still: set[str]) -> None:
    """Resolve the open issues of a code whose detail is not in `still`."""
    from koppel.issues.models import Issue  # noqa: PLC0415 - only here

    found = Issue.objects.filter(
        organisation_id=organisation_id, subject_kind=subject[0], subject_id=subject[1], code=code, resolved_at=None
    )
    for detail in set(found.values_list("detail_key", flat=True)) - still:
        resolve_issues(organisation_id, subject, code, detail_key=detail)


def plain(amount: Decimal) -> str:
    """Exact, with two decimals where two are enough: `-67800.00`, not `-67800.0000`."""
    cents = amount.quantize(Decimal("0.01"))
    return str(cents if cents == amount else amount.normalize())
