"""What the use cases of a connection share: which one is the actor's, and what follows when it is signed in again."""

from collections.abc import Callable

from koppel.connections.errors import NoSuchConnection
from koppel.connections.health.states import require_reauth
from koppel.connections.health.timeline import add_timeline_event
from koppel.connections.models import Connection, ConnectionState
from koppel.organisations.roles import Actor

__all__ = [
    "add_timeline_event",
    "after_reconnect",
    "get_connection",
    "register_after_reconnect",
    "require_reauth",
]


def get_connection(actor: Actor, connection_id: int) -> Connection:
    """A live connection of the actor's organisation, with its app registration. Raises `NoSuchConnection`."""
    queryset = Connection.objects.filter(organisation_id=actor.organisation_id, pk=connection_id)
    connection = queryset.exclude(state=ConnectionState.REMOVED).select_related("app").first()
    if connection is None:
        raise NoSuchConnection
    return connection


AfterReconnect = Callable[[Actor, int], object]
_after_reconnect: list[AfterReconnect] = []


def register_after_reconnect(hook: AfterReconnect) -> None:
    """A higher slice says what happens when a connection is signed in again (waiting syncs go on)."""
    if hook not in _after_reconnect:
        _after_reconnect.append(hook)


def after_reconnect(actor: Actor, connection_id: int) -> None:
    for hook in _after_reconnect:
        hook(actor, connection_id)
