"""Deletions in the books: find the rows that the source no longer has, and mark them (`koppel.sync.engine.deletions`)."""

from collections.abc import Iterable, Mapping, Sequence

from koppel.books.storage.staging import table
from koppel.books.storage.writer import WriteContext
from koppel.kit.database.pool import Connection

ENTRIES, LINES = "entries", "entry_lines"
KEYS_SQL = "SELECT unnest(%(keys)b::text[])"
"""For `missing_keys`: the keys that were read are `keys` in `values`."""


async def missing_keys(
    connection: Connection,
    context: WriteContext,
    resource: str,
    partitions: Iterable[str] | None,
    *,
    read_keys_sql: str,
    values: Mapping[str, object],
) -> list[str]:
    """Return the ids in the books that a complete read did not meet: those that `read_keys_sql` does not select.

    That query may use the parameters `administration` and `resource`, and those in `values`. `partitions`: None for the whole
    resource, else only rows of these are compared. A line is in the partition of its entry."""
    parameters = {
        "administration": context.administration_id,
        "resource": resource,
        "partitions": list(partitions or ()),
    }
    result = await connection.execute(
        f"{_present_keys_sql(resource, partitions is not None)} EXCEPT {read_keys_sql} ORDER BY 1",
        {**values, **parameters},
    )
    return [str(key) for (key,) in await result.fetchall()]


async def existing_keys(connection: Connection, context: WriteContext, resource: str, keys: Sequence[str]) -> list[str]:
    """Return those of `keys` that the books have, not marked as deleted."""
    result = await connection.execute(
        f"SELECT external_id FROM {table(resource).name} WHERE administration_id = %s AND external_id = ANY(%b)"  # noqa: S608
        " AND deleted_at IS NULL ORDER BY 1",
        [context.administration_id, list(keys)],
    )
    return [str(key) for (key,) in await result.fetchall()]


async def missing_line_keys(
    connection: Connection, context: WriteContext, entries: Sequence[str], lines: Sequence[str]
) -> list[str]:
    """Return the keys of lines of `entries` in the books that are not among `lines`, which are all that the source has."""
    result = await connection.execute(
        f"SELECT external_id FROM {table(LINES).name} WHERE administration_id = %s AND entry = ANY(%b)"  # noqa: S608
        " AND deleted_at IS NULL EXCEPT SELECT unnest(%b::text[]) ORDER BY 1",
        [context.administration_id, list(entries), list(lines)],
    )
    return [str(key) for (key,) in await result.fetchall()]


async def mark_deleted(connection: Connection, context: WriteContext, resource: str, keys: Sequence[str]) -> None:
    """Mark rows as deleted at the source; they stay in the books."""
    await connection.execute(
        f"UPDATE {table(resource).name} SET deleted_at = %s"  # noqa: S608 - our own table names
        " WHERE administration_id = %s AND external_id = ANY(%b)",
        [context.at, context.administration_id, list(keys)],
    )


def _present_keys_sql(resource: str, within: bool) -> str:
    if resource == LINES and within:
        return (
            f"SELECT line.external_id FROM {table(ENTRIES).name} entry JOIN {table(LINES).name} line"  # noqa: S608
            " ON line.administration_id = entry.administration_id AND line.entry = entry.external_id"
            " WHERE entry.administration_id = %(administration)s AND entry.partition = ANY(%(partitions)s)"
            " AND line.deleted_at IS NULL"
        )
    condition = " AND partition = ANY(%(partitions)s)" if within else ""
    return (
        f"SELECT external_id FROM {table(resource).name}"  # noqa: S608 - our own table names
        f" WHERE administration_id = %(administration)s AND deleted_at IS NULL{condition}"
    )
