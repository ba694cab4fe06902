"""Finds the rows that the source no longer has and marks them as deleted.

Called by `koppel.sync.engine.deletions`.
"""

from collections.abc import Iterable, Mapping, Sequence

from koppel.books.storage.staging import table
from koppel.books.storage.writer import WriteContext
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements

ENTRY_LINES = "entry_lines"
_SQL = load_statements("koppel.books")
GIVEN_KEYS_SQL = _SQL["list_given_keys"]
"""For `missing_keys`: the keys that were read are `keys` in `values`."""


async def missing_keys(
    database_connection: DatabaseConnection,
    context: WriteContext,
    resource: str,
    partitions: Iterable[str] | None,
    *,
    read_keys_sql: str,
    values: Mapping[str, object],
) -> list[str]:
    """Return the ids in the books that a full read did not meet.

    `read_keys_sql` selects the ids that were read; its parameters are `administration`, `resource` and
    `values`. `partitions` restricts the comparison to their rows; None compares the whole resource. A line is
    in the partition of its entry.
    """
    parameters = {
        "administration": context.administration_id,
        "resource": resource,
        "partitions": list(partitions or ()),
    }
    result = await database_connection.execute(
        f"{_present_keys_sql(resource, within=partitions is not None)} EXCEPT {read_keys_sql} ORDER BY 1",
        {**values, **parameters},
    )
    return [str(key) for (key,) in await result.fetchall()]


async def existing_keys(
    database_connection: DatabaseConnection, context: WriteContext, resource: str, keys: Sequence[str]
) -> list[str]:
    """Return those of `keys` that the books have and that are not marked as deleted."""
    result = await database_connection.execute(
        _SQL["list_existing_keys"].format(table=table(resource).name),
        {"administration": context.administration_id, "keys": list(keys)},
    )
    return [str(key) for (key,) in await result.fetchall()]


async def missing_line_keys(
    database_connection: DatabaseConnection,
    context: WriteContext,
    entries: Sequence[str],
    lines: Sequence[str],
) -> list[str]:
    """Return the keys of lines of `entries` in the books that are not among `lines`.

    `lines` are all the lines that the source has.
    """
    result = await database_connection.execute(
        _SQL["list_missing_line_keys"],
        {"administration": context.administration_id, "entries": list(entries), "lines": list(lines)},
    )
    return [str(key) for (key,) in await result.fetchall()]


async def mark_deleted(
    database_connection: DatabaseConnection, context: WriteContext, resource: str, keys: Sequence[str]
) -> None:
    """Mark rows as deleted at the source; they stay in the books."""
    await database_connection.execute(
        _SQL["mark_rows_deleted"].format(table=table(resource).name),
        {"at": context.at, "administration": context.administration_id, "keys": list(keys)},
    )


def _present_keys_sql(resource: str, *, within: bool) -> str:
    """Return the query of the keys in the books: of the whole resource, or `within` partitions."""
    if not within:
        return _SQL["list_present_keys"].format(table=table(resource).name)
    if resource == ENTRY_LINES:
        return _SQL["list_present_line_keys_of_partitions"]
    return _SQL["list_present_keys_of_partitions"].format(table=table(resource).name)
