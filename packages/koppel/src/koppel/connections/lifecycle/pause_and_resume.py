"""Pause and resume a connection. A repetition changes nothing."""

from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.health import (
    add_timeline_event,
    end_timeline_event,
    mark_resumed,
    start_timeline_event,
)
from koppel.connections.hooks import StopReason, stop_runs
from koppel.connections.lifecycle.audited_change import lock_for_change, record_change
from koppel.connections.models import ConnectionState, TimelineKind
from koppel.organisations.roles import Actor


def pause_connection(actor: Actor, connection_id: int) -> bool:
    """Pause the connection: no scheduled syncs, and runs under way wait. False when it was paused already."""
    connection = lock_for_change(actor, connection_id)
    if connection.state == ConnectionState.PAUSED:
        return False
    end_timeline_event(connection, TimelineKind.DEGRADED)
    connection.state, connection.degraded_since, connection.reason = ConnectionState.PAUSED, None, ""
    connection.save(update_fields=["state", "degraded_since", "reason"])
    start_timeline_event(connection, TimelineKind.PAUSED, {}, actor.name)
    stop_runs(actor.organisation_id, connection_id, StopReason.PAUSE)
    record_change(actor, ConnectionAction.PAUSED, connection)
    return True


def resume_connection(actor: Actor, connection_id: int) -> bool:
    """Resume the connection: the runs that wait go on. False when it was not paused."""
    connection = lock_for_change(actor, connection_id)
    if connection.state != ConnectionState.PAUSED:
        return False
    mark_resumed(connection)
    end_timeline_event(connection, TimelineKind.PAUSED)
    add_timeline_event(connection, TimelineKind.RESUMED, {}, actor.name)
    record_change(actor, ConnectionAction.RESUMED, connection)
    return True
