"""Written tables, read back by other programs."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow.parquet
import pytest
from django.utils import translation

from koppel.kit.tabular.reader import unescape_formula
from koppel.kit.tabular.writers import ColumnType, FileColumn, Format, csv_lines, write_table

COLUMNS = [
    FileColumn(key="name", title="Name"),
    FileColumn(key="amount", title="Amount", type=ColumnType.AMOUNT),
    FileColumn(key="lines", title="Lines", type=ColumnType.INTEGER),
    FileColumn(key="active", title="In use", type=ColumnType.BOOLEAN),
    FileColumn(key="booked_on", title="Date", type=ColumnType.DATE),
    FileColumn(key="at", title="At", type=ColumnType.DATETIME),
]
MOMENT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
ROWS = [
    ["=cmd()", Decimal("1234.7700"), 3, True, date(2026, 1, 2), MOMENT],
    ["Bakkerij", Decimal("-12345678901234567.89"), None, False, None, None],
]


def lines(language: str, *rows: list[Any]) -> list[str]:
    with translation.override(language):
        text = "".join(csv_lines([f"c{index}" for index in range(len(rows[0]))], rows))
    assert text.startswith("\ufeff"), "without it Excel takes UTF-8 for a code page"
    return text.removesuffix("\r\n").split("\r\n")[1:]


ODD_ROW = [
    Decimal("-88781.1100"),
    Decimal(0),
    Decimal("1E-15"),
    date(2026, 1, 2),
    MOMENT,
    True,
    12,
    "é",
    None,
]


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("nl", "-88781,11;0,00;0,00;02-01-2026;01-03-2026 13:30:00;ja;12;é;"),
        ("en", "-88781.11,0.00,0.00,2026-01-02,2026-03-01 13:30:00,yes,12,é,"),
        ("en-gb", "-88781.11,0.00,0.00,2026-01-02,2026-03-01 13:30:00,yes,12,é,"),
    ],
)
def test_csv_is_written_as_the_readers_spreadsheet_expects(language: str, expected: str) -> None:
    assert lines(language, ODD_ROW) == [expected]


def test_plain_csv_is_the_same_in_every_language() -> None:
    row = [Decimal("-88781.1100"), Decimal("1E-15"), date(2026, 1, 2), MOMENT, True, "=x", None]
    columns = [
        FileColumn(key=f"key{index}", title=f"Title {index}", display=lambda _cell: "shown")
        for index in range(7)
    ]
    for language in ("nl", "en"):
        with translation.override(language), write_table(Format.PLAIN_CSV, columns, [row]) as file:
            header, line = file.read().decode().splitlines()
        assert header == "key0,key1,key2,key3,key4,key5,key6"
        assert line == "-88781.1100,0.000000000000001,2026-01-02,2026-03-01T12:30:00+00:00,true,'=x,"


@pytest.mark.parametrize(
    "start",
    [
        "=",
        "+",
        "-",
        "@",
        "\t",
        "\r",
        "\n",
        "＝",
        "＋",
        "－",
        "＠",
        "−",
        "﹦",
        " =",
        "\u00a0=",
        "\ufeff=",
        "\u200b=",
        '"=',
        "'=",
    ],
)
@pytest.mark.parametrize("language", ["nl", "en"])
def test_a_text_that_begins_like_a_formula_is_defused(language: str, start: str) -> None:
    text = "\n".join(lines(language, [f"{start}cmd", Decimal("-5.00")]))
    escaped = f"'{start}cmd"
    assert escaped in text.replace('""', '"')
    assert unescape_formula(escaped) == f"{start}cmd", "What an import reads back is what was there."
    assert f"'-5{',' if language == 'nl' else '.'}00" not in text, "a negative number stays a number"


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_no_separator_of_another_spreadsheet_makes_a_cell_of_its_own(language: str, separator: str) -> None:
    (line,) = lines(language, [f"Jansen{separator}=cmd()", "x"])
    assert line.startswith(f'"Jansen{separator}=cmd()"')


def test_csv_is_read_back_as_it_was() -> None:
    with translation.override("nl"), write_table(Format.CSV, COLUMNS, ROWS) as file:
        rows = list(csv.reader(io.StringIO(file.read().decode("utf-8-sig")), delimiter=";"))
    assert rows[0] == ["Name", "Amount", "Lines", "In use", "Date", "At"]
    assert rows[1][:2] == ["'=cmd()", "1234,77"]
    assert rows[2] == ["Bakkerij", "-12345678901234567,89", "", "nee", "", ""]


def workbook(rows: list[list[Any]], columns: list[FileColumn] | None = None, *, language: str = "nl") -> Any:
    with translation.override(language):
        file = write_table(
            Format.EXCEL, columns or COLUMNS, rows, title="Proef/saldi: [balans] van het jaar 2026"
        )
    with file:
        return openpyxl.load_workbook(io.BytesIO(file.read()))


def test_excel_keeps_numbers_as_numbers_and_never_rounds_or_computes() -> None:
    sheet = workbook(ROWS).active
    first, second = list(sheet.iter_rows(min_row=2))
    assert (first[0].value, first[0].data_type) == ("=cmd()", "s")
    assert (first[1].value, first[1].number_format) == (1234.77, "#,##0.00")
    assert (first[2].value, first[3].value) == (3, "ja")
    assert (first[4].value, first[4].number_format) == (datetime(2026, 1, 2), "dd-mm-yyyy")  # noqa: DTZ001
    assert (first[5].value, first[5].number_format) == (  # local time
        datetime(2026, 3, 1, 13, 30),  # noqa: DTZ001
        "dd-mm-yyyy hh:mm:ss",
    )
    assert second[1].value == "-12345678901234567.89", "fifteen digits are all that a double keeps"


def test_excel_has_a_name_filters_a_frozen_head_and_fitting_widths() -> None:
    sheet = workbook([["A name that is rather long, but no novel", *ROWS[0][1:]]]).active
    assert sheet.title == "Proef saldi balans van het jaar"
    assert (sheet.auto_filter.ref, sheet.freeze_panes) == ("A1:F2", "A2")
    assert sheet.column_dimensions["A"].width > 40
    assert sheet.column_dimensions["C"].width < 12
    assert sheet["A1"].font.bold


@pytest.mark.parametrize("day", [date(1, 1, 1), date(1753, 1, 1), date(1899, 12, 31), date(1900, 2, 28)])
def test_a_day_that_excel_does_not_know_is_its_text(day: date) -> None:
    cell = workbook([[day]], [FileColumn(key="day", title="Day", type=ColumnType.DATE)]).active["A2"]
    assert cell.value == f"{day.day:02}-{day.month:02}-{day.year:04}"


def test_an_excel_cell_never_loses_its_text() -> None:
    cell = workbook([["x" * 40_000]], [FileColumn(key="text", title="Text")]).active["A2"]
    assert (len(cell.value), cell.value[-1]) == (32_767, "…")


def test_people_read_display_values_and_programs_codes() -> None:
    columns = [
        FileColumn(key="kind", title="Soort", display=lambda code: {"asset": "Activa"}.get(code, code))
    ]
    assert workbook([["asset"], [None]], columns).active["A2"].value == "Activa"
    with write_table(Format.PARQUET, columns, [["asset"], [None]]) as file:
        assert pyarrow.parquet.read_table(io.BytesIO(file.read())).column("kind").to_pylist() == [
            "asset",
            None,
        ]


def test_parquet_takes_the_noise_of_floats() -> None:
    columns = [FileColumn(key="amount", title="Amount", type=ColumnType.AMOUNT)]
    with write_table(Format.PARQUET, columns, [[Decimal("1E-15")], [Decimal("100.000000000000014")]]) as file:
        amounts = pyarrow.parquet.read_table(io.BytesIO(file.read())).column("amount").to_pylist()
    assert amounts == [Decimal(0), Decimal(100)]


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


def test_excel_has_the_first_day_that_all_spreadsheets_agree_on_as_a_day() -> None:
    """Excel takes 1900 for a leap year, LibreOffice does not: until March they differ by a day."""
    with write_table(Format.EXCEL, COLUMNS, [["a", None, None, None, date(1900, 3, 1), None]]) as file:
        sheet = openpyxl.load_workbook(io.BytesIO(file.read())).active
    assert sheet["E2"].value == datetime(1900, 3, 1)  # noqa: DTZ001


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
