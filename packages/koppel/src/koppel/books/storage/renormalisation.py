"""Normalises stored rows of another version again, from their stored payloads, in batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from django.db import connection as django_connection

from koppel.books.storage.staging import Table, table
from koppel.books.storage.writer import (
    DIGEST_BYTES,
    Normalise,
    WriteContext,
    inherited_columns,
    make_storable,
    version_suffix,
)
from koppel.connector.rows import ROWS
from koppel.kit.database.sql_files import load_statements

ROWS_PER_BATCH = 1000
CHILD_RESOURCE = "entry_lines"
_SQL = load_statements("koppel.books")


@dataclass(frozen=True, kw_only=True)
class RenormalisedBatch:
    """The outcome of a batch: the last key that it looked at ('' at the end), and two counts."""

    last_key: str
    renormalised: int
    rejected: int
    """Rows that this version cannot normalise; they stay as they are."""


def count_outdated_rows(administration_id: int, resource: str, version: int) -> int:
    """Return the number of rows that another version normalised."""
    statement = _SQL["count_outdated_rows"].format(table=table(resource).name)
    with django_connection.cursor() as cursor:
        cursor.execute(statement, _outdated(administration_id, version))
        return int(cursor.fetchone()[0])


def renormalise_batch(context: WriteContext, resource: str, after: str) -> RenormalisedBatch:
    """Normalise the next rows after the key `after`, in the caller's transaction, which locks them."""
    target, version = table(resource), context.versions[resource]
    parent = "entry" if resource == CHILD_RESOURCE else "''"
    statement = _SQL["list_outdated_rows"].format(table=target.name, parent=parent)
    with django_connection.cursor() as cursor:
        params = {**_outdated(context.administration_id, version), "after": after, "limit": ROWS_PER_BATCH}
        cursor.execute(statement, params)
        stored = cursor.fetchall()
        updates = [
            update for row in stored if (update := _update_of(context.normalise, resource, version, row))
        ]
        common: dict[str, Any] = {"administration": context.administration_id, "at": context.at}
        if updates:
            cursor.executemany(_update_sql(target), [{**common, **update} for update in updates])
    last_key = stored[-1][0] if len(stored) == ROWS_PER_BATCH else ""
    return RenormalisedBatch(
        last_key=last_key, renormalised=len(updates), rejected=len(stored) - len(updates)
    )


def _outdated(administration_id: int, version: int) -> dict[str, Any]:
    return {
        "administration": administration_id,
        "version_from": DIGEST_BYTES + 1,
        "version": version_suffix(version),
    }


def _update_of(
    normalise: Normalise, resource: str, version: int, stored: Sequence[Any]
) -> dict[str, Any] | None:
    """Return the parameters of the update of a row; None when this version cannot normalise it."""
    key, raw, content_hash, parent = stored[0], bytes(stored[1]), bytes(stored[2]), stored[3]
    target = table(resource)
    try:
        values = list(msgspec.structs.astuple(normalise(resource, raw, parent)))
        make_storable(values, raw, target)
    except ValueError:
        return None
    columns = dict(zip(ROWS[resource].__struct_fields__, values, strict=True))
    return {**columns, "row_key": key, "row_hash": content_hash[:DIGEST_BYTES] + version_suffix(version)}


@cache
def _update_sql(target: Table) -> str:
    pairs = zip(target.columns, target.types, strict=True)
    values = {name: f"%({name})s::{kind}" for name, kind in pairs}
    values |= inherited_columns(target, lambda name: values[name])
    assignments = ", ".join(f"{name} = {value}" for name, value in values.items())
    return _SQL["update_renormalised_row"].format(table=target.name, assignments=assignments)
