"""The last thirty days of a connection as thirty bars: the worst problem of each day, and its duration."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum

from django.db.models import Q
from django.utils import timezone

from koppel.connections.models import Connection, TimelineEvent, TimelineKind

DAYS = 30
LASTING_KINDS = (TimelineKind.LOST, TimelineKind.PARTLY_LOST, TimelineKind.DEGRADED, TimelineKind.PAUSED)
"""Kinds of events that last, the worst first: a day shows the first of them that occurred in it."""


class DayKind(StrEnum):
    """Kinds of days beside `LASTING_KINDS`."""

    UNREACHABLE = "unreachable"
    """Some of the connection's companies are not reachable."""
    OK = "ok"
    NONE = "none"
    """The connection did not exist yet."""


@dataclass(frozen=True, kw_only=True)
class DayHealth:
    """One bar of the history."""

    day: date
    kind: str
    """One of `LASTING_KINDS` or `DayKind`."""
    minutes: int
    """The duration of that kind."""
    x: int
    """The position in the drawing."""
    y: int
    height: int
    """At most 24, and at least 6 for an interruption, so that a short one is visible."""


def daily_health(connections: Iterable[Connection]) -> dict[int, list[DayHealth]]:
    """Return the days by connection, oldest day first. One query, in the caller's scope."""
    connections = list(connections)
    first = timezone.localdate() - timedelta(days=DAYS - 1)
    start = timezone.make_aware(datetime.combine(first, datetime.min.time()))
    lasting = TimelineEvent.objects.filter(connection__in=connections, kind__in=LASTING_KINDS)
    events: dict[int, list[TimelineEvent]] = {}
    for event in lasting.filter(Q(ended_at=None) | Q(ended_at__gte=start)):
        events.setdefault(event.connection_id, []).append(event)
    return {
        connection.pk: _days(connection, events.get(connection.pk, []), first) for connection in connections
    }


def with_problem_today(days: Sequence[DayHealth]) -> list[DayHealth]:
    """Return the days, of which today shows that some companies are not reachable, unless it is worse."""
    *earlier, today = days
    return [*earlier, replace(today, kind=DayKind.UNREACHABLE) if today.kind == DayKind.OK else today]


def _days(connection: Connection, events: list[TimelineEvent], first: date) -> list[DayHealth]:
    born = timezone.localdate(connection.created_at)
    days = []
    for position in range(DAYS):
        day = first + timedelta(days=position)
        kind, minutes = _worst(events, day) if day >= born else (DayKind.NONE, 0)
        height = 6 if kind in (DayKind.OK, DayKind.NONE) else max(11, round(24 * minutes / 1440))
        days.append(
            DayHealth(day=day, kind=kind, minutes=minutes, x=position * 8, y=24 - height, height=height)
        )
    return days


def _worst(events: list[TimelineEvent], day: date) -> tuple[str, int]:
    start = timezone.make_aware(datetime.combine(day, datetime.min.time()))
    end = min(start + timedelta(days=1), timezone.now())
    lasted: dict[str, float] = {}
    for event in events:
        overlap = (min(event.ended_at or end, end) - max(event.at, start)).total_seconds()
        if overlap > 0:
            lasted[event.kind] = lasted.get(event.kind, 0) + overlap
    kind = next((timeline_event for timeline_event in LASTING_KINDS if timeline_event in lasted), DayKind.OK)
    return kind, max(1, round(lasted[kind] / 60)) if kind in lasted else 0
