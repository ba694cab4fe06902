"""The frame of every change of a connection: the lock of the row, and the audit entry."""

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.errors import NoSuchConnection
from koppel.connections.health import lock_connection
from koppel.connections.models import Connection
from koppel.organisations.roles import Actor, Permission


def lock_for_change(actor: Actor, connection_id: int) -> Connection:
    """Lock and return the connection, for an actor who may manage connections. Raises `NoSuchConnection`."""
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection = lock_connection(actor.organisation_id, connection_id)
    if connection is None:
        raise NoSuchConnection
    return connection


def record_change(
    actor: Actor, action: ConnectionAction, connection: Connection, details: dict[str, object] | None = None
) -> None:
    subject = Subject(kind=SubjectKind.CONNECTION, id=connection.pk, name=connection.account)
    add_audit_entry(actor.organisation_id, actor.audit, action, subject=subject, details=details)
