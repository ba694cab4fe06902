"""The rows of connectors and the tables of the books: rows are copied by position, so their order must be the same."""

import msgspec
import pytest

from koppel.books.models import MODELS_BY_RESOURCE, BookRow
from koppel.books.storage.staging import table
from koppel.connector.rows import ROWS

ENVELOPE = {"pk", *(field.name for field in BookRow._meta.local_fields)}


def test_each_resource_has_a_row_and_a_table() -> None:
    assert list(ROWS) == list(MODELS_BY_RESOURCE)


@pytest.mark.parametrize("resource", ROWS)
def test_fields_of_the_row_are_the_columns_of_the_table_in_the_same_order(resource: str) -> None:
    row_fields = [field.name for field in msgspec.structs.fields(ROWS[resource])]
    model_fields = [field for field in MODELS_BY_RESOURCE[resource]._meta.concrete_fields if field.name not in ENVELOPE]
    assert row_fields == [field.name for field in model_fields]
    assert row_fields == [field.column for field in model_fields]
    assert tuple(row_fields) == table(resource).columns, "the order in which the engine copies"


@pytest.mark.parametrize("resource", ROWS)
def test_a_column_is_nullable_where_the_field_of_the_row_is(resource: str) -> None:
    columns = {field.name: field.null for field in MODELS_BY_RESOURCE[resource]._meta.concrete_fields}
    for field in msgspec.structs.fields(ROWS[resource]):
        may_be_none = type(None) in getattr(field.type, "__args__", ())
        assert columns[field.name] == may_be_none, field.name
