"""Writes pages of records into the books with COPY: only new and changed ones.

Works in the caller's transaction. Records are compared by a fingerprint: the SHA-256 of their comparison key,
and the version of normalisation. An unchanged one is neither normalised nor written. The rows of a page are
staged first (`koppel.books.storage.staging`).
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import msgspec
from django.utils.translation import gettext_noop

from koppel.books.storage.staging import ENVELOPE_COLUMNS, Table, copy_rows, table
from koppel.connector.contract import Record, RejectedRecord
from koppel.connector.errors import rejection_reason
from koppel.connector.rows import Row
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.kit.web.sentences import stored_sentence

Normalise = Callable[[str, bytes, str], Row]
SPLIT_ROWS_MIN = 500
DIGEST_BYTES, VERSION_BYTES = 32, 2
"""Of a fingerprint: the SHA-256, and after it the version of normalisation."""
DIGITS_MAX, WHOLE_MAX = 200, 2**31 - 1
TEXT_MAX = 2000
"""Characters of a text, which pages, exports and notices repeat."""
FREE_TEXTS = frozenset(
    {"name", "description", "reference", "address", "city", "email", "phone", "dimensions"}
)
"""Columns that nothing is looked up by: they are cut, and end with how long they were. Any other is a code:
two that begin alike would become one, so the record is rejected.
"""
ID_MAX = 400
"""Characters of the id of a record, which is in indexes."""
TOO_LONG = gettext_noop("The value of %(column)s has %(count)s characters; Koppel reads %(max)s at most.")
NUL_ESCAPED = rb"\u0000"
_SQL = load_statements("koppel.books")


class RecordBatch(NamedTuple):
    """The records of one resource in a page."""

    resource: str
    records: Sequence[Record]
    parents: Mapping[str, str]
    """Of lines: the id of a line → the id of its entry."""


@dataclass(frozen=True, kw_only=True)
class WriteContext:
    """The administration whose rows are written, the time, and how a record is normalised."""

    organisation_id: int
    administration_id: int
    at: datetime
    normalise: Normalise
    versions: Mapping[str, int]
    """The version of normalisation of each resource."""


@dataclass
class WriteResult:
    """The records of a page that were added, changed or normalised again, by external id."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renormalised: list[str] = field(default_factory=list)
    """Those that did not change at the source, but were normalised by another version."""
    rejected: list[RejectedRecord] = field(default_factory=list)
    """Those that could not be normalised."""

    @property
    def has_changes(self) -> bool:
        """Return whether there are rows to write."""
        return bool(self.added or self.changed or self.renormalised)


async def insert_new(
    database_connection: DatabaseConnection,
    context: WriteContext,
    batches: Sequence[RecordBatch],
    existing: Mapping[str, bytes | None],
) -> dict[str, WriteResult]:
    """Insert the records of a first read.

    `existing` holds the fingerprints of records of the first batch that the books have already. Raises
    `UniqueViolation` when the books have another one: the transaction is aborted, and the caller repeats the
    page with `stage` and `merge`. PostgreSQL inserts one half while the rows of the next are prepared.
    """
    written = {resource: WriteResult() for resource, _records, _parents in batches}
    currencies: dict[str, str] = {}
    inserting = None
    try:
        for half, (resource, records, parents) in _split_in_halves(batches):
            fingerprints = existing if resource == batches[0].resource else {}
            rows = list(_changed_rows(context, resource, records, parents, fingerprints, written[resource]))
            if resource == "entries":
                currencies |= _currencies_of(rows)
            elif resource == "entry_lines":
                rows = _with_currencies(rows, currencies)
            if inserting:
                await inserting
            if rows:
                await copy_rows(database_connection, table(resource), rows, half)
                inserting = asyncio.create_task(
                    _insert(database_connection, context, _insert_sql(table(resource), half), {})
                )
                await asyncio.sleep(0)  # sends the statement now
    finally:
        if inserting:
            await inserting
    return written


def _currencies_of(entries: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    """Return the currency of each of these rows, by id."""
    currency = _column_index("entries", "currency")
    return {row[0]: row[currency] for row in entries if row[currency] is not None}


def _with_currencies(lines: list[tuple[Any, ...]], currencies: Mapping[str, str]) -> list[tuple[Any, ...]]:
    """Return the rows; lines that state no currency get that of their entry, where it is among these.

    PostgreSQL would look the entry up for each of them, a tenth of its work in a first read. It still does
    for others.
    """
    entry, currency = _column_index("entry_lines", "entry"), _column_index("entry_lines", "currency")
    return [
        (*row[:currency], currencies[row[entry]], *row[currency + 1 :])
        if row[currency] is None and row[entry] in currencies
        else row
        for row in lines
    ]


@cache
def _column_index(resource: str, column: str) -> int:
    """Return the index of a column in the rows of `_changed_rows`."""
    return len(ENVELOPE_COLUMNS) + table(resource).columns.index(column)


def _split_in_halves(batches: Sequence[RecordBatch]) -> Iterator[tuple[int, RecordBatch]]:
    """Yield each batch whole as half 0, or in halves 0 and 1 when it has many records.

    Parents come first: they are few, so PostgreSQL starts early.
    """
    for resource, records, parents in batches:
        unique = _unique(records)
        middle = len(unique) // 2 if len(unique) >= SPLIT_ROWS_MIN else len(unique)
        for half, records_of_half in enumerate((unique[:middle], unique[middle:])):
            if records_of_half:
                yield half, RecordBatch(resource, records_of_half, parents)


async def stage(
    database_connection: DatabaseConnection,
    context: WriteContext,
    resource: str,
    records: Sequence[Record],
    parents: Mapping[str, str],
) -> WriteResult:
    """Stage the new and changed records in the resource's `staging_table`.

    `parents` maps the id of an entry line to the id of its entry.
    """
    written = WriteResult()
    if not records:
        return written
    unique = _unique(records)
    existing = await _existing_hashes(
        database_connection, context, table(resource), [record.external_id for record in unique]
    )
    rows = list(_changed_rows(context, resource, unique, parents, existing, written))
    if rows:
        await copy_rows(database_connection, table(resource), rows, 0)
    return written


async def merge(
    database_connection: DatabaseConnection,
    context: WriteContext,
    resource: str,
    *,
    change_log_ctes: str = "",
    values: Mapping[str, object] | None = None,
) -> None:
    """Merge the staged rows into the books.

    `change_log_ctes` are common table expressions that see the books before the merge; `values` are their
    parameters.
    """
    if resource == "entries":
        statement = _SQL["update_line_currencies"].format(staged=table(resource).staging_table())
        await _insert(database_connection, context, statement, {})
    await _insert(
        database_connection, context, f"{change_log_ctes}{_upsert_sql(table(resource))}", values or {}
    )


async def update_ledger_types(database_connection: DatabaseConnection, context: WriteContext) -> None:
    """Give stored entries the type that the journals state of their ledger. Call this after journals changed.

    Entries written later get theirs when they are merged.
    """
    params = {"administration": context.administration_id, "at": context.at}
    await database_connection.execute(_SQL["update_ledger_types"], params)


def inherited_columns(target: Table, column: Callable[[str], str]) -> dict[str, str]:
    """Return the SQL of the columns whose value may come from another table: the ledger type of entries, and
    the currency of lines.

    `column` returns the SQL of a column of the row to write. The statement has the parameter
    `administration`.
    """
    if target == table("entries"):
        ledger, stated = column("ledger"), column("balance_type")
        return {"balance_type": _SQL["ledger_type_expression"].format(ledger=ledger, stated=stated)}
    if target == table("entry_lines"):
        entry, stated = column("entry"), column("currency")
        return {"currency": _SQL["line_currency_expression"].format(entry=entry, stated=stated)}
    return {}


def fingerprint_of(record: Record, version: int) -> bytes:
    """Return the bytes by which the record is compared with the stored row."""
    return hashlib.sha256(record.comparison_key or record.raw).digest() + version_suffix(version)


def version_suffix(version: int) -> bytes:
    return version.to_bytes(VERSION_BYTES, "big")


def _unique(records: Sequence[Record]) -> list[Record]:
    """Return each key once: of two records the later one."""
    return list({record.external_id: record for record in records}.values())


def _changed_rows(
    context: WriteContext,
    resource: str,
    records: Sequence[Record],
    parents: Mapping[str, str],
    existing: Mapping[str, bytes | None],
    written: WriteResult,
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of new and changed records, and add their keys to `written`.

    The hot loop of a first import.
    """
    target, sha256, astuple = table(resource), hashlib.sha256, msgspec.structs.astuple
    suffix = version_suffix(context.versions[resource])
    for record in records:
        external_id = record.external_id
        fingerprint = sha256(record.comparison_key or record.raw).digest() + suffix
        if existing and existing.get(external_id) == fingerprint:
            continue
        try:
            if len(external_id) > ID_MAX:
                raise ValueError(stored_sentence(TOO_LONG, column="id", count=len(external_id), max=ID_MAX))
            values = list(astuple(context.normalise(resource, record.raw, parents.get(external_id, ""))))
            make_storable(values, record.raw, target)
        except ValueError as error:
            written.rejected.append(
                RejectedRecord(external_id=external_id, reason=rejection_reason(error), raw=record.raw)
            )
            continue
        _list_of(external_id, fingerprint, existing, written).append(external_id)
        yield external_id, record.partition, record.raw, fingerprint, *values


def _list_of(
    key: str, fingerprint: bytes, existing: Mapping[str, bytes | None], written: WriteResult
) -> list[str]:
    """Return the list of `written` that the record belongs to. One that was deleted and is back changed."""
    if key not in existing:
        return written.added
    previous = existing[key]
    if previous is not None and previous[:DIGEST_BYTES] == fingerprint[:DIGEST_BYTES]:
        return written.renormalised
    return written.changed


def make_storable(values: list[Any], raw: bytes, target: Table) -> None:
    """Turn amounts into text and cut long texts, in place. The payload keeps all of them.

    Raises `ValueError` for a value that a column of PostgreSQL cannot hold, and for an endless code.
    """
    for column in target.numeric_columns:
        if (value := values[column]) is not None:
            values[column] = text = str(value)
            if len(text) > DIGITS_MAX or ("E" in text and abs(value.adjusted()) > DIGITS_MAX):
                raise ValueError("An amount has more digits than an amount of money.")
    for column in target.integer_columns:
        if (value := values[column]) is not None and not -WHOLE_MAX <= value <= WHOLE_MAX:
            raise ValueError("A number is too large.")
    if (NUL_ESCAPED in raw or b"\0" in raw) and any(
        "\0" in value for value in values if isinstance(value, str)
    ):
        raise ValueError("A code has a NUL in it.")
    if len(raw) > TEXT_MAX:  # what is longer is a part of the payload
        _bound_texts(values, target)


def _bound_texts(values: list[Any], target: Table) -> None:
    for index, (name, value) in enumerate(zip(target.columns, values, strict=True)):
        if not isinstance(value, str) or len(value) <= TEXT_MAX:
            continue
        if name not in FREE_TEXTS:
            raise ValueError(stored_sentence(TOO_LONG, column=name, count=len(value), max=TEXT_MAX))
        ending = f"… [{len(value)}]"
        values[index] = value[: TEXT_MAX - len(ending)] + ending


async def _existing_hashes(
    database_connection: DatabaseConnection, context: WriteContext, target: Table, keys: list[str]
) -> dict[str, bytes | None]:
    """Return content hashes by id.

    None for a row marked as deleted: the record reappears even if its hash is equal.
    """
    result = await database_connection.execute(
        _SQL["list_content_hashes"].format(table=target.name),
        {"administration": context.administration_id, "keys": keys},
        binary=True,
    )
    return dict(await result.fetchall())


async def _insert(
    database_connection: DatabaseConnection,
    context: WriteContext,
    statement: str,
    values: Mapping[str, object],
) -> None:
    params = {
        "organisation": context.organisation_id,
        "administration": context.administration_id,
        "at": context.at,
    }
    await database_connection.execute(statement, {**values, **params})


@cache
def _insert_sql(target: Table, half: int = 0) -> str:
    return _SQL["insert_staged_rows"].format(**_sql_names(target, half))


@cache
def _upsert_sql(target: Table) -> str:
    replaced = [name for name in (*ENVELOPE_COLUMNS, *target.columns) if name != "external_id"]
    replacements = ", ".join(f"{name} = excluded.{name}" for name in replaced)
    return _SQL["upsert_staged_rows"].format(**_sql_names(target), replacements=replacements)


def _sql_names(target: Table, half: int = 0) -> dict[str, str]:
    """Return the names for a statement: the table, its staging table, the columns of both.

    Amounts are staged as text.
    """
    columns = (*ENVELOPE_COLUMNS, *target.columns)
    selected = {
        name: f"{name}::numeric"
        for name, kind in zip(target.columns, target.types, strict=True)
        if kind == "numeric"
    }
    staged = target.staging_table(half)
    selected |= inherited_columns(target, lambda name: f"{staged}.{name}")
    return {
        "table": target.name,
        "staged": staged,
        "columns": ", ".join(columns),
        "selected": ", ".join(selected.get(name, name) for name in columns),
    }
