"""A connection's timeline: single events, events with a duration, repeated events folded into one line."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from koppel.connections.models import Connection, TimelineEvent, TimelineKind
from koppel.kit.database.json_fields import MessageFacts

FOLD_WINDOW = timedelta(minutes=15)
"""How soon a new interruption continues the line of the last one."""


def add_timeline_event(
    connection: Connection,
    kind: TimelineKind,
    context: MessageFacts,
    actor_name: str = "",
    *,
    companies: Sequence[int] = (),
) -> None:
    """Add an event that happened now. `companies`: the remote companies that it is about, by id."""
    TimelineEvent.objects.create(
        organisation_id=connection.organisation_id,
        connection=connection,
        kind=kind,
        context=dict(context),
        companies=list(companies),
        actor_name=actor_name,
    )


def start_timeline_event(
    connection: Connection,
    kind: TimelineKind,
    context: MessageFacts,
    actor_name: str = "",
    *,
    companies: Sequence[int] = (),
) -> None:
    """Start an event that lasts until `end_timeline_event`; a recently ended one continues."""
    open_events = _open_events(connection, kind)
    latest = open_events.filter(ended_at__gt=timezone.now() - FOLD_WINDOW).first()
    if latest is None:
        add_timeline_event(connection, kind, context, actor_name, companies=companies)
    else:
        open_events.filter(pk=latest.pk).update(
            ended_at=None, count=F("count") + 1, context=dict(context), companies=list(companies)
        )


def end_timeline_event(connection: Connection, kind: TimelineKind) -> None:
    """End an event that lasted until now."""
    _open_events(connection, kind).filter(ended_at=None).update(ended_at=timezone.now())


def _open_events(connection: Connection, kind: TimelineKind) -> "QuerySet[TimelineEvent]":
    events = TimelineEvent.objects.in_organisation(connection.organisation_id).filter(
        connection=connection, kind=kind
    )
    return events.order_by("-at", "-pk")
