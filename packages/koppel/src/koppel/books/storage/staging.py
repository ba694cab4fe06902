"""Stages rows: COPY into a temporary table, from which one statement merges them into the books.

PostgreSQL does not support COPY into a table under row level security. The temporary table is created once
per connection. Amounts are staged as text: it is cheaper, and `numeric` gets their decimals as the source
wrote them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from weakref import WeakKeyDictionary

from psycopg.abc import Buffer

from koppel.books.fields import row_columns
from koppel.books.models import MODELS_BY_RESOURCE
from koppel.connector.rows import ROWS
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements

ENVELOPE_COLUMNS = ("external_id", "partition", "raw", "content_hash")
ENVELOPE_TYPES = ("text", "text", "bytea", "bytea")
SIZE_CHECKED_FROM, ROW_BYTES_MAX = 1000, 7900
"""A page of PostgreSQL holds 8,160 bytes; the lengths and alignment of 25 columns take the rest."""
CHUNKS_PER_SEND = 8
"""Of 32 KB each: one round of the event loop per 256 KB."""
_SQL = load_statements("koppel.books")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the books; `staging_table` names the temporary table of one half of a page."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    def staging_table(self, half: int = 0) -> str:
        return f"incoming_{self.name}_{half}"

    @cached_property
    def numeric_columns(self) -> tuple[int, ...]:
        return tuple(place for place, kind in enumerate(self.types) if kind == "numeric")

    @cached_property
    def integer_columns(self) -> tuple[int, ...]:
        return tuple(place for place, kind in enumerate(self.types) if kind == "int4")

    @property
    def staged_types(self) -> tuple[str, ...]:
        return (*ENVELOPE_TYPES, *("text" if kind == "numeric" else kind for kind in self.types))


@cache
def table(resource: str) -> Table:
    """Return the table of a resource, its typed columns in the order of its row."""
    columns = tuple(row_columns(ROWS[resource]))
    return Table(
        name=MODELS_BY_RESOURCE[resource]._meta.db_table,
        columns=tuple(column.name for column in columns),
        types=tuple(column.sql_type for column in columns),
    )


_staged: WeakKeyDictionary[DatabaseConnection, set[str]] = WeakKeyDictionary()
"""Tables known to be committed: a later transaction saw them."""


async def copy_rows(
    database_connection: DatabaseConnection, target: Table, rows: Sequence[tuple[Any, ...]], half: int
) -> None:
    """Stage the rows of one half of a page in its own temporary table, once per transaction.

    A temporary table is emptied by each commit; looking it up is cheaper than creating it again.
    """
    columns, incoming = (*ENVELOPE_COLUMNS, *target.columns), target.staging_table(half)
    staged = _staged.setdefault(database_connection, set())
    if any(map(_is_long, rows)):
        staged.discard(incoming)
        await database_connection.execute(_create_table_sql(target, incoming, is_long=True).encode())
    elif incoming not in staged:
        result = await database_connection.execute(_SQL["has_staging_table"], {"name": f"pg_temp.{incoming}"})
        row = await result.fetchone()
        if row and row[0]:
            staged.add(incoming)
        else:
            await database_connection.execute(_create_table_sql(target, incoming).encode())
    async with (
        database_connection.cursor() as cursor,
        cursor.copy(_SQL["copy_rows"].format(staged=incoming, columns=", ".join(columns))) as copying,
    ):
        copying.set_types(target.staged_types)
        pieces: list[Buffer] = []
        for values in rows:
            if filled := copying.formatter.write_row(values):  # `write_row` without a coroutine for each row
                pieces.append(filled)
            if len(pieces) == CHUNKS_PER_SEND:
                await copying.write(b"".join(pieces))
                pieces.clear()
        await copying.write(b"".join(pieces))


def _is_long(row: tuple[Any, ...]) -> bool:
    """Return whether the row might not fit on a page of PostgreSQL without TOAST.

    The columns are a part of the payload, which is the third value.
    """
    if len(row[2]) < SIZE_CHECKED_FROM:
        return False
    texts = (
        cell.encode() if isinstance(cell, str) else cell for cell in row if isinstance(cell, str | bytes)
    )
    return sum(map(len, texts)) > ROW_BYTES_MAX


def _create_table_sql(target: Table, name: str, *, is_long: bool = False) -> str:
    """Return the SQL that creates a staging table.

    Each commit empties every temporary table of the session and rebuilds the index of its TOAST table, half a
    millisecond each. So a table only has TOAST for a transaction with a long row.
    """
    columns = dict(zip((*ENVELOPE_COLUMNS, *target.columns), target.staged_types, strict=True))
    if is_long:
        typed_columns = ", ".join(map(" ".join, columns.items()))
        return _SQL["create_staging_table_for_long_rows"].format(staged=name, typed_columns=typed_columns)
    added = [f"ADD COLUMN {column} {kind}" for column, kind in columns.items()]
    plain = [
        f"ALTER COLUMN {column} SET STORAGE PLAIN"
        for column, kind in columns.items()
        if kind in ("text", "bytea")
    ]
    return _SQL["create_staging_table"].format(staged=name, additions=", ".join(added + plain))
