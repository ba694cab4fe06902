"""Reads of the trail: filtered, newest first, and what an act changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.audit.models import AuditEntry, Door

_acts: set[str] = set()


@dataclass(frozen=True)
class Asked:
    """What to look for. `person` is a user's id, `since` and `until` are days, both included."""

    words: str = ""
    person: int | None = None
    act: str = ""
    door: Door | None = None
    since: date | None = None
    until: date | None = None
    subject_kind: str = ""
    subject_id: int | None = None


@dataclass(frozen=True)
class Change:
    """A value that an act changed; '' where there was none."""

    key: str
    before: str
    after: str


def register_acts(keys: Iterable[str]) -> None:
    """Every act that Koppel can record; the frame, which has words for them, knows."""
    _acts.update(keys)


def acts() -> frozenset[str]:
    return frozenset(_acts)


def entries_of(organisation_id: int, asked: Asked) -> "QuerySet[AuditEntry]":
    """Within the caller's scope."""
    found = AuditEntry.objects.filter(organisation_id=organisation_id)
    if asked.words:
        found = found.filter(Q(subject_name__icontains=asked.words) | Q(actor_name__icontains=asked.words))
    if asked.person is not None:
        found = found.filter(actor_id=asked.person)
    if asked.act:
        found = found.filter(act=asked.act)
    if asked.door:
        found = found.filter(door=asked.door)
    if asked.since:
        found = found.filter(at__gte=_begin(asked.since))
    if asked.until and asked.until < date.max:
        found = found.filter(at__lt=_begin(asked.until + timedelta(days=1)))
    if asked.subject_kind and asked.subject_id is not None:
        found = found.filter(subject_kind=asked.subject_kind, subject_id=asked.subject_id)
    return found.order_by("-at", "-pk")


def actors_of(organisation_id: int) -> list[tuple[int, str]]:
    """Who acted here, by name, without reading the whole trail: a few looks into the index per person."""
    with connection.cursor() as cursor:
        cursor.execute(_ACTORS, [organisation_id] * 3)
        return sorted(cursor.fetchall(), key=lambda row: row[1].lower())


_ACTORS = """
WITH RECURSIVE person(id) AS (
  (SELECT actor_id FROM audit_entry WHERE organisation_id = %s AND actor_id IS NOT NULL ORDER BY actor_id LIMIT 1)
  UNION ALL
  SELECT (SELECT e.actor_id FROM audit_entry e WHERE e.organisation_id = %s AND e.actor_id > person.id
           ORDER BY e.actor_id LIMIT 1) FROM person WHERE person.id IS NOT NULL)
SELECT person.id,
       (SELECT e.actor_name FROM audit_entry e WHERE e.organisation_id = %s AND e.actor_id = person.id
         ORDER BY e.at DESC LIMIT 1)
  FROM person WHERE person.id IS NOT NULL
"""


def _begin(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
