"""CSV of a table of the books."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

Cell = str | int | bool | Decimal | date | None
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_lines(header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Iterator[str]:
    """UTF-8 text with a byte order mark, so that spreadsheets read it as such; `;` between cells as Dutch Excel expects."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";")
    yield "\ufeff"
    for row in (header, *([_cell(cell) for cell in row] for row in rows)):
        writer.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _cell(cell: Cell) -> str:
    """A text that begins like a formula gets an apostrophe, so that no spreadsheet executes it. Numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return format(cell, "f")
    text = str(cell)
    return f"'{text}" if isinstance(cell, str) and text.startswith(FORMULA_STARTS) else text
