"""A vendor that is down: known from the connection's health, so that its runs wait together."""

from koppel.kit.database.pool import Connection

OUTAGE = "outage"
OUTAGE_SECONDS = (2.0, 300.0)


async def outage_seconds(connection: Connection, connection_id: int) -> float | None:
    """How long to wait for a vendor that is down: about as long as it has been, so that the pauses double. None: it is up."""
    result = await connection.execute(
        "SELECT extract(epoch FROM now() - degraded_since)::float8 FROM connections_connection"
        " WHERE id = %s AND state = 'degraded'",
        [connection_id],
    )
    row = await result.fetchone()
    least, most = OUTAGE_SECONDS
    return None if row is None or row[0] is None else min(max(float(row[0]), least), most)
