"""Ends sessions of SQL readers that last too long. A reader can change its own time-outs, but not these."""

import structlog

from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements

STATEMENT_SECONDS = 600
TRANSACTION_SECONDS = 900
LOCK_SECONDS = 10
"""So long another session may wait for a lock of a reader: it holds up migrations alone."""
_SQL = load_statements("koppel.books")
log = structlog.get_logger(__name__)


async def end_long_sessions(database_connection: DatabaseConnection) -> int:
    """End the sessions over their limits. Returns their number."""
    limits = {"statement": STATEMENT_SECONDS, "transaction": TRANSACTION_SECONDS, "lock": LOCK_SECONDS}
    ended = await (await database_connection.execute(_SQL["end_sessions"], limits)).fetchall()
    for role, reason in ended:
        log.warning("reader_session_ended", role=role, reason=reason)
    return len(ended)
