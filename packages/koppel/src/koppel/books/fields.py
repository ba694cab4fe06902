"""Model fields of the books' tables, derived from a connector's row type, which declares each column."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from types import NoneType
from typing import Any, get_args

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from koppel.connector.rows import Row


class Amount(models.DecimalField):  # type: ignore[type-arg]
    """PostgreSQL's `numeric` without a precision: stores an amount exactly as the source wrote it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_digits": 1000, "decimal_places": 100, **options})

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        return self.to_python(value)


@dataclass(frozen=True, kw_only=True)
class BookColumn:
    """A typed column. `sql_type` is the name of its PostgreSQL type, for COPY."""

    name: str
    python_type: type
    nullable: bool

    @property
    def sql_type(self) -> str:
        return _TYPES[self.python_type][0]

    def model_field(self) -> "models.Field[Any, Any]":
        """Return a new field for a model."""
        return _TYPES[self.python_type][1](null=self.nullable)


_TYPES: dict[type, tuple[str, type["models.Field[Any, Any]"]]] = {
    str: ("text", models.TextField),
    Decimal: ("numeric", Amount),
    date: ("date", models.DateField),
    bool: ("bool", models.BooleanField),
    int: ("int4", models.IntegerField),
}


def row_columns(row: type[Row]) -> Iterator[BookColumn]:
    """Yield the columns of a row type, in the order of its fields."""
    for field in msgspec.structs.fields(row):
        kinds = set(get_args(field.type) or (field.type,))
        [python_type] = kinds - {NoneType}
        yield BookColumn(name=field.name, python_type=python_type, nullable=NoneType in kinds)
