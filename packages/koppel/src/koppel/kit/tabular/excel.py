"""Writes a table as an Excel workbook of one sheet: typed cells, a frozen head, filters, fitting widths."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Any

from koppel.kit.errors import KoppelError
from koppel.kit.tabular.column_types import FileColumn
from koppel.kit.tabular.conventions import Cell, Conventions, conventions, to_local

ROWS_MAX = 1_048_575
DIGITS_EXACT = 15
"""Excel stores numbers as doubles; a longer amount is written as text instead of being rounded."""
TEXT_MAX = 32_767
FIRST_DAY = date(1900, 3, 1)
"""Excel has no day before 1900, and takes that year for a leap year, as other spreadsheets do not: an earlier
day is written as text.
"""
WIDTH_MIN, WIDTH_MAX = 8, 60
MEASURED_ROWS = 2000
"""The first rows decide the widths of the columns."""
NAME_MAX = 31
OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "remove_timezone": True,
}


class TooManyRows(KoppelError):
    """An Excel sheet holds 1,048,575 rows. Export as CSV or Parquet, or filter first."""


def write_workbook(
    target: IO[bytes], title: str, columns: Sequence[FileColumn], rows: Iterable[Sequence[Cell]]
) -> None:
    """Write the table. Raises `TooManyRows`."""
    import xlsxwriter  # noqa: PLC0415 - only who exports pays for it

    workbook = xlsxwriter.Workbook(target, OPTIONS)
    try:
        sheet = _Sheet(workbook, title, [column.title for column in columns], conventions())
        for row in rows:
            sheet.add(row)
        sheet.finish()
    finally:
        workbook.close()


class _Sheet:
    """The sheet as it grows. `widths` are the longest texts so far, in characters."""

    def __init__(self, workbook: Any, title: str, header: Sequence[str], used: Conventions) -> None:
        self._sheet = workbook.add_worksheet(sheet_name(title))
        self._conventions = used
        bold, self._day, self._moment, self._amount = (
            workbook.add_format(properties)
            for properties in (
                {"bold": True},
                {"num_format": used.excel_day},
                {"num_format": f"{used.excel_day} hh:mm:ss"},
                {"num_format": "#,##0.00"},
            )
        )
        # Room for the button of the filter.
        self.widths = [len(text) + 3 for text in header]
        self._count = 0
        self._sheet.freeze_panes(1, 0)
        for index, text in enumerate(header):
            self._sheet.write_string(0, index, text, bold)

    def add(self, row: Sequence[Cell]) -> None:
        """Add a row. Raises `TooManyRows`."""
        self._count += 1
        if self._count > ROWS_MAX:
            raise TooManyRows
        for index, cell in enumerate(row):
            if cell is not None:
                self._write(index, cell)

    def finish(self) -> None:
        self._sheet.autofilter(0, 0, max(self._count, 1), len(self.widths) - 1)
        for index, width in enumerate(self.widths):
            self._sheet.set_column(index, index, min(max(width, WIDTH_MIN), WIDTH_MAX))

    def _write(self, index: int, cell: Cell) -> None:
        if self._count <= MEASURED_ROWS:
            self._measure(index, cell)
        if isinstance(cell, date) and _day_of(cell) >= FIRST_DAY:
            is_moment = isinstance(cell, datetime)
            value = to_local(cell) if isinstance(cell, datetime) else cell
            self._sheet.write_datetime(self._count, index, value, self._moment if is_moment else self._day)
        elif isinstance(cell, int | Decimal) and not isinstance(cell, bool):
            self._write_number(index, cell)
        else:
            text = cell if isinstance(cell, str) else self._conventions.text(cell)
            self._sheet.write_string(self._count, index, _fitting(text))

    def _measure(self, index: int, cell: Cell) -> None:
        separators = 4 if isinstance(cell, Decimal) else 0
        self.widths[index] = max(self.widths[index], len(self._conventions.text(cell)) + separators + 1)

    def _write_number(self, index: int, number: int | Decimal) -> None:
        style = self._amount if isinstance(number, Decimal) else None
        if len(Decimal(number).normalize().as_tuple().digits) <= DIGITS_EXACT:
            self._sheet.write_number(self._count, index, number, style)
        else:
            self._sheet.write_string(self._count, index, format(number, "f"))


def sheet_name(title: str) -> str:
    """Return a title as a sheet may be called: 31 characters at most, without those that Excel forbids."""
    allowed = "".join(" " if letter in "[]:*?/\\" else letter for letter in title)
    return " ".join(allowed.split())[:NAME_MAX].strip("' ") or "Koppel"


def _day_of(cell: date) -> date:
    return to_local(cell).date() if isinstance(cell, datetime) else cell


def _fitting(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
