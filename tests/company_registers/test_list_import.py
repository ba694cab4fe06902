"""Pasted and uploaded lists from spreadsheets and other programs, with and without a header."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.company_registers.numbers.list_import import (
    MatchStatus,
    PastedLine,
    TableRow,
    match_lines,
    read_list,
)
from koppel.kit.tabular.reader import TableError, TableProblem, decode

COMPANIES = [
    TableRow(id=11, name="Bakkerij De Haan B.V.", codes=("100",)),
    TableRow(id=12, name="Fjordheim AS", codes=("200",)),
    TableRow(id=13, name="Van Dam Holding", codes=("300",)),
]


@pytest.mark.parametrize(
    "text",
    [
        "naam;kvk\nBakkerij De Haan B.V.;69599084\nVan Dam Holding;68750110",
        "KvK-nummer\tNaam\r\n69599084\tBakkerij De Haan B.V.\r\n68750110\tVan Dam Holding\r\n",
        "Bakkerij De Haan B.V.,69599084\nVan Dam Holding,68750110",
        "69599084|bakkerij de haan bv\n68750110|VAN DAM HOLDING",
        'name,city,number\n"Bakkerij De Haan B.V.","Zwolle, NL",69599084\n"Van Dam Holding",Assen,68750110',
        '"Bakkerij De Haan B.V.";"=""69599084"""\n"Van Dam Holding";"\'68750110"',
        "Zwolle;Bakkerij De Haan B.V.;69599084.0\n\nAssen;Van Dam Holding;68750110.0",
        "id;nummer\n100;69599084\n300;68750110",
    ],
)
def test_columns_delimiters_and_wrappings_are_seen_from_the_list_itself(text: str) -> None:
    matched = match_lines(read_list(text).lines, COMPANIES)
    assert [(match.id, match.line.number, match.status) for match in matched] == [
        (11, "69599084", MatchStatus.MATCHED),
        (13, "68750110", MatchStatus.MATCHED),
    ]


def test_a_bare_column_follows_the_order_of_the_table_and_a_blank_line_leaves_a_gap() -> None:
    matched = match_lines(read_list("69599084\n\n68750110\n12341234").lines, COMPANIES)
    assert [(match.id, match.status) for match in matched] == [
        (11, MatchStatus.MATCHED),
        (None, MatchStatus.EMPTY),
        (13, MatchStatus.MATCHED),
        (None, MatchStatus.UNKNOWN),
    ]


def test_reason_and_sector_come_along() -> None:
    lines = read_list("Naam;Nummer;Reden;Sector\nVan Dam Holding;;test / demo;Telecom en IT").lines
    assert lines == [
        PastedLine(
            index=0, name="Van Dam Holding", number="", code="", reason="test / demo", sector="Telecom en IT"
        )
    ]


def test_every_line_has_a_result() -> None:
    twins = [*COMPANIES, TableRow(id=14, name="Fjordheim A.S.")]
    text = "Fjordheim AS;923609016\nNobody Ltd;1234567\nVan Dam Holding;68750110\nVan Dam Holding;69599084"
    text += "\nBakkerij De Haan BV;"
    assert [(match.status, match.id) for match in match_lines(read_list(text).lines, twins)] == [
        (MatchStatus.AMBIGUOUS, None),
        (MatchStatus.UNKNOWN, None),
        (MatchStatus.CONTRADICTED, None),
        (MatchStatus.CONTRADICTED, None),
        (MatchStatus.EMPTY, None),
    ]


def test_hundreds_are_read_and_a_huge_list_is_refused() -> None:
    many = [TableRow(id=number, name=f"Company {number}") for number in range(600)]
    text = "\n".join(f"Company {number}\t{50_000_000 + number}" for number in reversed(range(600)))
    matched = match_lines(read_list(text).lines, many)
    assert {one.status for one in matched} == {MatchStatus.MATCHED}
    assert all(one.line.number == str(50_000_000 + (one.id or 0)) for one in matched)
    assert len(read_list("1\n" * 5000).lines) == 5000
    assert (
        len(read_list("naam;kvk\n" + "Company;1\n\n" * 4900).lines) == 4900
    )  # neither heading nor blank lines
    for text in ("1\n" * 5001, "naam;kvk\n" + "Company;1\n" * 5001, "1\n" * 50_000):
        with pytest.raises(TableError) as refused:
            read_list(text)
        assert refused.value.problem is TableProblem.TOO_MANY_ROWS


def test_what_cannot_be_read_is_refused_in_place_of_having_no_lines() -> None:
    with pytest.raises(TableError) as refused:
        read_list("Bakkerij;" + "6" * 40_000)
    assert refused.value.problem is TableProblem.CELL_TOO_LONG


def test_a_quotation_mark_that_is_never_closed_takes_no_line_away() -> None:
    lines = read_list('"Bakkerij De Haan B.V.;69599084\nVan Dam Holding;68750110').lines
    assert [(line.name, line.number) for line in lines] == [
        ('"Bakkerij De Haan B.V.', "69599084"),
        ("Van Dam Holding", "68750110"),
    ]
    assert [one.id for one in match_lines(lines, COMPANIES)] == [11, 13]


@given(st.text(max_size=400))
def test_pasted_text_raises_only_table_errors(text: str) -> None:
    try:
        lines = read_list(text).lines
    except TableError:
        return
    matches = match_lines(lines, COMPANIES)
    assert len(matches) == len(lines)
    for matched in matches:
        assert (matched.id is not None) == (matched.status is MatchStatus.MATCHED)


@given(st.binary(max_size=400))
def test_files_raise_only_table_errors(data: bytes) -> None:
    try:
        lines = read_list(decode(data)).lines
    except TableError:
        return
    assert [line.index for line in lines] == list(range(len(lines)))


NAMES = st.lists(
    st.from_regex(r"[A-Z][a-z]{2,9} [A-Z][a-z]{2,9}", fullmatch=True),
    min_size=2,
    max_size=20,
    unique_by=str.casefold,
)


@given(NAMES, st.sampled_from("\t;,|"), st.booleans(), st.booleans())
def test_each_company_gets_its_own_number_whatever_the_order(
    names: list[str], delimiter: str, number_first: bool, header: bool
) -> None:
    numbers = {name: str(50_000_000 + at) for at, name in enumerate(names)}
    rows = [(numbers[name], name) if number_first else (name, numbers[name]) for name in reversed(names)]
    if header:
        rows.insert(0, ("kvk", "naam") if number_first else ("naam", "kvk"))
    text = "\n".join(delimiter.join(row) for row in rows)
    candidates = [TableRow(id=at, name=name) for at, name in enumerate(names)]
    matched = match_lines(read_list(text).lines, candidates)
    assert {names[one.id]: one.line.number for one in matched if one.id is not None} == numbers


def match_rows(name: str, shared_reference: Path, candidates: list[TableRow]) -> list[tuple[int | None, str]]:
    text = decode((shared_reference / "cases" / "csv" / name).read_bytes())
    return [(match.id, match.line.number) for match in match_lines(read_list(text).lines, candidates)]


def test_a_heading_with_a_label_is_understood(shared_reference: Path) -> None:
    companies = [TableRow(id=7, name="Drukkerij Brouwer B.V.")]
    assert match_rows("paste-kvk-nr.csv", shared_reference, companies) == [(7, "69599084")]


def test_thousands_in_a_code_are_no_decimals(shared_reference: Path) -> None:
    companies = [TableRow(id=1, name="One", codes=("1",)), TableRow(id=2, name="Thousand", codes=("1000",))]
    assert match_rows("paste-code-thousands.csv", shared_reference, companies) == [(2, "69599084")]


@pytest.mark.parametrize(
    ("code", "row"),
    [
        ("1", 1),
        ("1.0", 1),
        ("1,00", 1),
        ("1.000", 2),
        ("1,000", 2),
        ("1000.000", 2),
        ("1000.0", 2),
        ("01", None),
    ],
)
def test_a_code_is_read_as_spreadsheets_write_it(code: str, row: int | None) -> None:
    companies = [TableRow(id=1, name="One", codes=("1",)), TableRow(id=2, name="Thousand", codes=("1000",))]
    (match,) = match_lines(read_list(f"Code;KvK\n{code};69599084").lines, companies)
    assert match.id == row


@pytest.mark.parametrize(
    "heading",
    [
        "KvK-nr",
        "KvK-nr.",
        "KVK NR",
        "kvk_nummer",
        "KvK nummer:",
        "CoC-number",
        "Org.nr",
        "Org. nr.",
        "Y-tunnus",
    ],
)
def test_headings_of_a_number_in_any_spelling(heading: str) -> None:
    (line,) = read_list(f"Naam;{heading}\nVan Dam Holding;69599084").lines
    assert (line.name, line.number) == ("Van Dam Holding", "69599084")


def test_decomposed_names_are_the_same_names() -> None:
    (match,) = match_lines(
        read_list("Naam;KvK\nCafe\u0301 Zu\u0308rich;69599084").lines, [TableRow(id=3, name="Café Zürich")]
    )
    assert match.id == 3


@pytest.mark.parametrize(
    ("text", "row", "number"),
    [
        ("Lijst 2026\n\nCode;KvK\n12;69599084", 1, "69599084"),
        ("Lijst 2026;\nCode;KvK\n12;69599084", 1, "69599084"),
        ("Code;KvK;Org.nr\n12;;69599084", 1, "69599084"),
        ("Code;KvK;KvK\n12;69599084;69599084", 1, "69599084"),
        ("Code;KvK\n12;6,9599084E+07", 1, "69599084"),
        ("Code;KvK\n12;6,9599E+07", None, "6,9599E+07"),
        ("Code;KvK\n-12;69599084", None, "69599084"),
        ("Code;KvK\n1-2;69599084", None, "69599084"),
        ("Code;KvK\n1/2;69599084", None, "69599084"),
        ("Code;KvK\n1.000,00;69599084", 2, "69599084"),
        ("Code;KvK\n1 000;69599084", 2, "69599084"),
        ('Code;KvK\n"1,000.00";69599084', 2, "69599084"),
        ("Code;KvK\nb7;69599084", 3, "69599084"),
    ],
)
def test_a_code_and_a_number_go_where_they_belong_or_nowhere(text: str, row: int | None, number: str) -> None:
    companies = [
        TableRow(id=1, name="A", codes=("12",)),
        TableRow(id=2, name="B", codes=("1000",)),
        TableRow(id=3, name="C", codes=("B-7",)),
    ]
    (match,) = match_lines(read_list(text).lines, companies)
    assert (match.id, match.line.number) == (row, number)


def test_two_columns_of_one_meaning_that_differ_fill_in_nothing() -> None:
    (match,) = match_lines(
        read_list("Naam;KvK;Nummer\nFjordheim AS;69599084;68750110").lines,
        [TableRow(id=1, name="Fjordheim AS")],
    )
    assert (match.status, match.id) == (MatchStatus.CONFLICT, None)


def test_headings_without_a_known_value_are_named() -> None:
    with pytest.raises(TableError, match="Unknown headings: Nummr, Plaats"):
        read_list("Naam;Nummr;Plaats\nVan Dam Holding;69599084;Assen")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("De Haan\t\tTest / demo\tBouw", ("", "Test / demo", "Bouw")),
        ("De Haan;;Test / demo;F – Bouw", ("", "Test / demo", "F – Bouw")),
        ("De Haan;F – Bouw", ("", "", "F – Bouw")),
        ("De Haan;69599084;F – Construction", ("69599084", "", "F – Construction")),
        ("De Haan;Test / demo;Bouw\nB;soms;Bouw\nC;Test / demo;Bouw", ("", "Test / demo", "Bouw")),
    ],
)
def test_reasons_and_sectors_are_known_without_a_header(text: str, expected: tuple[str, str, str]) -> None:
    line = read_list(text).lines[0]
    assert (line.name, line.values) == ("De Haan", expected)
