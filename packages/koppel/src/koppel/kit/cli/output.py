"""Print the results of commands: tables, single values and JSON."""

import dataclasses
import datetime
import decimal
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

ROWS_MAX = 1_000_000
"""The most rows that a command lists."""
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class Language(StrEnum):
    """The languages of what people read: files and mails."""

    ENGLISH = "en"
    DUTCH = "nl"


InLanguage = Annotated[Language, typer.Option("--language", help="Language of CSV and Excel: en or nl.")]


def print_rows(rows: Sequence[Any], columns: Sequence[str], *, as_json: bool, title: str = "") -> None:
    """Print dataclasses or mappings as a table of `columns`, or as a JSON array of whole rows."""
    mappings = [as_mapping(row) for row in rows]
    if as_json:
        print_json(mappings)
        return
    table = Table(*(name.replace("_", " ") for name in columns), title=title or None)
    for row in mappings:
        # Printed verbatim: a name such as "Jansen [oud]" must not be parsed as markup.
        table.add_row(*(Text(_cell(row.get(name))) for name in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_record(record: Any, *, as_json: bool) -> None:
    """Print a dataclass or mapping as lines of `name: value`, or as a JSON object."""
    row = as_mapping(record)
    if as_json:
        print_json(row)
        return
    for name, value in row.items():
        sys.stdout.write(f"{name.replace('_', ' ')}: {_cell(value)}\n")


def print_json(value: Any) -> None:
    """Print JSON with times in ISO 8601 and amounts as exact text."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=_to_json) + "\n")


def as_mapping(row: Any) -> Mapping[str, Any]:
    return (
        dataclasses.asdict(row) if dataclasses.is_dataclass(row) and not isinstance(row, type) else dict(row)
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime.datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M")
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=_to_json)
    return str(value)
