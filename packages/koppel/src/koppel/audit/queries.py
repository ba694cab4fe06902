"""Reads of the audit log: filtered, newest first, and what an action changed."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.audit.models import AuditEntry, Interface
from koppel.kit.database.sql_files import load_statements

_SQL = load_statements("koppel.audit")


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """The filter of a search. `person` is a user's id, `since` and `until` are days, both included."""

    search_text: str = ""
    person: int | None = None
    action: str = ""
    interface: Interface | None = None
    since: date | None = None
    until: date | None = None
    subject_kind: str = ""
    subject_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class ChangedValue:
    """A value that an action changed; '' where there was none."""

    key: str
    before: str
    after: str


def entries_of(organisation_id: int, filters: AuditFilter) -> "QuerySet[AuditEntry]":
    """Return the audit entries that the filters match. In the caller's scope."""
    entries = AuditEntry.objects.filter(organisation_id=organisation_id)
    if filters.search_text:
        entries = entries.filter(
            Q(subject_name__icontains=filters.search_text) | Q(actor_name__icontains=filters.search_text)
        )
    if filters.person is not None:
        entries = entries.filter(actor_id=filters.person)
    if filters.action:
        entries = entries.filter(action=filters.action)
    if filters.interface:
        entries = entries.filter(interface=filters.interface)
    if filters.since:
        entries = entries.filter(at__gte=_start_of_day(filters.since))
    if filters.until and filters.until < date.max:
        entries = entries.filter(at__lt=_start_of_day(filters.until + timedelta(days=1)))
    if filters.subject_kind and filters.subject_id is not None:
        entries = entries.filter(subject_kind=filters.subject_kind, subject_id=filters.subject_id)
    return entries.order_by("-at", "-pk")


def list_actors(organisation_id: int) -> list[tuple[int, str]]:
    """Return the actors of an organisation, by name, with a few index lookups per person instead of reading
    the whole log.
    """
    with connection.cursor() as cursor:
        cursor.execute(_SQL["actors"], {"organisation": organisation_id})
        return sorted(cursor.fetchall(), key=lambda row: row[1].lower())


def _start_of_day(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
