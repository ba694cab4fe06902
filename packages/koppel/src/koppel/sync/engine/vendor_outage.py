"""Vendor outages, read from the connection's health so that all its runs wait together."""

from koppel.connections.models import ConnectionState
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements

OUTAGE_SECONDS = (2.0, 300.0)
_SQL = load_statements("koppel.sync")


async def outage_pause_seconds(database_connection: DatabaseConnection, connection_id: int) -> float | None:
    """Return how long to wait for the vendor; None when it is not down.

    About as long as the outage has lasted, so the pauses double.
    """
    result = await database_connection.execute(
        _SQL["get_outage_seconds"], {"connection": connection_id, "degraded": ConnectionState.DEGRADED}
    )
    row = await result.fetchone()
    least, most = OUTAGE_SECONDS
    return None if row is None or row[0] is None else min(max(float(row[0]), least), most)
