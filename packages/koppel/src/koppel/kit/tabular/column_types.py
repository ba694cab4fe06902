"""The columns of a table that is exported."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from koppel.kit.tabular.conventions import Cell


class ColumnType(StrEnum):
    """The type of a column's values."""

    TEXT = "text"
    AMOUNT = "amount"
    INTEGER = "whole"
    BOOLEAN = "flag"
    DATE = "day"
    DATETIME = "moment"


@dataclass(frozen=True, kw_only=True)
class FileColumn:
    """A column of a file."""

    key: str
    """Its name for programs."""
    title: str
    """Its name for people."""
    type: ColumnType = ColumnType.TEXT
    display: Callable[[Any], Cell] | None = None
    """Makes of a value what people read."""
