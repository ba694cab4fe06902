"""The data of the dashboard and the issues page: counts with their lists, within what the actor may see."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from koppel.administrations import hooks, restriction
from koppel.administrations.display_state import count_by_state
from koppel.administrations.hooks import ActiveSync, ChangeCounts, SyncProgress
from koppel.administrations.issues.queries import (
    IssueTypeCount,
    count_open_by_type,
    newest_by_type,
    newest_of,
    own_count,
)
from koppel.administrations.list.filter_menu import FRESHNESS_LABELS
from koppel.administrations.list.queryset import CHANGED_HOURS, freshness_of_moments
from koppel.administrations.models import Administration, Assignment
from koppel.audit.subjects import SubjectKind
from koppel.connections.models import Connection, ConnectionState
from koppel.connections.queries import apps_for
from koppel.connector.registry import connectors
from koppel.issues.models import needs_attention
from koppel.issues.queries import IssueView, readable_issues
from koppel.kit.database.health.alarm_state import raised_alarms
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission, Role
from koppel.sync.issue_types import SyncIssue

ROWS_SHOWN = 7
CLOSED_SHOWN = 5
HISTORY_DAYS, HISTORY_DAYS_MIN = 30, 7


@dataclass(frozen=True, kw_only=True)
class IssueGroup:
    """The issues of one type: the newest one, and the link and button to all of them."""

    type_count: IssueTypeCount
    newest: tuple[IssueView, str]
    url: str
    button: str


@dataclass(frozen=True, kw_only=True)
class IssueSummary:
    """Open issues: their number, the number of administrations, by type, and the people responsible."""

    total: int
    administrations: int
    groups: Sequence["IssueGroup"]
    own_count: int
    """Issues of the actor's administrations and connections, or assigned to the actor."""
    by_person: Sequence[tuple[str, int, str]]
    """(name, administrations with an issue, the list behind it)"""
    connections: int
    """Connections that wait for a sign-in."""


@dataclass(frozen=True)
class ActiveSyncs:
    """Imports and syncs under way. `seconds_left`: until the last running one ends, shown when none waits;
    None without a measured pace.
    """

    imports: int
    syncs: int
    waiting: int
    seconds_left: int | None
    rows: Sequence[tuple[Administration, SyncProgress | None]]

    @property
    def total(self) -> int:
        return self.imports + self.syncs


@dataclass(frozen=True, kw_only=True)
class FreshnessBucket:
    """The number of administrations of this freshness, and their share of all in percent."""

    key: str
    label: str | Promise
    count: int
    percent: int


@dataclass(frozen=True)
class Dashboard:
    alarms: Sequence[str]
    """Faults of the installation that stop work, for Administrators."""
    total: int
    by_status: Mapping[str, int]
    issues: IssueSummary
    active_syncs: ActiveSyncs
    freshness: Sequence[FreshnessBucket]
    changes: Sequence[tuple[str, ChangeCounts]]
    """(name of the administration, what changed), biggest first."""
    changed_count: int
    connections: Sequence[tuple[str, int]]
    """(state, how many)"""
    connection_total: int
    has_app: bool
    """Whether an app registration exists, without which no sign-in at an accounting system is possible."""
    restricted_count: int
    closed_periods: Sequence[tuple[IssueView, str]]
    """Closed periods that changed, the newest first."""
    growth: Sequence[int]
    """The number of administrations on each of the last 30 days; [] without a change or a week's history."""

    @property
    def fresh_percent(self) -> int:
        return self.freshness[0].percent

    @property
    def fresh_count(self) -> int:
        return self.freshness[0].count


def load_dashboard(actor: Actor) -> Dashboard:
    """Load everything at once. Names and ids of what the actor sees are read once, and every count is limited
    to them.
    """
    visible = Administration.objects.visible_to(actor)
    rows = list(visible.values_list("pk", "name", "created_at", "complete_as_of"))
    names = {administration_id: name for administration_id, name, *_times in rows}
    by_status = count_by_state(visible)
    changes = _changes(actor, names)
    states = _connections(actor)
    return Dashboard(
        alarms=_alarms(actor),
        total=len(names),
        by_status=by_status,
        issues=_issue_summary(actor, names, dict(states)),
        active_syncs=_active_syncs(actor, names),
        freshness=_freshness([complete_as_of for *_others, complete_as_of in rows]),
        changes=changes[:ROWS_SHOWN],
        changed_count=len(changes),
        connections=states,
        connection_total=sum(count for _state, count in states),
        has_app=bool(names) or any(apps_for(actor, key) for key in connectors()),
        restricted_count=restriction.count_hidden(actor),
        closed_periods=newest_of(actor, SyncIssue.CLOSED_PERIOD_CHANGED, CLOSED_SHOWN),
        growth=_growth([created_at for _id, _name, created_at, _complete_as_of in rows]),
    )


def _alarms(actor: Actor) -> list[str]:
    if not actor.can(Permission.MANAGE_ORGANISATION):
        return []
    return [alarm.message for alarm in raised_alarms(for_administrators=True)]


def _growth(created: Sequence[datetime]) -> list[int]:
    """Return the number of administrations at the end of each of the last days; [] without a week's history,
    and when it did not change.
    """
    now = timezone.now()
    if min(created, default=now) > now - timedelta(days=HISTORY_DAYS_MIN):
        return []
    ends = [now - timedelta(days=days) for days in range(HISTORY_DAYS - 1, -1, -1)]
    counts = [sum(created_at <= end for created_at in created) for end in ends]
    return counts if len(set(counts)) > 1 else []


def _issue_summary(actor: Actor, names: Mapping[int, str], connections: Mapping[str, int]) -> IssueSummary:
    issues = readable_issues(actor).filter(needs_attention())
    subjects = (
        issues.filter(subject_kind=SubjectKind.ADMINISTRATION)
        .values_list("subject_id")
        .annotate(Count("pk"))
        .order_by()
    )
    counts = {key: count for key, count in subjects if key in names}
    total = sum(counts.values())
    if actor.can(Permission.IMPORT_ADMINISTRATIONS):
        total += issues.filter(subject_kind=SubjectKind.CONNECTION).count()
    by_person = _count_by_person(actor, counts)
    waiting = (
        connections.get(ConnectionState.NEEDS_REAUTH, 0)
        if actor.can(Permission.IMPORT_ADMINISTRATIONS)
        else 0
    )
    return IssueSummary(
        total=total,
        administrations=len(counts),
        groups=_issue_groups(actor),
        own_count=own_count(actor),
        by_person=by_person,
        connections=waiting,
    )


def _issue_groups(actor: Actor) -> list[IssueGroup]:
    """Return the first types with one button: a single issue's own, else the list of its type."""
    groups = []
    newest = newest_by_type(actor)
    for type_count in count_open_by_type(actor)[:ROWS_SHOWN]:
        if type_count.code not in newest:  # raised in between
            continue
        issue, name = newest[type_count.code]
        is_single = type_count.count == 1 and issue.link
        query = f"?{urlencode({'kind': type_count.code})}" if type_count.is_known else ""
        url = issue.link if is_single else f"{reverse('issues:list')}{query}"
        button = issue.button if is_single else gettext("Review")
        groups.append(IssueGroup(type_count=type_count, newest=(issue, name), url=url, button=button))
    return groups


def _count_by_person(actor: Actor, counts: Mapping[int, int]) -> list[tuple[str, int, str]]:
    """Count administrations with issues per person, without those that Administrators have by default."""
    if not actor.sees_all_administrations:
        return []
    all_assignments = Assignment.objects.for_actor(actor).filter(administration_id__in=list(counts))
    assignments = all_assignments.filter(Q(automatic=False) | ~Q(membership__role=Role.ADMINISTRATOR))
    by_member: dict[int, int] = {}
    assigned: set[int] = set()
    for administration_id, member in assignments.values_list("administration_id", "membership_id"):
        by_member[member] = by_member.get(member, 0) + 1
        assigned.add(administration_id)
    members = Membership.objects.for_actor(actor).filter(pk__in=by_member).select_related("user")
    people = {member.pk: str(member.user) for member in members}
    rows = sorted(
        (
            (people[member_id], count, _list_url(user=str(member_id), issues="any"))
            for member_id, count in by_member.items()
        ),
        key=lambda row: (-row[1], row[0]),
    )
    if unassigned_count := len(counts) - len(assigned):
        rows.append((str(_("No one selected")), unassigned_count, _list_url(user="none", issues="any")))
    return rows[:ROWS_SHOWN]


def _active_syncs(actor: Actor, names: Mapping[int, str]) -> ActiveSyncs:
    under_way = [run for run in hooks.active_syncs(actor.organisation_id) if run.administration_id in names]
    first = sorted(under_way, key=_by_time_left)[:ROWS_SHOWN]
    ids = [run.administration_id for run in first]
    progress = hooks.progress_of(actor.organisation_id, ids)
    administrations = Administration.objects.for_actor(actor).in_bulk(ids)
    seconds_left = [run.seconds_left for run in under_way if run.seconds_left is not None]
    return ActiveSyncs(
        imports=sum(run.is_import for run in under_way),
        syncs=sum(not run.is_import for run in under_way),
        waiting=sum(not run.is_running for run in under_way),
        seconds_left=max(seconds_left, default=None),
        rows=[
            (administrations[administration_id], progress.get(administration_id))
            for administration_id in ids
            if administration_id in administrations
        ],
    )


def _by_time_left(run: ActiveSync) -> tuple[bool, float]:
    return not run.is_running, run.seconds_left if run.seconds_left is not None else float("inf")


def _freshness(complete_as_of: Sequence[datetime | None]) -> list[FreshnessBucket]:
    freshness = freshness_of_moments()
    counted, total = Counter(map(freshness, complete_as_of)), len(complete_as_of)
    return [
        FreshnessBucket(
            key=key,
            label=label,
            count=counted[key],
            percent=round(100 * counted[key] / total) if total else 0,
        )
        for key, label in FRESHNESS_LABELS.items()
    ]


def _changes(actor: Actor, names: Mapping[int, str]) -> list[tuple[str, ChangeCounts]]:
    since = timezone.now() - timedelta(hours=CHANGED_HOURS)
    changes = hooks.changes_since(actor.organisation_id, since)
    return [
        (names[change.administration_id], change) for change in changes if change.administration_id in names
    ]


def _connections(actor: Actor) -> list[tuple[str, int]]:
    """Count connections by state, those that need a person first; for members who may see connections."""
    if not actor.can(Permission.IMPORT_ADMINISTRATIONS):
        return []
    connections = Connection.objects.for_actor(actor).exclude(state=ConnectionState.REMOVED)
    counts = dict(connections.values_list("state").annotate(Count("pk")).order_by())
    order = ("needs_reauth", "degraded", "paused", "pending", "active")
    return [(state, counts[state]) for state in order if state in counts]


def _list_url(**filters: str) -> str:
    return f"{reverse('administrations:list')}?{urlencode(filters)}"
