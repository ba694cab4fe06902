"""Writes pages of records into the books: only what is new or changed, with COPY, in the caller's transaction.

A record is compared by the SHA-256 of what tells its versions apart; an unchanged one is neither normalised nor written.
PostgreSQL refuses COPY into a table under row level security, so rows are staged in a temporary table, made once per
connection. Amounts are staged as text: their decimals reach `numeric` as the source wrote them, and cheaper.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from django.db import models
from psycopg.abc import Buffer

from koppel.books.fields import Amount
from koppel.books.models import TABLES, BookRow
from koppel.connector.contract import Record, Rejected
from koppel.connector.rows import Row
from koppel.kit.database import Connection

Normalise = Callable[[str, bytes, str], Row]
Level = tuple[str, Sequence[Record], Mapping[str, str]]
"""A resource, its records, and the entry of each when they are lines."""
FRAME_COLUMNS = ("external_id", "partition", "raw", "content_hash")
FRAME_TYPES = ("text", "text", "bytea", "bytea")
ENTRIES, LINES = "entries", "entry_lines"
HALVED_FROM = 200
LOOKED_AT_FROM, ROW_BYTES_MAX = 1000, 7900
"""Of 8,160 that fit on a page, less what lengths and alignment of 25 columns take."""
PIECES_SENT_TOGETHER = 8
"""Of 32 KB each: a round of the event loop for every quarter of a megabyte."""


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

    @property
    def is_any(self) -> bool:
        """Whether a row is to be written."""
        return bool(self.added or self.changed)


@dataclass(frozen=True)
class Table:
    """A table of the books; `incoming` names where its rows are staged."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    def incoming(self, half: int = 0) -> str:
        return f"incoming_{self.name}_{half}"

    @property
    def amounts(self) -> tuple[int, ...]:
        return tuple(place for place, kind in enumerate(self.types) if kind == "numeric")

    @property
    def staged_types(self) -> tuple[str, ...]:
        return (*FRAME_TYPES, *("text" if kind == "numeric" else kind for kind in self.types))


async def insert_new(
    connection: Connection, place: Place, levels: Sequence[Level], known: Mapping[str, bytes | None]
) -> dict[str, Written]:
    """Write records of a first read, of which the books know none but those of the first level that are `known`, by digest.
    Raises `UniqueViolation` when they do know another one; the transaction is lost then, and the page is for `stage` and
    `merge`. PostgreSQL inserts one part while the rows of the next are made."""
    found = {resource: Written() for resource, _records, _parents in levels}
    inserting = None
    try:
        for resource, records, parents, half in _parts(levels):
            among = known if resource == levels[0][0] else {}
            rows = list(_compared(place, resource, records, parents, among, found[resource]))
            if inserting:
                await inserting
            if rows:
                await _copy(connection, table(resource), rows, half)
                inserting = asyncio.create_task(_insert(connection, place, _insert_sql(table(resource), half), {}))
                await asyncio.sleep(0)  # now it is sent
    finally:
        if inserting:
            await inserting
    return found


def _parts(levels: Sequence[Level]) -> Iterator[tuple[str, list[Record], Mapping[str, str], int]]:
    """Many records in two halves; the last part, for which we wait, is a small one."""
    for resource, records, parents in reversed(levels):
        unique = _unique(records)
        middle = len(unique) // 2 if len(unique) >= HALVED_FROM else len(unique)
        for half, part in enumerate((unique[:middle], unique[middle:])):
            if part:
                yield resource, part, parents, half


async def stage(
    connection: Connection, place: Place, resource: str, records: Sequence[Record], parents: Mapping[str, str]
) -> Written:
    """Find what is new or changed and put it beside the books, in `table(resource).incoming()`. `parents` maps an entry line's
    id to its entry's id."""
    written = Written()
    if not records:
        return written
    unique = _unique(records)
    known = await _known(connection, place, table(resource), [one.external_id for one in unique])
    rows = list(_compared(place, resource, unique, parents, known, written))
    if rows:
        await _copy(connection, table(resource), rows, 0)
    return written


async def merge(
    connection: Connection, place: Place, resource: str, *, beside: str = "", values: Mapping[str, object] | None = None
) -> None:
    """Take over what was staged. `beside`: queries of a WITH clause, which see the books as they were, and their values."""
    await _insert(connection, place, f"{beside}{_upsert_sql(table(resource))}", values or {})


async def absent(
    connection: Connection, place: Place, resource: str, partitions: Iterable[str] | None,
    *, keys: Sequence[str] | None = None, read_id: int = 0,
) -> list[str]:  # fmt: skip
    """Ids in the books that a complete read did not meet: not among `keys`, or without those not in `sync_seen`.

    `partitions` None = the whole resource, else only rows of these. Lines belong where their entry does."""
    met = "SELECT unnest(%(keys)b::text[])" if keys is not None else _SEEN
    found = await connection.execute(
        f"{_own_sql(resource, partitions is not None)} EXCEPT {met} ORDER BY 1",
        {
            "administration": place.administration_id, "partitions": list(partitions or ()), "keys": keys,
            "resource": resource, "read": read_id,
        },
    )  # fmt: skip
    return [str(key) for (key,) in await found.fetchall()]


async def present(connection: Connection, place: Place, resource: str, keys: Sequence[str]) -> list[str]:
    """Which of these ids the books have, not flagged as deleted."""
    found = await connection.execute(
        f"SELECT external_id FROM {table(resource).name} WHERE administration_id = %s AND external_id = ANY(%b)"  # noqa: S608
        " AND deleted_at IS NULL ORDER BY 1",
        [place.administration_id, list(keys)],
    )
    return [str(key) for (key,) in await found.fetchall()]


async def absent_lines(connection: Connection, place: Place, entries: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Lines of these entries in the books that are not among `lines`, all lines of the entries."""
    found = await connection.execute(
        f"SELECT external_id FROM {table(LINES).name} WHERE administration_id = %s AND entry = ANY(%b)"  # noqa: S608
        " AND deleted_at IS NULL EXCEPT SELECT unnest(%b::text[]) ORDER BY 1",
        [place.administration_id, list(entries), list(lines)],
    )
    return [str(key) for (key,) in await found.fetchall()]


async def flag_deleted(connection: Connection, place: Place, resource: str, keys: Sequence[str]) -> None:
    """The rows stay, marked as gone at the source."""
    await connection.execute(
        f"UPDATE {table(resource).name} SET deleted_at = %s"  # noqa: S608 - our own table names
        " WHERE administration_id = %s AND external_id = ANY(%b)",
        [place.at, place.administration_id, list(keys)],
    )


@cache
def table(resource: str) -> Table:
    """The table of a resource, its typed columns in the order of its row."""
    model = TABLES[resource]
    frame = {one.name for one in BookRow._meta.local_fields} | {"pk"}
    own = [one for one in model._meta.local_concrete_fields if one.name not in frame]
    return Table(model._meta.db_table, tuple(str(one.column) for one in own), tuple(_type(one) for one in own))


_SEEN = (
    "SELECT external_id FROM sync_seen"
    " WHERE administration_id = %(administration)s AND resource = %(resource)s AND read_id = %(read)s"
)


def _own_sql(resource: str, within: bool) -> str:
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


def digest_of(record: Record) -> bytes:
    """What tells two versions of it apart."""
    return hashlib.sha256(record.compared or record.native).digest()


def _unique(records: Sequence[Record]) -> list[Record]:
    """Each key once; of two the later one, as it came later."""
    return list({one.external_id: one for one in records}.values())


def _compared(
    place: Place,
    resource: str,
    records: Sequence[Record],
    parents: Mapping[str, str],
    known: Mapping[str, bytes | None],
    written: Written,
) -> Iterator[tuple[Any, ...]]:
    """Rows of what is not known with this hash, noted in `written`. The hot loop of a first import."""
    amounts, sha256, astuple = table(resource).amounts, hashlib.sha256, msgspec.structs.astuple
    for record in records:
        key = record.external_id
        digest = sha256(record.compared or record.native).digest()
        if known and known.get(key) == digest:
            continue
        try:
            values = list(astuple(place.normalise(resource, record.native, parents.get(key, ""))))
        except ValueError as error:
            written.rejected.append(Rejected(key, str(error)[:300], record.native))
            continue
        for column in amounts:
            if values[column] is not None:
                values[column] = str(values[column])
        (written.changed if key in known else written.added).append(key)
        yield key, record.partition, record.native, digest, *values


_staged: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()
"""Which temporary tables a connection has for certain: found there by a later transaction than the one that made them."""


async def _known(connection: Connection, place: Place, one: Table, keys: list[str]) -> dict[str, bytes | None]:
    """Content hash by id; None for a row that is flagged as deleted: it comes back whatever its hash."""
    found = await connection.execute(
        f"SELECT external_id, CASE WHEN deleted_at IS NULL THEN content_hash END FROM {one.name}"  # noqa: S608
        " WHERE administration_id = %s AND external_id = ANY(%b)",
        [place.administration_id, keys],
        binary=True,
    )
    return dict(await found.fetchall())


async def _copy(connection: Connection, one: Table, rows: Sequence[tuple[Any, ...]], half: int) -> None:
    """Stage rows, each half in a table of its own. A temporary table empties itself at each commit; asking for it is cheaper
    than making it anew."""
    columns, incoming = (*FRAME_COLUMNS, *one.columns), one.incoming(half)
    staged = _staged.setdefault(connection, set())
    if any(map(_is_long, rows)):
        staged.discard(incoming)
        await connection.execute(
            f"DROP TABLE IF EXISTS {incoming}; {_staging_sql(one, incoming, is_long=True)}".encode()
        )
    elif incoming not in staged:
        found = await connection.execute("SELECT to_regclass(%s) IS NULL", [f"pg_temp.{incoming}"])
        row = await found.fetchone()
        if row and row[0]:
            await connection.execute(_staging_sql(one, incoming).encode())
        else:
            staged.add(incoming)
    async with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {incoming} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy,
    ):
        copy.set_types(one.staged_types)
        pieces: list[Buffer] = []
        for values in rows:
            if filled := copy.formatter.write_row(values):  # `copy.write_row` without a coroutine for each row
                pieces.append(filled)
            if len(pieces) == PIECES_SENT_TOGETHER:
                await copy.write(b"".join(pieces))
                pieces.clear()
        await copy.write(b"".join(pieces))


def _is_long(row: tuple[Any, ...]) -> bool:
    """Whether it might not fit on a page of PostgreSQL as it is. What is in its columns is in its payload, of which it is the
    third."""
    if len(row[2]) < LOOKED_AT_FROM:
        return False
    texts = (one.encode() if isinstance(one, str) else one for one in row if isinstance(one, str | bytes))
    return sum(map(len, texts)) > ROW_BYTES_MAX


def _staging_sql(one: Table, name: str, *, is_long: bool = False) -> str:
    """A commit empties every such table of the session, whichever it used, and rebuilds the index of its TOAST table: half a
    millisecond each. So they have none, but where a row is too long without it: then for one transaction."""
    columns = dict(zip((*FRAME_COLUMNS, *one.columns), one.staged_types, strict=True))
    if is_long:
        return f"CREATE TEMP TABLE {name} ({', '.join(map(' '.join, columns.items()))}) ON COMMIT DROP"
    added = [f"ADD COLUMN {column} {kind}" for column, kind in columns.items()]
    plain = [
        f"ALTER COLUMN {column} SET STORAGE PLAIN" for column, kind in columns.items() if kind in ("text", "bytea")
    ]
    return f"CREATE TEMP TABLE {name} () ON COMMIT DELETE ROWS; ALTER TABLE {name} {', '.join(added + plain)}"


async def _insert(connection: Connection, place: Place, statement: str, values: Mapping[str, object]) -> None:
    own = {"organisation": place.organisation_id, "administration": place.administration_id, "at": place.at}
    await connection.execute(statement, {**values, **own})


@cache
def _insert_sql(one: Table, half: int = 0) -> str:
    columns = (*FRAME_COLUMNS, *one.columns)
    kinds = dict(zip(one.columns, one.types, strict=True))
    selected = [f"{name}::numeric" if kinds.get(name) == "numeric" else name for name in columns]
    return (
        f"INSERT INTO {one.name} (organisation_id, administration_id, first_seen, last_changed, deleted_at,"  # noqa: S608
        f" {', '.join(columns)}) SELECT %(organisation)s, %(administration)s, %(at)s, %(at)s, NULL,"
        f" {', '.join(selected)} FROM {one.incoming(half)}"
    )


@cache
def _upsert_sql(one: Table) -> str:
    replaced = [name for name in (*FRAME_COLUMNS, *one.columns) if name != "external_id"]
    return (
        f"{_insert_sql(one)} ON CONFLICT (administration_id, external_id) DO UPDATE SET"
        f" last_changed = excluded.last_changed, deleted_at = NULL,"
        f" {', '.join(f'{name} = excluded.{name}' for name in replaced)}"
    )


def _type(column: "models.Field[Any, Any]") -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (Amount, "numeric"),
        (models.DateField, "date"),
        (models.BooleanField, "bool"),
        (models.IntegerField, "int4"),
    )
    return next((name for kind, name in kinds if isinstance(column, kind)), "text")
