"""Writes tables as CSV, Excel or Parquet: streamed, typed, safe from formula injection.

CSV and Excel are for people: in the conventions of the active language (`conventions`), with titles and
display values. Plain CSV and Parquet are for programs: keys, codes and exact amounts in every language.

The caller states the type of each column, because an empty table has types too.
"""

import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Context, Decimal
from enum import StrEnum
from itertools import chain, islice
from typing import IO

from koppel.kit.tabular.column_types import ColumnType, FileColumn
from koppel.kit.tabular.conventions import Cell, conventions, plain_text
from koppel.kit.tabular.excel import TooManyRows, write_workbook
from koppel.kit.web.precedence import REQUESTS

__all__ = [
    "MEDIA_TYPES",
    "Cell",
    "ColumnType",
    "FileColumn",
    "Format",
    "TooManyRows",
    "csv_lines",
    "write_table",
]
BYTE_ORDER_MARK = "\ufeff"
"""Excel needs this mark; otherwise it reads UTF-8 as a code page of its own."""
YIELD_ROWS = 50
"""After so many rows, some milliseconds, requests of other clients go first."""
PARQUET_ROWS = 20_000
PARQUET_DIGITS, PARQUET_DECIMALS = 38, 10


class Format(StrEnum):
    CSV = "csv"
    EXCEL = "xlsx"
    PARQUET = "parquet"
    PLAIN_CSV = "plain-csv"

    @property
    def extension(self) -> str:
        """Return the extension of its files."""
        return "csv" if self is Format.PLAIN_CSV else self.value


MEDIA_TYPES = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.EXCEL: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.PLAIN_CSV: "text/csv; charset=utf-8",
}


def write_table(
    file_format: Format, columns: Sequence[FileColumn], rows: Iterable[Sequence[Cell]], *, title: str = ""
) -> IO[bytes]:
    """Return a temporary file with the table, rewound; it is deleted when closed.

    `title` names the sheet of an Excel file. Raises `TooManyRows`. In Parquet an amount is rounded to ten
    decimals.
    """
    with _closing(rows), temporary_file() as target:
        rows = _giving_way(rows)
        if file_format is Format.PLAIN_CSV:
            _write_lines(target, csv_lines([column.key for column in columns], rows, plain=True))
        elif file_format is Format.CSV:
            _write_lines(target, csv_lines([column.title for column in columns], _displayed(columns, rows)))
        elif file_format is Format.EXCEL:
            write_workbook(target, title, columns, _displayed(columns, rows))
        else:
            _write_parquet(target, columns, rows)
    target.seek(0)
    return target


@contextmanager
def _closing(rows: Iterable[Sequence[Cell]]) -> Iterator[None]:
    """Close generated rows after the block, so that an error leaves no cursor open beyond the transaction."""
    try:
        yield
    finally:
        if isinstance(rows, Generator):
            rows.close()


@contextmanager
def temporary_file() -> Iterator[IO[bytes]]:
    """Yield a temporary file that stays open after the block and is closed if the block raises."""
    target: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives the block
    try:
        yield target
    except BaseException:
        target.close()
        raise


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[Cell]], *, plain: bool = False) -> Iterator[str]:
    """Yield the lines of a CSV: in the conventions of the active language, or plain for programs.

    A text with the delimiter of any spreadsheet is quoted: read with another one, its parts would be cells
    that could begin like a formula.
    """
    used = conventions()
    delimiter, text_of = (",", plain_text) if plain else (used.delimiter, used.text)
    if not plain:
        yield BYTE_ORDER_MARK
    for row in chain([header], rows):
        yield (
            delimiter.join(_quoted(text_of(cell)) if isinstance(cell, str) else text_of(cell) for cell in row)
            + "\r\n"
        )


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',;|\t"\r\n') else text


def _giving_way(rows: Iterable[Sequence[Cell]]) -> Iterator[Sequence[Cell]]:
    for number, row in enumerate(rows):
        if number % YIELD_ROWS == 0:
            REQUESTS.give_way()
        yield row


def _displayed(columns: Sequence[FileColumn], rows: Iterable[Sequence[Cell]]) -> Iterator[Sequence[Cell]]:
    displays = [column.display for column in columns]
    if not any(displays):
        yield from rows
        return
    for row in rows:
        yield [
            display(cell) if display and cell is not None else cell
            for display, cell in zip(displays, row, strict=True)
        ]


def _write_lines(target: IO[bytes], lines: Iterable[str]) -> None:
    for line in lines:
        target.write(line.encode())


def _write_parquet(target: IO[bytes], columns: Sequence[FileColumn], rows: Iterable[Sequence[Cell]]) -> None:
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
                pyarrow.array([_parquet_value(value) for value in values], type=field.type)
                for values, field in zip(cells, schema, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _parquet_value(value: Cell) -> Cell:
    """Return the value as its column can hold it: sums of a source's floats have more than ten decimals."""
    if isinstance(value, Decimal) and -int(value.as_tuple().exponent) > PARQUET_DECIMALS:
        return value.quantize(Decimal(1).scaleb(-PARQUET_DECIMALS), context=Context(prec=PARQUET_DIGITS))
    return value
