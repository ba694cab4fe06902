"""The states of a connection's health, and the transitions between them.

*active* the vendor answers · *degraded* it does not, and Koppel is retrying: begins and ends by itself,
without mail · *needs_reauth* a person must sign in (or put the app registration right) · *paused* by a
person. A connection with several grants of which some are lost stays active for the others; its issue says
who must sign in.
"""

from datetime import datetime, timedelta

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.event_types import ConnectionEvent
from koppel.connections.health.expiry import expires_soon
from koppel.connections.health.timeline import add_timeline_event, end_timeline_event, start_timeline_event
from koppel.connections.hooks import connection_recovered
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import (
    Connection,
    ConnectionState,
    Grant,
    GrantReason,
    RemoteCompany,
    TimelineKind,
)
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.database.json_fields import MessageFacts
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import close_event, open_event
from koppel.notifications.models import EventContext

SETTLED = timedelta(seconds=10)
"""A first failure this soon after an answer does not degrade the connection; the next one does."""
FIRST_PROBE = timedelta(seconds=30)
"""When a degraded connection is tried, if no run tries before."""

log = structlog.get_logger(__name__)


def lock_connection(organisation_id: int, connection_id: int) -> Connection | None:
    """Lock and return the connection, to change its state; None when it was removed."""
    connection = (
        Connection.objects.select_for_update(no_key=True)
        .in_organisation(organisation_id)
        .filter(pk=connection_id)
    )
    return connection.exclude(state=ConnectionState.REMOVED).first()


def record_failure(
    organisation_id: int,
    connection_id: int,
    company_id: int | None,
    message: str,
    *,
    connection_wide: bool = False,
) -> None:
    """Degrade the connection after a call that was not answered.

    `connection_wide`: the token endpoint did not answer, on which every company depends. One company's
    failure degrades the connection only when no other company is answered.
    """
    with organisation_scope(organisation_id):
        connection = lock_connection(organisation_id, connection_id)
        if connection is None:
            return
        concerns_all = (
            connection_wide or company_id is None or _concerns_all_companies(connection, company_id, message)
        )
        if not concerns_all or connection.state != ConnectionState.ACTIVE:
            return
        _set_state(connection, ConnectionState.DEGRADED, message, degraded_since=timezone.now())
        start_timeline_event(connection, TimelineKind.DEGRADED, {"reason": message})
    log.warning("connection_degraded", connection=connection_id, reason=message)


def record_success(organisation_id: int, connection_id: int) -> None:
    """Recover the connection after an answer of the vendor; its syncs go on."""
    with organisation_scope(organisation_id):
        connection = lock_connection(organisation_id, connection_id)
        if connection is None or not _has_recovered(connection):
            return
        before = connection.state
        _become_active(connection)
        if before == ConnectionState.NEEDS_REAUTH:
            add_timeline_event(connection, TimelineKind.RECOVERED, {})
        connection_recovered(organisation_id, connection_id)
    log.info("connection_recovered", connection=connection_id)


def require_reauth(organisation_id: int, connection_id: int, message: str) -> None:
    """Mark the connection as needing a sign-in: one state, one issue and one notification, however many calls
    failed.
    """
    with organisation_scope(organisation_id):
        connection = lock_connection(organisation_id, connection_id)
        if connection is None:
            return
        lost = grants_of(connection).exclude(invalid_since=None)
        partly = lost.exists() and derived_state(connection) == ConnectionState.ACTIVE
        context = {"account": connection.account, "reason": message}
        companies = list(_companies_of(lost).values_list("pk", flat=True)) if partly else []
        code = ConnectionIssue.CONSENT_PARTLY_LOST if partly else ConnectionIssue.CONSENT_LOST
        ids = {"company_ids": ",".join(map(str, companies))} if companies else {}
        subject = Subject(SubjectKind.CONNECTION, connection_id)
        is_new = raise_issue(organisation_id, code, subject, context | ids)
        if not partly and connection.state not in (ConnectionState.NEEDS_REAUTH, ConnectionState.PAUSED):
            end_timeline_event(connection, TimelineKind.DEGRADED)
            _set_state(connection, ConnectionState.NEEDS_REAUTH, message)
        if not is_new:
            return
        _notify_of_loss(connection, context, lost if partly else None)
    log.warning("connection_lost", connection=connection_id, partly=partly)


def _notify_of_loss(connection: Connection, context: MessageFacts, lost: "QuerySet[Grant] | None") -> None:
    """Record the loss and notify the owner. `lost`: the grants that are lost beside valid ones."""
    partly = lost is not None
    companies = list(_companies_of(lost).values_list("pk", flat=True)) if lost is not None else []
    kind = TimelineKind.PARTLY_LOST if partly else TimelineKind.LOST
    start_timeline_event(connection, kind, context, companies=companies)
    open_event(
        connection.organisation_id,
        ConnectionEvent.PARTLY_LOST if partly else ConnectionEvent.LOST,
        EventKey("connection", connection.pk),
        subject=Subject(SubjectKind.CONNECTION, connection.pk),
        responsible=connection.owner_id,
        administrations=_administrations_of(lost) if lost is not None else {},
        context=context,
        link=connection.get_absolute_url(),
    )


def mark_signed_in(connection: Connection, account: str) -> None:
    """Record a sign-in for this connection, after its grant was stored. In the caller's transaction and
    scope.

    A paused connection stays paused; one with further lost grants still needs sign-ins for those.
    """
    connection.account = account
    connection.last_contact_at = timezone.now()
    connection.save(update_fields=["account", "last_contact_at"])
    if connection.state == ConnectionState.PAUSED:
        _resolve_consent_lost(connection)
    elif derived_state(connection) == ConnectionState.ACTIVE:
        _become_active(connection)


def mark_resumed(connection: Connection) -> None:
    """End a pause. A connection whose grants are lost needs a sign-in again. In the caller's transaction and
    scope.
    """
    if derived_state(connection) == ConnectionState.ACTIVE:
        _become_active(connection)
    else:
        connection.state = ConnectionState.NEEDS_REAUTH
        connection.save(update_fields=["state"])


def derived_state(connection: Connection) -> ConnectionState:
    """Return the state by the grants alone: active while one of them is valid."""
    grants = grants_of(connection)
    if grants.exists() and not grants.filter(invalid_since=None).exists():
        return ConnectionState.NEEDS_REAUTH
    return ConnectionState.ACTIVE


def grants_of(connection: Connection) -> "QuerySet[Grant]":
    """Return the grants in use: neither pending transfer nor superseded."""
    grants = Grant.objects.in_organisation(connection.organisation_id).filter(
        connection=connection, is_pending_transfer=False
    )
    return grants.exclude(invalid_code=GrantReason.SUPERSEDED)


def _has_recovered(connection: Connection) -> bool:
    """Return whether an answer ends the bad state.

    A connection that needs a sign-in recovers only when the refresh of no grant fails.
    """
    if connection.state == ConnectionState.DEGRADED:
        return True
    failing = grants_of(connection).filter(failures__gt=0)
    is_recovered = derived_state(connection) == ConnectionState.ACTIVE and not failing.exists()
    return connection.state == ConnectionState.NEEDS_REAUTH and is_recovered


def _set_state(
    connection: Connection,
    state: ConnectionState,
    reason: str = "",
    *,
    degraded_since: datetime | None = None,
) -> None:
    """Store the state. A degraded connection is probed from now on."""
    connection.state, connection.reason, connection.degraded_since = state, reason, degraded_since
    connection.probe_count = 0
    connection.next_probe_at = degraded_since + FIRST_PROBE if degraded_since else None
    connection.save(update_fields=["state", "reason", "degraded_since", "probe_count", "next_probe_at"])


def _become_active(connection: Connection) -> None:
    _set_state(connection, ConnectionState.ACTIVE)
    end_timeline_event(connection, TimelineKind.DEGRADED)
    resolve_issues(
        connection.organisation_id,
        Subject(SubjectKind.CONNECTION, connection.pk),
        ConnectionIssue.VENDOR_UNRESPONSIVE,
    )
    _resolve_consent_lost(connection)


def _resolve_consent_lost(connection: Connection) -> None:
    subject = Subject(SubjectKind.CONNECTION, connection.pk)
    resolve_issues(connection.organisation_id, subject, ConnectionIssue.CONSENT_LOST)
    if not expires_soon(connection.pk):
        resolve_issues(connection.organisation_id, subject, ConnectionIssue.CONSENT_EXPIRING)
        close_event(
            connection.organisation_id,
            ConnectionEvent.CONSENT_EXPIRING,
            EventKey("connection", connection.pk),
        )
    close_event(connection.organisation_id, ConnectionEvent.LOST, EventKey("connection", connection.pk))
    end_timeline_event(connection, TimelineKind.LOST)
    if not grants_of(connection).exclude(invalid_since=None).exists():
        resolve_issues(connection.organisation_id, subject, ConnectionIssue.CONSENT_PARTLY_LOST)
        close_event(
            connection.organisation_id, ConnectionEvent.PARTLY_LOST, EventKey("connection", connection.pk)
        )
        end_timeline_event(connection, TimelineKind.PARTLY_LOST)


def _concerns_all_companies(connection: Connection, company_id: int, message: str) -> bool:
    """Return whether no call of the connection was answered since this company's began to fail."""
    now = timezone.now()
    companies = RemoteCompany.objects.in_organisation(connection.organisation_id).filter(pk=company_id)
    is_first = companies.filter(failing_since=None).update(failing_since=now, failing_reason=message) == 1
    since = companies.values_list("failing_since", flat=True).first() or now
    last = connection.last_contact_at
    return last is None or last < (since - SETTLED if is_first else since)


def _companies_of(grants: "QuerySet[Grant]") -> "QuerySet[RemoteCompany]":
    return RemoteCompany.objects.filter(grant__in=grants).order_by("name")


def _administrations_of(grants: "QuerySet[Grant]") -> dict[int, EventContext]:
    """Return the names of the affected companies by administration, so that each recipient reads only of
    those that they may see.
    """
    imported = _companies_of(grants).exclude(administrations=None)
    return {key: {"name": name} for key, name in imported.values_list("administrations", "name")}
