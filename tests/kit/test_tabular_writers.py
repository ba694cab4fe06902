"""Tables as files, read back by other programs than wrote them."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import openpyxl
import pyarrow.parquet
import pytest

from koppel.kit.tabular.writers import Column, ColumnType, Format, csv_lines, write_table

COLUMNS = [
    Column("name", "Name"),
    Column("amount", "Amount", ColumnType.AMOUNT),
    Column("lines", "Lines", ColumnType.INTEGER),
    Column("active", "In use", ColumnType.BOOLEAN),
    Column("booked_on", "Date", ColumnType.DATE),
    Column("at", "At", ColumnType.DATETIME),
]
MOMENT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
ROWS = [
    ["=cmd()", Decimal("1234.7700"), 3, True, date(2026, 1, 2), MOMENT],
    ["Bakkerij", Decimal("-12345678901234567.89"), None, False, None, None],
]


def test_cells_keep_amounts_exact_and_dates_iso() -> None:
    text = "".join(csv_lines(["a", "b", "c"], [[Decimal("-0.10"), date(2026, 1, 2), None]]))
    assert text == "\ufeffa;b;c\r\n-0.10;2026-01-02;\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_text_that_begins_like_a_formula_is_defused(start: str) -> None:
    assert f"'{start}cmd" in "".join(csv_lines(["a"], [[f"{start}cmd"]]))


def test_csv_is_read_back_as_it_was() -> None:
    with write_table(Format.CSV, COLUMNS, ROWS) as file:
        rows = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig")), delimiter=";"))
    assert rows[0] == ["Name", "Amount", "Lines", "In use", "Date", "At"]
    assert rows[1][:2] == ["'=cmd()", "1234.7700"]
    assert rows[2] == ["Bakkerij", "-12345678901234567.89", "", "False", "", ""]


def test_excel_keeps_numbers_as_numbers_and_never_rounds_or_computes() -> None:
    with write_table(Format.EXCEL, COLUMNS, ROWS) as file:
        sheet = openpyxl.load_workbook(io.BytesIO(file.read())).active
    first, second = list(sheet.iter_rows(min_row=2))
    assert (first[0].value, first[0].data_type) == ("=cmd()", "s")
    assert (first[1].value, first[3].value, first[4].value) == (1234.77, True, datetime(2026, 1, 2))  # noqa: DTZ001
    assert second[1].value == "-12345678901234567.89", "fifteen digits are all that a double keeps"


def test_parquet_keeps_types_and_every_digit() -> None:
    with write_table(Format.PARQUET, COLUMNS, ROWS) as file:
        table = pyarrow.parquet.read_table(io.BytesIO(file.read()))
    assert table.column("amount").to_pylist() == [
        Decimal("1234.7700000000"),
        Decimal("-12345678901234567.8900000000"),
    ]
    assert table.column("at").to_pylist() == [MOMENT, None]
    assert table.schema.names == [one.key for one in COLUMNS]


@pytest.mark.parametrize("day", [date(1, 1, 1), date(1753, 1, 1), date(1899, 12, 31)])
def test_excel_has_a_day_before_its_calendar_as_text(day: date) -> None:
    row = ["a", None, None, None, day, datetime(day.year, day.month, day.day, tzinfo=UTC)]
    with write_table(Format.EXCEL, COLUMNS, [row]) as file:
        sheet = openpyxl.load_workbook(io.BytesIO(file.read())).active
    (cells,) = list(sheet.iter_rows(min_row=2))
    assert (cells[4].value, cells[4].data_type) == (day.isoformat(), "s")
    assert cells[5].value.startswith(day.isoformat())


def test_excel_has_the_first_day_of_its_calendar_as_a_day() -> None:
    with write_table(Format.EXCEL, COLUMNS, [["a", None, None, None, date(1900, 1, 1), None]]) as file:
        sheet = openpyxl.load_workbook(io.BytesIO(file.read())).active
    assert sheet["E2"].value == datetime(1900, 1, 1)  # noqa: DTZ001


@pytest.mark.parametrize("file_format", list(Format))
def test_an_amount_with_the_noise_of_floating_point_is_written(file_format: Format) -> None:
    rows = [
        ["a", Decimal("10.100000000000001"), None, None, None, None],
        ["b", Decimal("-1E-15"), *[None] * 4],
    ]
    with write_table(file_format, COLUMNS, rows) as file:
        assert b"1E-15" not in file.read()


@pytest.mark.parametrize("file_format", list(Format))
def test_an_empty_table_has_its_columns(file_format: Format) -> None:
    with write_table(file_format, COLUMNS, []) as file:
        assert len(file.read()) > 10
