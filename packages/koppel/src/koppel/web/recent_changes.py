"""The data of the page of recent changes: records that syncs changed, and company details that changed in the
accounting system, by administration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from django.core.paginator import Paginator
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations import hooks
from koppel.administrations.hooks import ChangeCounts
from koppel.administrations.models import Administration
from koppel.audit.subjects import SubjectKind
from koppel.connections.companies.changes import CHANGE_ISSUES
from koppel.issues.models import Issue
from koppel.issues.queries import render_issue_message
from koppel.organisations.people.page_preferences import begin_visit_to_changes
from koppel.organisations.roles import Actor

PAGE_SIZE = 100
FRIDAY = 4


class ChangesPeriod(StrEnum):
    """The periods that the page offers."""

    FRIDAY = "friday"
    VISIT = "visit"
    WEEK = "7days"
    MONTH = "30days"


PERIODS: Mapping[ChangesPeriod, str | Promise] = {
    ChangesPeriod.FRIDAY: _("Since Friday"),
    ChangesPeriod.VISIT: _("Since your last visit"),
    ChangesPeriod.WEEK: _("7 days"),
    ChangesPeriod.MONTH: _("30 days"),
}


@dataclass(frozen=True, kw_only=True)
class ChangedAdministration:
    """An administration whose records or company details changed."""

    id: int
    name: str
    counts: ChangeCounts
    details: Sequence[str]
    """A sentence with old and new value for each company detail that changed."""


@dataclass(frozen=True, kw_only=True)
class RecentChanges:
    """A page of the administrations that changed in a period, most changes first."""

    period: ChangesPeriod
    since: datetime
    has_visited: bool
    """Whether the member looked at the changes before this visit."""
    rows: Sequence[ChangedAdministration]
    totals: ChangeCounts
    total: int
    page: int
    pages: int


def load_recent_changes(actor: Actor, period: ChangesPeriod | None, number: int = 1) -> RecentChanges:
    """Return the changes of a period; by default since the last visit, or since Friday on the first one."""
    visited_at = begin_visit_to_changes(actor)
    chosen = period or (ChangesPeriod.VISIT if visited_at else ChangesPeriod.FRIDAY)
    since = _start_of(chosen, visited_at)
    names = dict(Administration.objects.visible_to(actor).values_list("pk", "name"))
    counted = [
        counts
        for counts in hooks.changes_since(actor.organisation_id, since)
        if counts.administration_id in names
    ]
    details = _company_details(actor, since, names)
    changed_ids = {counts.administration_id for counts in counted}
    counted += [
        ChangeCounts(administration_id=administration_id, added=0, changed=0, deleted=0)
        for administration_id in sorted(details)
        if administration_id not in changed_ids
    ]
    page = Paginator(counted, PAGE_SIZE).get_page(number)
    rows = [
        ChangedAdministration(
            id=counts.administration_id,
            name=names[counts.administration_id],
            counts=counts,
            details=details.get(counts.administration_id, ()),
        )
        for counts in page
    ]
    return RecentChanges(
        period=chosen,
        since=since,
        has_visited=visited_at is not None,
        rows=rows,
        totals=_sum(counted),
        total=page.paginator.count,
        page=page.number,
        pages=page.paginator.num_pages,
    )


def _start_of(period: ChangesPeriod, visited_at: datetime | None) -> datetime:
    now = timezone.localtime()
    if period is ChangesPeriod.VISIT and visited_at:
        return visited_at
    days = {ChangesPeriod.WEEK: 7, ChangesPeriod.MONTH: 30}.get(period)
    if days:
        return now - timedelta(days=days)
    last_friday = now.date() - timedelta(days=days_since_friday(now.weekday()))
    return timezone.make_aware(datetime.combine(last_friday, time.min))


def days_since_friday(weekday: int) -> int:
    """Return the days since the Friday before a day of the week (0 = Monday): seven on a Friday itself."""
    return (weekday - FRIDAY) % 7 or 7


def _company_details(actor: Actor, since: datetime, names: Mapping[int, str]) -> dict[int, list[str]]:
    """Return the changes of names, codes and numbers by administration, reviewed or not."""
    issues = Issue.objects.for_actor(actor).filter(
        code__in=CHANGE_ISSUES, subject_kind=SubjectKind.ADMINISTRATION, raised_at__gte=since
    )
    details: dict[int, list[str]] = {}
    for issue in issues.order_by("raised_at", "pk"):
        if issue.subject_id in names:
            sentence = render_issue_message(issue.code, issue.context)
            details.setdefault(issue.subject_id, []).append(sentence)
    return details


def _sum(counted: Sequence[ChangeCounts]) -> ChangeCounts:
    return ChangeCounts(
        administration_id=0,
        added=sum(counts.added for counts in counted),
        changed=sum(counts.changed for counts in counted),
        deleted=sum(counts.deleted for counts in counted),
    )
