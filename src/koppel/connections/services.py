"""What the use cases of a connection share: which one is the actor's, and what follows when it is signed in again."""

from collections.abc import Callable

from koppel.connections.errors import NoSuchConnection
from koppel.connections.health import mark_lost
from koppel.connections.models import Connection, ConnectionState
from koppel.connections.timeline import note_event
from koppel.organisations.policy import Actor

__all__ = ["after_reconnect", "mark_lost", "note_event", "own_connection", "register_after_reconnect"]


def own_connection(actor: Actor, connection_id: int) -> Connection:
    """A live connection of the actor's organisation, with its app registration. Raises `NoSuchConnection`."""
    found = Connection.objects.filter(organisation_id=actor.organisation_id, pk=connection_id)
    connection = found.exclude(state=ConnectionState.REMOVED).select_related("app").first()
    if connection is None:
        raise NoSuchConnection
    return connection


AfterReconnect = Callable[[Actor, int], object]
_after_reconnect: list[AfterReconnect] = []


def register_after_reconnect(act: AfterReconnect) -> None:
    """A higher slice says what happens when a connection is signed in again (waiting syncs go on)."""
    if act not in _after_reconnect:
        _after_reconnect.append(act)


def after_reconnect(actor: Actor, connection_id: int) -> None:
    for act in _after_reconnect:
        act(actor, connection_id)
