"""The keys that an unfinished full read of several pages has met.

Rows without a key at the end of the read are deleted at the source.
"""

from collections.abc import Sequence

from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.runs.claims import ClaimedRun

_SQL = load_statements("koppel.sync")
LIST_KEYS_SQL = _SQL["list_read_keys"]
"""The keys recorded for one read, for `books.storage.row_deletion.missing_keys`."""


async def add_keys(
    database_connection: DatabaseConnection, run: ClaimedRun, resource: str, read_id: int, keys: list[str]
) -> int:
    """Store the keys of a page of a full read. Returns how many were new."""
    cursor = await database_connection.execute(
        _SQL["insert_read_keys"],
        {
            "organisation": run.organisation_id,
            "administration": run.administration_id,
            "resource": resource,
            "read": read_id,
            "keys": keys,
        },
    )
    return cursor.rowcount


async def count(
    database_connection: DatabaseConnection, run: ClaimedRun, resources: Sequence[str], read_id: int
) -> int:
    """Return the number of stored keys.

    Fewer than were stored means that the database crashed in between: the table is unlogged.
    """
    result = await database_connection.execute(
        _SQL["count_read_keys"],
        {"administration": run.administration_id, "resources": list(resources), "read": read_id},
    )
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def delete(database_connection: DatabaseConnection, run: ClaimedRun, resources: Sequence[str]) -> None:
    await database_connection.execute(
        _SQL["delete_read_keys"],
        {"administration": run.administration_id, "resources": list(resources)},
    )
