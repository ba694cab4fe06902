"""Writes pages of records into the books: only what is new or changed, with COPY, in the caller's transaction.

A record is compared by the SHA-256 of the vendor's bytes; an unchanged one is neither normalised nor written. PostgreSQL
refuses COPY into a table under row level security, so rows go to a temporary table first.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from django.db import models

from koppel.books.fields import Amount
from koppel.books.models import TABLES, BookRow
from koppel.connector.contract import Record, Rejected
from koppel.connector.rows import Row
from koppel.kit.database import Connection

Normalise = Callable[[str, bytes, str], Row]
FRAME_COLUMNS = ("external_id", "partition", "raw", "content_hash")
FRAME_TYPES = ("text", "text", "bytea", "bytea")


@dataclass(frozen=True)
class Place:
    """Whose rows are written, at which moment, and how a record becomes a row."""

    organisation_id: int
    administration_id: int
    at: datetime
    normalise: Normalise


@dataclass
class Written:
    """What a page did, by external id. `rejected` could not be understood."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    @property
    def incoming(self) -> str:
        return f"incoming_{self.name}"


async def write(
    connection: Connection,
    place: Place,
    resource: str,
    records: Sequence[Record],
    parents: Mapping[str, str] | None = None,
) -> Written:
    """Upsert the records of a page. `parents` maps an entry line's id to its entry's id."""
    written = Written()
    unique = {one.external_id: one for one in records}
    if not unique:
        return written
    table = _table(resource)
    known = await _known(connection, place, table, list(unique))
    rows: list[tuple[Any, ...]] = []
    for key, record in unique.items():
        digest = hashlib.sha256(record.native).digest()
        if known.get(key) == digest:
            continue
        try:
            row = place.normalise(resource, record.native, (parents or {}).get(key, ""))
        except ValueError as error:
            written.rejected.append(Rejected(key, str(error)[:300], record.native))
            continue
        rows.append((key, record.partition, record.native, digest, *msgspec.structs.astuple(row)))
        (written.changed if key in known else written.added).append(key)
    if rows:
        await _copy(connection, table, rows)
        await connection.execute(_upsert(table), [place.organisation_id, place.administration_id, place.at, place.at])
    return written


async def delete_absent(
    connection: Connection, place: Place, resource: str, read_id: int, partitions: Iterable[str] | None
) -> list[str]:
    """Flag rows that a complete read (its keys are in `sync_seen`) did not meet. The ids of those flagged now.

    `partitions` None = the whole resource, else only rows of these."""
    table = _table(resource)
    within = "" if partitions is None else "AND row.partition = ANY(%(partitions)s)"
    found = await connection.execute(
        f"UPDATE {table.name} row SET deleted_at = %(at)s"  # noqa: S608 - our own table names
        f" WHERE row.administration_id = %(administration)s AND row.deleted_at IS NULL {within}"
        " AND NOT EXISTS (SELECT FROM sync_seen seen WHERE seen.administration_id = row.administration_id"
        " AND seen.resource = %(resource)s AND seen.read_id = %(read)s AND seen.external_id = row.external_id)"
        " RETURNING row.external_id",
        {
            "at": place.at, "administration": place.administration_id, "partitions": list(partitions or ()),
            "resource": resource, "read": read_id,
        },
    )  # fmt: skip
    return [str(key) for (key,) in await found.fetchall()]


async def _known(connection: Connection, place: Place, table: _Table, keys: list[str]) -> dict[str, bytes | None]:
    """Content hash by id; None for a row that is flagged as deleted: it comes back whatever its hash."""
    found = await connection.execute(
        f"SELECT external_id, CASE WHEN deleted_at IS NULL THEN content_hash END FROM {table.name}"  # noqa: S608
        " WHERE administration_id = %s AND external_id = ANY(%s)",
        [place.administration_id, keys],
    )
    return dict(await found.fetchall())


async def _copy(connection: Connection, table: _Table, rows: list[tuple[Any, ...]]) -> None:
    columns = (*FRAME_COLUMNS, *table.columns)
    types = (*FRAME_TYPES, *table.types)
    definition = ", ".join(f"{name} {kind}" for name, kind in zip(columns, types, strict=True))
    await connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table.incoming} ({definition}) ON COMMIT DELETE ROWS")
    await connection.execute(f"TRUNCATE {table.incoming}")
    async with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table.incoming} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.set_types(types)
        for row in rows:
            await copy.write_row(row)


@cache
def _upsert(table: _Table) -> str:
    columns = (*FRAME_COLUMNS, *table.columns)
    replaced = [name for name in columns if name != "external_id"]
    listed = ", ".join(columns)
    return (
        f"INSERT INTO {table.name} (organisation_id, administration_id, first_seen, last_changed, deleted_at, {listed})"  # noqa: S608
        f" SELECT %s, %s, %s, %s, NULL, {listed} FROM {table.incoming}"
        " ON CONFLICT (administration_id, external_id) DO UPDATE SET last_changed = excluded.last_changed,"
        f" deleted_at = NULL, {', '.join(f'{name} = excluded.{name}' for name in replaced)}"
    )


@cache
def _table(resource: str) -> _Table:
    model = TABLES[resource]
    frame = {one.name for one in BookRow._meta.local_fields} | {"pk"}
    own = [one for one in model._meta.local_concrete_fields if one.name not in frame]
    return _Table(model._meta.db_table, tuple(str(one.column) for one in own), tuple(_type(one) for one in own))


def _type(column: "models.Field[Any, Any]") -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (Amount, "numeric"),
        (models.DateField, "date"),
        (models.BooleanField, "bool"),
        (models.IntegerField, "int4"),
    )
    return next((name for kind, name in kinds if isinstance(column, kind)), "text")
