"""Writes tables as CSV, Excel or Parquet: streamed, with exact amounts, safe from formula injection.

The caller states the type of each column, because an empty table has types too.
"""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from enum import StrEnum
from itertools import islice
from typing import IO, Any

from koppel.kit.errors import KoppelError

Cell = str | int | bool | Decimal | date | datetime | None
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
PARQUET_ROWS = 20_000
PARQUET_DIGITS, PARQUET_DECIMALS = 38, 10
PARQUET_LEAST = Decimal(1).scaleb(-PARQUET_DECIMALS)
PARQUET_CONTEXT = Context(prec=PARQUET_DIGITS)
EXCEL_ROWS_MAX = 1_048_575
EXCEL_FIRST_YEAR = 1900
"""Excel has no number for an earlier day, so that it is written as text."""
EXCEL_DIGITS_EXACT = 15
"""Excel stores numbers as doubles; a longer amount is written as text instead of being rounded."""


class ColumnType(StrEnum):
    """The type of a column's values."""

    TEXT = "text"
    AMOUNT = "amount"
    INTEGER = "whole"
    BOOLEAN = "flag"
    DATE = "day"
    DATETIME = "moment"


class Format(StrEnum):
    CSV = "csv"
    EXCEL = "xlsx"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.EXCEL: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True)
class Column:
    """`key` is its name in Parquet, `title` in CSV and Excel."""

    key: str
    title: str
    type: ColumnType = ColumnType.TEXT


class TooManyRows(KoppelError):
    """An Excel sheet holds 1,048,575 rows. Export as CSV or Parquet, or filter first."""


def write_table(file_format: Format, columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> IO[bytes]:
    """Return a temporary file with the table, rewound; it is deleted when closed.

    Parquet has amounts rounded to ten decimals. Raises `TooManyRows`.
    """
    with temporary_file() as target:
        if file_format is Format.CSV:
            for text in csv_lines([column.title for column in columns], rows):
                target.write(text.encode())
        elif file_format is Format.EXCEL:
            _write_excel(target, columns, rows)
        else:
            _write_parquet(target, columns, rows)
    target.seek(0)
    return target


@contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """Yield a temporary file that stays open after the block and is closed if the block raises."""
    target: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives the block
    try:
        yield target
    except BaseException:
        target.close()
        raise


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Iterator[str]:
    """Yield the lines of a CSV in UTF-8.

    Spreadsheets need the byte order mark; Dutch Excel expects `;` between cells.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";")
    yield "\ufeff"
    for row in (header, *([_cell(cell) for cell in row] for row in rows)):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def escape_formula(text: str) -> str:
    """Prefix a text that begins like a formula with an apostrophe, so that spreadsheets do not execute it."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return escape_formula(cell) if isinstance(cell, str) else str(cell)


def _write_excel(target: IO[bytes], columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    import xlsxwriter  # noqa: PLC0415 - only who exports pays for it

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "remove_timezone": True,
    }
    workbook = xlsxwriter.Workbook(target, options)
    sheet = workbook.add_worksheet()
    bold, day, moment, amount = (
        workbook.add_format(properties)
        for properties in (
            {"bold": True},
            {"num_format": "yyyy-mm-dd"},
            {"num_format": "yyyy-mm-dd hh:mm"},
            {"num_format": "#,##0.00"},
        )
    )
    formats = {ColumnType.DATE: day, ColumnType.DATETIME: moment, ColumnType.AMOUNT: amount}
    sheet.freeze_panes(1, 0)
    for index, column in enumerate(columns):
        sheet.set_column(
            index, index, 14 if column.type is not ColumnType.TEXT else 22, formats.get(column.type)
        )
        sheet.write_string(0, index, column.title, bold)
    for number, row in enumerate(rows, start=1):
        if number > EXCEL_ROWS_MAX:
            workbook.close()
            raise TooManyRows
        for index, cell in enumerate(row):
            _write_excel_cell(sheet, number, index, cell, formats.get(columns[index].type))
    workbook.close()


def _write_excel_cell(sheet: Any, row: int, index: int, cell: Cell, style: Any) -> None:
    if cell is None:
        return
    if isinstance(cell, bool):
        sheet.write_boolean(row, index, cell)
    elif isinstance(cell, date) and cell.year < EXCEL_FIRST_YEAR:
        sheet.write_string(row, index, str(cell))
    elif isinstance(cell, date):
        sheet.write_datetime(row, index, cell, style)
    elif isinstance(cell, int | Decimal):
        exact = len(Decimal(cell).normalize().as_tuple().digits) <= EXCEL_DIGITS_EXACT
        sheet.write_number(row, index, cell, style) if exact else sheet.write_string(
            row, index, format(cell, "f")
        )
    else:
        sheet.write_string(row, index, str(cell))


def _write_parquet(target: IO[bytes], columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> None:
    import pyarrow  # noqa: PLC0415 - 40 MB that only who exports pays for
    import pyarrow.parquet  # noqa: PLC0415

    types = {
        ColumnType.TEXT: pyarrow.string(),
        ColumnType.AMOUNT: pyarrow.decimal128(PARQUET_DIGITS, PARQUET_DECIMALS),
        ColumnType.INTEGER: pyarrow.int64(),
        ColumnType.BOOLEAN: pyarrow.bool_(),
        ColumnType.DATE: pyarrow.date32(),
        ColumnType.DATETIME: pyarrow.timestamp("us", tz="UTC"),
    }
    schema = pyarrow.schema([(column.key, types[column.type]) for column in columns])
    remaining = iter(rows)
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        while chunk := list(islice(remaining, PARQUET_ROWS)):
            cells = zip(*chunk, strict=True)
            arrays = [
                pyarrow.array(_parquet_cells(values), type=field.type)
                for values, field in zip(cells, schema, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _parquet_cells(values: Iterable[Cell]) -> list[Cell]:
    """Return the cells of a column, with at most as many decimals as the type of amounts has."""
    return [
        value.quantize(PARQUET_LEAST, context=PARQUET_CONTEXT) if isinstance(value, Decimal) else value
        for value in values
    ]
