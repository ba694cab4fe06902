"""What a transaction waits for at its commit: PostgreSQL's `synchronous_commit`, per transaction.

A commit that does not wait for the standby may be missing after a failover. What exists nowhere else must
wait: tokens, since the vendor has used up the former ones, and the audit log. A page of a sync can be read
again.
"""

from enum import Enum

from django.db import connection


class Durability(Enum):
    """What a commit waits for."""

    SERVER = "server"
    """What the server's `synchronous_commit` says."""
    LOCAL = "local"
    """The disk of the primary, and no standby."""
    STANDBY = "standby"
    """The disk of the synchronous standby as well, where `synchronous_standby_names` names one; also where
    the server's setting asks for less. A stricter one stays.
    """


WEAKER_SQL = "current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
_STATEMENTS = {
    Durability.SERVER: "",
    Durability.LOCAL: "SELECT set_config('synchronous_commit', 'local', true)",
    Durability.STANDBY: f"SELECT set_config('synchronous_commit', 'on', true) WHERE {WEAKER_SQL}",
}


def durability_sql(durability: Durability) -> str:
    """Return the statement that sets the durability of the current transaction; '' for the server's."""
    return _STATEMENTS[durability]


def wait_for_standby() -> None:
    """Let the commit of Django's current transaction wait for the synchronous standby.

    Raises `RuntimeError` outside of a transaction, where it would have no effect.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("Only the commit of a transaction can wait for a standby.")
    with connection.cursor() as cursor:
        cursor.execute(durability_sql(Durability.STANDBY))
