"""The keys that a complete read of several pages has read so far: a row without its key at the end is deleted at the source."""

from collections.abc import Sequence

from koppel.kit.database.pool import Connection
from koppel.sync.runs.claims import ClaimedRun

READ_KEYS_SQL = (
    "SELECT external_id FROM sync_snapshot_key"
    " WHERE administration_id = %(administration)s AND resource = %(resource)s AND read_id = %(read)s"
)
"""The keys that were recorded of one read, for `books.storage.row_deletion.missing_keys`."""


async def record(connection: Connection, claimed: ClaimedRun, resource: str, read_id: int, keys: list[str]) -> int:
    """Store the keys that a page of a complete read has. Returns how many were new."""
    cursor = await connection.execute(
        "INSERT INTO sync_snapshot_key (organisation_id, administration_id, resource, read_id, external_id)"
        " SELECT %s, %s, %s, %s, unnest(%b::text[]) ON CONFLICT DO NOTHING",
        [claimed.organisation_id, claimed.administration_id, resource, read_id, keys],
    )
    return cursor.rowcount


async def count(connection: Connection, claimed: ClaimedRun, resources: Sequence[str], read_id: int) -> int:
    """Return the number of stored keys. Fewer than were stored: the table is unlogged, and the database crashed in between."""
    result = await connection.execute(
        "SELECT count(*) FROM sync_snapshot_key WHERE administration_id = %s AND resource = ANY(%s) AND read_id = %s",
        [claimed.administration_id, list(resources), read_id],
    )
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def delete(connection: Connection, claimed: ClaimedRun, resources: Sequence[str]) -> None:
    await connection.execute(
        "DELETE FROM sync_snapshot_key WHERE administration_id = %s AND resource = ANY(%s)",
        [claimed.administration_id, list(resources)],
    )
