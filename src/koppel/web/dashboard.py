"""What the dashboard and the issues page show: counts with the lists behind them, within what the actor may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations import restriction
from koppel.administrations.hooks import extension_points
from koppel.administrations.hooks.extension_points import Change, Progress, UnderWay
from koppel.administrations.list.filter_menu import FRESHNESS_LABELS
from koppel.administrations.list.queryset import CHANGED_HOURS, of_age
from koppel.administrations.models import Administration, Assignment
from koppel.administrations.scope import visible_to
from koppel.connections.models import Connection, ConnectionState
from koppel.connections.queries import apps_for
from koppel.connector.registry import connectors
from koppel.issues.models import Issue
from koppel.issues.queries import IssueView
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission, Role
from koppel.web.issues import newest

SHOWN = 7


@dataclass(frozen=True)
class Needs:
    """Open issues: how many, on how many administrations, the newest, and whose they are."""

    total: int
    administrations: int
    newest: Sequence[tuple[IssueView, str]]
    mine: int
    by_person: Sequence[tuple[str, int, str]]
    """(name, administrations with an issue, the list behind it)"""
    connections: int
    """That wait for somebody to sign in."""


@dataclass(frozen=True)
class Running:
    """Imports and syncs under way. `seconds_left`: until the last of those that run now; None without a pace yet."""

    imports: int
    syncs: int
    waiting: int
    seconds_left: int | None
    shown: Sequence[tuple[Administration, Progress | None]]

    @property
    def total(self) -> int:
        return self.imports + self.syncs


@dataclass(frozen=True)
class Age:
    """How many administrations are this fresh, and their share of all in percent."""

    key: str
    label: str | Promise
    count: int
    percent: int


@dataclass(frozen=True)
class Overview:
    total: int
    by_status: Mapping[str, int]
    needs: Needs
    running: Running
    ages: Sequence[Age]
    changes: Sequence[tuple[str, Change]]
    """(name of the administration, what changed), biggest first."""
    changed_count: int
    connections: Sequence[tuple[str, int]]
    """(state, how many)"""
    connection_total: int
    has_app: bool
    """Whether anybody can sign in at an accounting system: an app is registered there."""
    hidden: int

    @property
    def fresh_percent(self) -> int:
        return self.ages[0].percent


def overview(actor: Actor) -> Overview:
    """One look at everything. Names and ids of what the actor sees are read once: every count is kept within them."""
    visible = visible_to(actor)
    names = dict(visible.values_list("pk", "name"))
    by_status = dict(visible.values_list("status").annotate(Count("pk")).order_by())
    changes = _changes(actor, names)
    states = _connections(actor)
    return Overview(
        total=len(names),
        by_status=by_status,
        needs=_needs(actor, names, dict(states)),
        running=_running(actor, names),
        ages=_ages(actor, len(names)),
        changes=changes[:SHOWN],
        changed_count=len(changes),
        connections=states,
        connection_total=sum(count for _state, count in states),
        has_app=bool(names) or any(apps_for(actor, key) for key in connectors()),
        hidden=restriction.count_hidden_from(actor),
    )


def _needs(actor: Actor, names: Mapping[int, str], connections: Mapping[str, int]) -> Needs:
    found = Issue.objects.filter(organisation_id=actor.organisation_id, resolved_at=None)
    subjects = found.filter(subject_kind="administration").values_list("subject_id").annotate(Count("pk")).order_by()
    counts = {key: count for key, count in subjects if key in names}
    total = sum(counts.values())
    if actor.may(Permission.IMPORT):
        total += found.filter(subject_kind="connection").count()
    mine, by_person = _by_person(actor, counts)
    waiting = connections.get(ConnectionState.NEEDS_REAUTH, 0) if actor.may(Permission.IMPORT) else 0
    return Needs(total, len(counts), newest(actor, SHOWN), mine, by_person, waiting)


def _by_person(actor: Actor, counts: Mapping[int, int]) -> tuple[int, list[tuple[str, int, str]]]:
    """Whose administrations have issues; what Administrators are on by default is not theirs to mend."""
    own = Assignment.objects.filter(organisation_id=actor.organisation_id, administration_id__in=list(counts))
    at_work = own.filter(Q(automatic=False) | ~Q(membership__role=Role.ADMINISTRATOR))
    by_member: dict[int, int] = {}
    held: set[int] = set()
    for administration_id, member in at_work.values_list("administration_id", "membership_id"):
        by_member[member] = by_member.get(member, 0) + 1
        held.add(administration_id)
    mine = by_member.get(actor.membership_id, 0)
    if not actor.sees_all:
        return mine, []
    members = Membership.objects.filter(organisation_id=actor.organisation_id, pk__in=by_member).select_related("user")
    people = {one.pk: str(one.user) for one in members}
    rows = sorted(((people[key], count, _list(user=str(key), issues="any")) for key, count in by_member.items()),
                  key=lambda row: (-row[1], row[0]))  # fmt: skip
    if nobody := len(counts) - len(held):
        rows.append((str(_("Nobody chosen")), nobody, _list(user="none", issues="any")))
    return mine, rows[:SHOWN]


def _running(actor: Actor, names: Mapping[int, str]) -> Running:
    under_way = [one for one in extension_points.under_way(actor.organisation_id) if one.administration_id in names]
    first = sorted(under_way, key=_nearest)[:SHOWN]
    ids = [one.administration_id for one in first]
    progress = extension_points.progress_of(actor.organisation_id, ids)
    found = Administration.objects.filter(organisation_id=actor.organisation_id).in_bulk(ids)
    left = [one.seconds_left for one in under_way if one.seconds_left is not None]
    return Running(
        imports=sum(one.is_import for one in under_way),
        syncs=sum(not one.is_import for one in under_way),
        waiting=sum(not one.is_running for one in under_way),
        seconds_left=max(left, default=None),
        shown=[(found[key], progress.get(key)) for key in ids if key in found],
    )


def _nearest(one: UnderWay) -> tuple[bool, float]:
    return not one.is_running, one.seconds_left if one.seconds_left is not None else float("inf")


def _ages(actor: Actor, total: int) -> list[Age]:
    counted = visible_to(actor).aggregate(**{key: Count("pk", filter=of_age(key)) for key in FRESHNESS_LABELS})
    return [
        Age(key, label, counted[key], round(100 * counted[key] / total) if total else 0)
        for key, label in FRESHNESS_LABELS.items()
    ]


def _changes(actor: Actor, names: Mapping[int, str]) -> list[tuple[str, Change]]:
    since = timezone.now() - timedelta(hours=CHANGED_HOURS)
    found = extension_points.changes_since(actor.organisation_id, since)
    return [(names[one.administration_id], one) for one in found if one.administration_id in names]


def _connections(actor: Actor) -> list[tuple[str, int]]:
    """By state, those that need somebody first; for whom may see connections."""
    if not actor.may(Permission.IMPORT):
        return []
    found = Connection.objects.filter(organisation_id=actor.organisation_id).exclude(state=ConnectionState.REMOVED)
    counts = dict(found.values_list("state").annotate(Count("pk")).order_by())
    order = ("needs_reauth", "degraded", "paused", "pending", "active")
    return [(state, counts[state]) for state in order if state in counts]


def _list(**filters: str) -> str:
    return f"/administrations/?{urlencode(filters)}"
