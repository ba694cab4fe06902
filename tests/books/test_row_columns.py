"""A column of the books is declared once, as a field of a connector's row type: table, staging table, the
order of COPY, the SQL view and the records over REST have the same columns in the same order. Rows are copied
by position.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from types import NoneType
from typing import Any, NamedTuple, get_args

import msgspec
import psycopg
import pytest

from koppel.books.models import MODELS_BY_RESOURCE, BookRow
from koppel.books.storage.staging import ENVELOPE_COLUMNS, ENVELOPE_TYPES, copy_rows, table
from koppel.connector.rows import ROWS
from koppel.kit.database.embedded_postgres import Addresses

SQL_TYPES = {str: "text", Decimal: "numeric", date: "date", bool: "bool", int: "int4"}
KEY = ("organisation_id", "administration_id")
TIMES = ("first_seen", "last_changed", "deleted_at")
ENVELOPE = {*KEY, *ENVELOPE_COLUMNS, *TIMES}
_COLUMNS = """
SELECT a.attname, t.typname, NOT a.attnotnull FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


class Column(NamedTuple):
    name: str
    sql_type: str
    nullable: bool


def declared_columns(resource: str) -> list[Column]:
    """The columns as the row type declares them."""
    columns = []
    for field in msgspec.structs.fields(ROWS[resource]):
        kinds = set(get_args(field.type) or [field.type])
        [kind] = kinds - {NoneType}
        columns.append(Column(field.name, SQL_TYPES[kind], NoneType in kinds))
    return columns


@pytest.fixture
def owner(
    clean_database: None, database_addresses: Addresses
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(database_addresses.owner_url) as connection:
        yield connection


def columns_in_database(connection: psycopg.Connection[tuple[Any, ...]], relation: str) -> list[Column]:
    return [Column(*row) for row in connection.execute(_COLUMNS, [relation]).fetchall()]


def test_each_resource_has_a_row_and_a_table() -> None:
    assert list(ROWS) == list(MODELS_BY_RESOURCE)


@pytest.mark.parametrize("resource", ROWS)
def test_fields_of_the_row_are_the_fields_of_the_model_in_the_same_order(resource: str) -> None:
    fields = MODELS_BY_RESOURCE[resource]._meta.local_concrete_fields
    assert [field.name for field in fields if field.name in ENVELOPE] == [
        field.name for field in BookRow._meta.local_concrete_fields if field.name != "pk"
    ]
    typed = [field for field in fields if field.name not in {*ENVELOPE, "pk"}]
    assert [field.name for field in typed] == [column.name for column in declared_columns(resource)]
    assert all(field.column == field.name for field in typed)


@pytest.mark.parametrize("resource", ROWS)
def test_the_engine_copies_in_the_order_of_the_row(resource: str) -> None:
    target, columns = table(resource), declared_columns(resource)
    assert target.columns == tuple(column.name for column in columns)
    assert target.types == tuple(column.sql_type for column in columns)
    staged = tuple("text" if column.sql_type == "numeric" else column.sql_type for column in columns)
    assert target.staged_types == (*ENVELOPE_TYPES, *staged)


@pytest.mark.parametrize("resource", ROWS)
def test_a_table_has_the_columns_of_its_row(
    resource: str, owner: psycopg.Connection[tuple[Any, ...]]
) -> None:
    columns = columns_in_database(owner, table(resource).name)
    assert {column.name for column in columns if column.name in ENVELOPE} == ENVELOPE
    assert [column for column in columns if column.name not in ENVELOPE] == declared_columns(resource)


@pytest.mark.parametrize("resource", ROWS)
def test_a_view_has_the_columns_of_its_row(resource: str, owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    names = [column.name for column in columns_in_database(owner, f"books.{resource}")]
    assert names == [
        "administration_id",
        "external_id",
        *(column.name for column in declared_columns(resource)),
        *TIMES,
    ]


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("resource", ROWS)
async def test_a_staging_table_has_the_columns_of_its_row(
    resource: str, is_long: bool, clean_database: None, database_addresses: Addresses
) -> None:
    """Made by staging a row: a long one is staged in a table of another make."""
    target, columns = table(resource), declared_columns(resource)
    raw = b"x" * (20_000 if is_long else 10)
    row = ("E1", "", raw, b"", *(None for _column in columns))
    async with await psycopg.AsyncConnection.connect(database_addresses.owner_url) as connection:
        await copy_rows(connection, target, [row], 0)
        result = await connection.execute(_COLUMNS, [target.staging_table()])
        staged = [(name, sql_type) for name, sql_type, _nullable in await result.fetchall()]
        result = await connection.execute(f"SELECT external_id, raw FROM {target.staging_table()}")
        assert await result.fetchall() == [("E1", raw)]
    names = (*ENVELOPE_COLUMNS, *(column.name for column in columns))
    assert staged == list(zip(names, target.staged_types, strict=True))
