"""Warnings of consents that expire soon, and of connections on the account of a person who left."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection as django_connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.event_types import ConnectionEvent
from koppel.connections.health.timeline import add_timeline_event
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import Connection, ConnectionState, TimelineKind
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import open_event

_SQL = load_statements("koppel.connections")
BATCH_SIZE = 500
NOTICE = timedelta(days=7)
"""How long before a consent ends its owner is notified; one notification covers all consents that end within
a day.
"""
SILENCE = timedelta(days=1)
"""How long the vendor may be silent before an issue is raised."""
USABLE_STATES = (ConnectionState.ACTIVE, ConnectionState.DEGRADED, ConnectionState.PAUSED)


@dataclass(frozen=True)
class _ExpiringConsent:
    organisation_id: int
    connection_id: int
    at: datetime


def consent_expiry(connection_ids: list[int]) -> dict[int, datetime]:
    """Return when the first consent of each connection ends; absent where it is unknown. In the caller's
    scope.
    """
    if not connection_ids:
        return {}
    with django_connection.cursor() as cursor:
        values: dict[str, Any] = {"connection_ids": connection_ids, "removed": ConnectionState.REMOVED.value}
        cursor.execute(_SQL["read_consent_expiry"], values)
        return {connection_id: ends for connection_id, ends in cursor.fetchall() if ends is not None}


def expires_soon(connection_id: int) -> bool:
    """Return whether a consent of this connection is still about to end. In the caller's scope."""
    ends = consent_expiry([connection_id]).get(connection_id)
    return ends is not None and ends < timezone.now() + NOTICE


def notify_expiring_and_review_owners() -> int:
    """Notify of consents about to end; raise `owner_left` and `vendor_unresponsive`; resolve `owner_left`
    where the owner is back. Returns the number of expiring consents examined.
    """
    with installation_scope("consents about to end"):
        expiring_consents = _list_expiring()
        orphaned = list(_orphaned_connections().values_list("organisation_id", "pk"))
        silent = list(_silent_connections().values_list("organisation_id", "pk"))
        resolved_issues = list(
            _owner_left_issues().exclude(
                subject_id__in=[connection_id for _organisation_id, connection_id in orphaned]
            )
        )
    for consent in expiring_consents:
        _notify(consent)
    for organisation_id, connection_id in orphaned:
        _raise_issue(organisation_id, connection_id, ConnectionIssue.OWNER_LEFT)
    for organisation_id, connection_id in silent:
        _raise_issue(organisation_id, connection_id, ConnectionIssue.VENDOR_UNRESPONSIVE)
    for issue in resolved_issues:
        with organisation_scope(issue.organisation_id):
            resolve_owner_left(issue.organisation_id, issue.subject_id)
    return len(expiring_consents)


def _list_expiring() -> list[_ExpiringConsent]:
    values: dict[str, Any] = {
        "states": [state.value for state in USABLE_STATES],
        "notice": NOTICE,
        "limit": BATCH_SIZE,
    }
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL["list_expiring_consents"], values)
        return [_ExpiringConsent(*row) for row in cursor.fetchall()]


def _notify(consent: _ExpiringConsent) -> None:
    with organisation_scope(consent.organisation_id):
        connections = Connection.objects.select_for_update(no_key=True).in_organisation(
            consent.organisation_id
        )
        connection = (
            connections.filter(pk=consent.connection_id, state__in=USABLE_STATES)
            .exclude(expiry_notified_for=consent.at)
            .first()
        )
        if connection is None:
            return
        connection.expiry_notified_for = consent.at
        connection.save(update_fields=["expiry_notified_for"])
        context = {"account": connection.account, "day": timezone.localdate(consent.at).isoformat()}
        add_timeline_event(connection, TimelineKind.CONSENT_EXPIRING, context)
        raise_issue(
            connection.organisation_id,
            ConnectionIssue.CONSENT_EXPIRING,
            Subject(SubjectKind.CONNECTION, connection.pk),
            context,
        )
        open_event(
            connection.organisation_id,
            ConnectionEvent.CONSENT_EXPIRING,
            EventKey("connection", connection.pk),
            subject=Subject(SubjectKind.CONNECTION, connection.pk),
            responsible=connection.owner_id,
            context=context,
            link=connection.get_absolute_url(),
        )


def _orphaned_connections() -> "QuerySet[Connection]":
    """Return the connections whose owner may no longer act."""
    has_inactive_owner = Q(owner__is_active=False) | Q(owner__expires_at__lt=timezone.now())
    return Connection.objects.filter(has_inactive_owner).exclude(state=ConnectionState.REMOVED)


def _owner_left_issues() -> "QuerySet[Issue]":
    return Issue.objects.filter(
        code=ConnectionIssue.OWNER_LEFT, subject_kind=SubjectKind.CONNECTION, resolved_at=None
    )


def _silent_connections() -> "QuerySet[Connection]":
    """Return connections that have been degraded for `SILENCE`: a person should look, while Koppel keeps
    trying.
    """
    return Connection.objects.filter(
        state=ConnectionState.DEGRADED, degraded_since__lt=timezone.now() - SILENCE
    )


def _raise_issue(organisation_id: int, connection_id: int, code: ConnectionIssue) -> None:
    with organisation_scope(organisation_id):
        connection = Connection.objects.select_related("owner__user").get(pk=connection_id)
        context = {
            "account": connection.account,
            "owner": str(connection.owner.user),
            "reason": connection.reason,
        }
        raise_issue(organisation_id, code, Subject(SubjectKind.CONNECTION, connection_id), context)


def resolve_owner_left(organisation_id: int, connection_id: int) -> None:
    """Resolve the issue, because the connection has an owner who can act. In the caller's transaction."""
    resolve_issues(
        organisation_id, Subject(SubjectKind.CONNECTION, connection_id), ConnectionIssue.OWNER_LEFT
    )
