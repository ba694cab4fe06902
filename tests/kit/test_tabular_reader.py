"""Tables from any program, with any delimiter, and inputs that are not tables."""

import csv
import io
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from koppel.kit.tabular.reader import (
    DELIMITERS,
    FileRow,
    ReadLimits,
    TableError,
    TableProblem,
    decode,
    heading_keys,
    read_rows,
    unescape_formula,
    unwrap_number,
)
from koppel.kit.tabular.writers import FileColumn, Format, csv_lines, write_table

LETTERS = "aÉ7 \"'=\r\n.-"
"""What cells are made of besides the delimiter: what csv must quote, and what it need not."""


def cells_of(text: str, **options: Any) -> list[tuple[str, ...]]:
    return [row.cells for row in read_rows(text, **options)]


def written(table: list[list[str]], delimiter: str, quoting: Any = csv.QUOTE_MINIMAL) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, quoting=quoting).writerows(table)
    return file.getvalue()


def tables(cells: st.SearchStrategy[str], *, columns_min: int = 2) -> st.SearchStrategy[list[list[str]]]:
    def rows(width: int) -> st.SearchStrategy[list[list[str]]]:
        return st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=8)

    return st.integers(columns_min, 5).flatmap(rows)


def is_excels_own_line(text: str) -> bool:
    return text.lstrip('"').lower().startswith("sep=")


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\r\n"), max_size=12)


@given(st.sampled_from(DELIMITERS), st.data())
def test_what_csv_writes_comes_back_cell_by_cell(delimiter: str, data: st.DataObject) -> None:
    """Quoted only where it must be; the other delimiters stand nowhere in it."""
    table = data.draw(tables(st.text(LETTERS + delimiter, max_size=8)))
    assert cells_of(written(table, delimiter)) == [tuple(row) for row in table]


@given(st.sampled_from(DELIMITERS), tables(ANY_TEXT, columns_min=1))
@example(",", [["a;b", "c;d"], ["e;f", "g|h"]])
@example(";", [["a,b"], ["c,d"]])
def test_quoted_cells_may_hold_any_delimiter(delimiter: str, table: list[list[str]]) -> None:
    text = written(table, delimiter, csv.QUOTE_ALL)
    assume(not text.startswith("\ufeff"))
    assume(not is_excels_own_line(text))
    assert cells_of(text) == [tuple(row) for row in table]


@given(st.sampled_from(DELIMITERS), tables(ANY_TEXT))
def test_excels_own_first_line_says_the_delimiter(delimiter: str, table: list[list[str]]) -> None:
    """Whatever else stands in the cells, and it is no row."""
    rows = list(read_rows(f"sep={delimiter}\r\n" + written(table, delimiter)))
    assert rows == [FileRow(number, tuple(cells)) for number, cells in enumerate(table, start=1)]


@given(st.lists(st.lists(st.text("aÉ1 .", min_size=1), min_size=1, max_size=1), min_size=1))
def test_a_table_of_one_column_has_one_cell_a_row(table: list[list[str]]) -> None:
    assert cells_of(written(table, ";")) == [tuple(row) for row in table]


@given(tables(st.text("aé1=+-@ ", max_size=6)))
def test_our_own_exports_are_read_back(table: list[list[str]]) -> None:
    with write_table(
        Format.CSV, [FileColumn(key=str(index), title="Title") for index in range(len(table[0]))], table
    ) as file:
        rows = cells_of(decode(file.read()), has_header=True)[1:]
    assert [[unescape_formula(cell) for cell in row] for row in rows] == table


@given(
    st.text(st.characters()) | st.text(LETTERS + "\0\x1e\x1f\x85\ufeff" + "".join(DELIMITERS)), st.booleans()
)
@example('a;b\n"', True)
@example('"\x1e', True)
@example("\x1e\n\x1f", False)
def test_pasted_text_raises_only_table_errors(text: str, has_quotes: bool) -> None:
    rows, error = rows_or_error(
        text, ReadLimits(size=500, rows=9, columns=5, cell_characters=20), has_quotes=has_quotes
    )
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    assert not any("\0" in cell or len(cell) > 20 for row in rows for cell in row.cells)
    assert error is None or "%" not in str(error)


def rows_or_error(
    text: str, limits: ReadLimits, *, has_quotes: bool
) -> tuple[list[FileRow], TableError | None]:
    try:
        return list(read_rows(text, limits, has_quotes=has_quotes)), None
    except TableError as error:
        return [], error


@given(st.binary() | st.text().map(lambda text: text.encode("utf-16", errors="replace")))
def test_every_file_has_a_text_or_holds_none(content: bytes) -> None:
    try:
        text = decode(content)
    except TableError:
        return
    rows = list(read_rows(text, has_quotes=False))
    assert all(isinstance(cell, str) for row in rows for cell in row.cells)
    assert not any("\0" in cell for row in rows for cell in row.cells)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_is_seen_from_the_file(encoding: str) -> None:
    """Names of the north, which are other names in the neighbouring code pages."""
    assert decode("Møller & Sønn;“Ångström” – €".encode(encoding)) == "Møller & Sønn;“Ångström” – €"


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("De Haan, Piet;1\nSmit, Karel;2", [("De Haan, Piet", "1"), ("Smit, Karel", "2")]),
        ('a,"x; y",b\nc,"z; w",d', [("a", "x; y", "b"), ("c", "z; w", "d")]),
        ("Clients of May, 2026\na;b\nc;d", [("Clients of May, 2026",), ("a", "b"), ("c", "d")]),
        ("De Haan, Piet\n\nFjordheim\nVan Dam", [("De Haan, Piet",), (), ("Fjordheim",), ("Van Dam",)]),
        ("a;b;c\r1;;3\r;2;", [("a", "b", "c"), ("1", "", "3"), ("", "2", "")]),
        ("a\0;b\x07c\n\ufeff1;2", [("a", "b c"), ("\ufeff1", "2")]),
        ('The "Haan";1\n"Smit" & Co;2', [('The "Haan"', "1"), ("Smit & Co", "2")]),
    ],
)
def test_the_delimiter_is_seen_from_most_rows(text: str, cells: list[tuple[str, ...]]) -> None:
    assert cells_of(text) == cells


def test_a_heading_without_a_delimiter_stands_above_one_column() -> None:
    text = "name\nDe Haan, Piet\nSmit, Karel"
    assert cells_of(text, has_header=True) == [("name",), ("De Haan, Piet",), ("Smit, Karel",)]
    assert cells_of(text) == [("name",), ("De Haan", " Piet"), ("Smit", " Karel")]


def test_lines_may_leave_off_their_last_cells() -> None:
    text = "a@x.test\nb@x.test\nc@x.test\nd@x.test;Smit, D;user;West|Noord\ne@x.test;Eva"
    assert cells_of(text, split_share=0)[2:] == [
        ("c@x.test",),
        ("d@x.test", "Smit, D", "user", "West|Noord"),
        ("e@x.test", "Eva"),
    ]


def test_a_row_is_numbered_as_a_spreadsheet_shows_it() -> None:
    rows = [row for row in read_rows('a;b\n\n"two\nlines";1\nlast;2\n\n') if not row.is_blank]
    assert [(row.number, row.cells[0]) for row in rows] == [(1, "a"), (3, "two\nlines"), (4, "last")]


@pytest.mark.parametrize(
    ("text", "problem", "row"),
    [
        ("a;b\n" * 6, TableProblem.TOO_MANY_ROWS, 6),
        ("a;b\n1;2;3;4;5", TableProblem.TOO_MANY_CELLS, 2),
        ("a;b\n\n1;" + "x" * 11, TableProblem.CELL_TOO_LONG, 3),
        ('a;b\n1;2\n3;"x', TableProblem.OPEN_QUOTE, 3),
        ("x" * 101, TableProblem.TOO_LARGE, 0),
    ],
)
def test_an_error_names_its_row(text: str, problem: TableProblem, row: int) -> None:
    with pytest.raises(TableError) as refused:
        list(read_rows(text, ReadLimits(size=100, rows=5, columns=4, cell_characters=10)))
    assert (refused.value.problem, refused.value.row) == (problem, row)
    assert not row or f"{row}" in str(refused.value) or problem is TableProblem.TOO_MANY_ROWS


def test_a_cell_longer_than_csv_takes_is_an_error_of_its_row() -> None:
    with pytest.raises(TableError) as refused:
        list(read_rows("a;b\n" + "x" * 200_000, ReadLimits(cell_characters=1_000_000)))
    assert (refused.value.problem, refused.value.row) == (TableProblem.CELL_TOO_LONG, 2)


def test_rows_before_an_error_are_read() -> None:
    rows = read_rows('a;b\n1;2\n3;"x')
    assert [next(rows).cells, next(rows).cells] == [("a", "b"), ("1", "2")]


def test_a_file_that_is_too_large_is_not_decoded() -> None:
    with pytest.raises(TableError, match="too large"):
        decode(b"x" * 11, ReadLimits(size=10))


def test_headings_are_known_by_any_of_their_names() -> None:
    names = {"naam": "name", "kvk-nummer": "number"}
    assert heading_keys([" KvK-nummer: ", "NAAM", "Plaats", ""], names) == ["number", "name", "", ""]


def test_what_is_escaped_for_a_spreadsheet_is_read_without() -> None:
    text = "".join(csv_lines(["a", "b"], [["=1+1", "'s-Gravenhage"]]))
    assert [unescape_formula(cell) for cell in cells_of(text)[1]] == ["=1+1", "'s-Gravenhage"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["e-mail;naam\r\na@x.example;Šárka Łoś\r\n", "Naam\r\nÅngström\r\n"])
def test_utf_16_without_its_mark_is_seen(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_letters_are_composed() -> None:
    assert decode("Cafe\u0301".encode()) == "Caf\xe9"
    assert [row.cells for row in read_rows("Cafe\u0301;b")] == [("Caf\xe9", "b")]


WINDOWS = ("O’Brien", "€ 5,00", "“De Haan” B.V.", "Café Één", "SØRBØ", "Köln – Ås", "Nº 5", "Zürich™", "½ §")


@pytest.mark.parametrize("name", WINDOWS)
def test_a_file_of_windows_is_read_as_one(name: str) -> None:
    assert decode(f"naam\n{name}\n".encode("cp1252")) == f"naam\n{name}\n"


@pytest.mark.parametrize("encoding", ["cp850", "cp437", "mac_roman"])
def test_excels_csv_for_ms_dos_and_macintosh_is_read(encoding: str) -> None:
    text = "naam;afdeling\nCafé Zürich B.V.;Noord\nCoöperatie Één;Väst\nGarçon & Señor;Øst\n"
    if encoding == "cp437":
        text = text.replace("Øst", "Öst")
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('="01234567"', "01234567"),
        ("'01234567", "01234567"),
        ("1000.0", "1000"),
        ("1,00", "1"),
        ("1.000", "1.000"),
        ("1.000,00", "1000"),
        ("1,000.00", "1000"),
        ("1.000.00", "1.000.00"),
        ("6,9599084E+07", "69599084"),
        ("6.9599E7", "6.9599E7"),
        ("1e3", "1e3"),
        ("12.5", "12.5"),
        ("Café 1.0", "Café 1.0"),
    ],
)
def test_a_number_is_unwrapped_from_what_spreadsheets_write(cell: str, text: str) -> None:
    assert unwrap_number(cell) == text
