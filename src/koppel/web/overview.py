"""What the dashboard and the issues page show: counts with the lists behind them, within what the actor may see."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count
from django.utils import timezone

from koppel.administrations import panels
from koppel.administrations.listing import FRESH_HOURS
from koppel.administrations.models import Administration, Status
from koppel.administrations.panels import Progress
from koppel.administrations.scope import visible_to
from koppel.connections.models import Connection, ConnectionState
from koppel.issues.models import Issue
from koppel.issues.queries import IssueView, view_of
from koppel.organisations.policy import Actor, Permission

SHOWN = 12
PAGE_SIZE = 200


@dataclass(frozen=True)
class Overview:
    total: int
    by_status: dict[str, int]
    issues: list[tuple[IssueView, str]]
    issue_count: int
    running: list[tuple[Administration, Progress | None]]
    running_count: int
    fresh: int
    stale: int
    never: int
    connections: int
    waiting_connections: int


def overview(actor: Actor) -> Overview:
    """One look at everything."""
    visible = visible_to(actor)
    by_status = dict(visible.values_list("status").annotate(Count("pk")).order_by())
    under_way = visible.filter(status__in=[Status.QUEUED, Status.CONFIGURING])
    running = list(under_way.order_by("status", "name")[:SHOWN])
    progress = panels.progress_of(actor.organisation_id, [one.pk for one in running])
    connections = Connection.objects.filter(organisation_id=actor.organisation_id).exclude(
        state=ConnectionState.REMOVED
    )
    since = timezone.now() - timedelta(hours=FRESH_HOURS)
    found = issues(actor)
    return Overview(
        total=sum(by_status.values()),
        by_status=by_status,
        issues=found[:SHOWN],
        issue_count=len(found),
        running=[(one, progress.get(one.pk)) for one in running],
        running_count=by_status.get(Status.QUEUED, 0) + by_status.get(Status.CONFIGURING, 0),
        fresh=visible.filter(complete_as_of__gte=since).count(),
        stale=visible.filter(complete_as_of__lt=since).count(),
        never=visible.filter(complete_as_of=None).count(),
        connections=connections.count(),
        waiting_connections=connections.filter(state=ConnectionState.NEEDS_REAUTH).count(),
    )


def issues(actor: Actor) -> list[tuple[IssueView, str]]:
    """Open issues with the name of what they are about, newest first; those of connections for whom may act on them."""
    names = dict(visible_to(actor).values_list("pk", "name"))
    found = Issue.objects.filter(organisation_id=actor.organisation_id, resolved_at=None)
    shown = []
    for one in found.order_by("-raised_at", "-pk")[: PAGE_SIZE * 5]:
        if one.subject_kind == "administration" and one.subject_id in names:
            shown.append((view_of(one), names[one.subject_id]))
        elif one.subject_kind == "connection" and actor.may(Permission.IMPORT):
            shown.append((view_of(one), ""))
    return shown[:PAGE_SIZE]
