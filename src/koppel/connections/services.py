"""Use cases of a connection's life: what it became, and what its timeline says."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils import timezone

from koppel.connections.errors import NoSuchConnection
from koppel.connections.models import Connection, ConnectionEvent, ConnectionState
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.services import notify
from koppel.organisations.policy import Actor


def own_connection(actor: Actor, connection_id: int) -> Connection:
    """A live connection of the actor's organisation, with its app registration. Raises `NoSuchConnection`."""
    found = Connection.objects.filter(organisation_id=actor.organisation_id, pk=connection_id)
    connection = found.exclude(state=ConnectionState.REMOVED).select_related("app").first()
    if connection is None:
        raise NoSuchConnection
    return connection


def mark_lost(organisation_id: int, connection_id: int, sentence: str) -> None:
    """The firm must sign in again: one state, one issue, one notice, however many administrations noticed."""
    with organisation_scope(organisation_id):
        changed = (
            Connection.objects.filter(organisation_id=organisation_id, pk=connection_id)
            .exclude(state__in=[ConnectionState.NEEDS_REAUTH, ConnectionState.REMOVED])
            .update(state=ConnectionState.NEEDS_REAUTH, reason=sentence)
        )
        if not changed:
            return
        connection = Connection.objects.get(organisation_id=organisation_id, pk=connection_id)
        facts = {"account": connection.account, "reason": sentence}
        note_event(connection, "lost", facts)
        raise_issue(organisation_id, "consent_lost", ("connection", connection_id), facts)
        notify(organisation_id, "connection_lost", [connection.owner_id], facts, f"/connections/{connection_id}/")


AfterReconnect = Callable[[Actor, int], object]
_after_reconnect: list[AfterReconnect] = []


def register_after_reconnect(act: AfterReconnect) -> None:
    """A higher slice says what happens when a connection is signed in again (waiting syncs go on)."""
    if act not in _after_reconnect:
        _after_reconnect.append(act)


def after_reconnect(actor: Actor, connection_id: int) -> None:
    for act in _after_reconnect:
        act(actor, connection_id)


def touch(organisation_id: int, connection_id: int) -> None:
    """The vendor answered: the connection lives."""
    with organisation_scope(organisation_id):
        Connection.objects.filter(organisation_id=organisation_id, pk=connection_id).update(
            last_contact_at=timezone.now()
        )


def note_event(connection: Connection, kind: str, facts: Mapping[str, Any], actor_name: str = "") -> None:
    """A line of the timeline."""
    ConnectionEvent.objects.create(
        organisation_id=connection.organisation_id,
        connection=connection,
        kind=kind,
        facts=dict(facts),
        actor_name=actor_name,
    )
