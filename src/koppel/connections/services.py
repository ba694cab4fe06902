"""What the use cases of a connection share: which one is the actor's, and what follows when it is signed in again."""

from collections.abc import Callable

from django.db import connection as database

from koppel.connections.errors import NoSuchConnection
from koppel.connections.health.states import mark_lost
from koppel.connections.health.timeline import note_event
from koppel.connections.models import Connection, ConnectionState
from koppel.organisations.roles import Actor

__all__ = ["after_reconnect", "mark_lost", "note_event", "one_at_a_time", "own_connection", "register_after_reconnect"]

NEW_CONNECTION_LOCK = 0x0C0E


def own_connection(actor: Actor, connection_id: int) -> Connection:
    """A live connection of the actor's organisation, with its app registration. Raises `NoSuchConnection`."""
    found = Connection.objects.filter(organisation_id=actor.organisation_id, pk=connection_id)
    connection = found.exclude(state=ConnectionState.REMOVED).select_related("app").first()
    if connection is None:
        raise NoSuchConnection
    return connection


def one_at_a_time(organisation_id: int) -> None:
    """Until the end of the transaction: two sign-ins of one account that end together find the same connection."""
    with database.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [NEW_CONNECTION_LOCK, organisation_id])


AfterReconnect = Callable[[Actor, int], object]
_after_reconnect: list[AfterReconnect] = []


def register_after_reconnect(act: AfterReconnect) -> None:
    """A higher slice says what happens when a connection is signed in again (waiting syncs go on)."""
    if act not in _after_reconnect:
        _after_reconnect.append(act)


def after_reconnect(actor: Actor, connection_id: int) -> None:
    for act in _after_reconnect:
        act(actor, connection_id)
