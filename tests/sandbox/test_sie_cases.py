"""SIE files as they come from many programs, spreadsheets and hands: each is read right, or the line that
cannot be read is named. No line vanishes.
"""

import json
import shutil
import unicodedata
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koppel_sandbox import from_sie
from koppel_sandbox.company import Company
from koppel_sandbox.visma_net import shapes
from ledger_formats import sie

HEAD = (
    "#FLAGGA 0\n#FORMAT PC8\n#SIETYP 4\n"
    '#FNAMN "Provbolaget AB"\n#ORGNR 556036-0793\n#RAR 0 20250101 20251231\n'
)


def company_of(folder: Path, content: bytes) -> Company:
    (folder / "file.se").write_bytes(content)
    companies, refusals = from_sie.companies(folder)
    assert refusals == {}
    return companies[0]


def company_of_case(name: str, shared_reference: Path, folder: Path) -> Company:
    shutil.copy(shared_reference / "cases" / "sie" / name, folder)
    companies, refusals = from_sie.companies(folder)
    assert refusals == {}
    return companies[0]


def read(folder: Path, text: str) -> sie.SieFile:
    path = folder / "file.se"
    path.write_bytes(text.encode("utf-8"))
    return sie.read(path)


def amounts(folder: Path, *lines: str) -> list[Decimal]:
    text = HEAD + "#VER A 1 20250115\n{\n" + "\n".join(lines) + "\n}\n"
    return [line.amount for line in read(folder, text).vouchers[0].lines]


def test_vouchers_with_one_number_stay_entries_of_their_own(shared_reference: Path, tmp_path: Path) -> None:
    books = company_of_case("voucher-number-collides.se", shared_reference, tmp_path).books
    assert (len({entry.number for entry in books.entries}), books.line_count) == (3, 6)
    assert books.debit_sum == Decimal("60.00")
    assert [entry.number for entry in books.entries] == ["2025-A1", "2025-A1-3", "2025-A1-2"]
    assert from_sie.differences(books) == {}


@settings(max_examples=80, deadline=None)
@given(
    numbers=st.lists(
        st.tuples(
            st.sampled_from(["", "A", "A1", "B"]), st.sampled_from(["", "1", "1-2", "11", "1-3", "-2"])
        ),
        max_size=14,
    )
)
def test_no_two_vouchers_share_a_number(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[str, str]]
) -> None:
    text = HEAD + "".join(
        f'#VER "{series}" "{number}" 20250115\n{{\n#TRANS 1930 {{}} 1\n}}\n' for series, number in numbers
    )
    books = company_of(tmp_path_factory.mktemp("numbers"), text.encode()).books
    assert len({entry.number for entry in books.entries}) == len(numbers)


def test_a_year_that_runs_backwards_is_refused_and_the_others_go_on(
    shared_reference: Path, tmp_path: Path
) -> None:
    for name in ("year-backwards.se", "underdim.se"):
        shutil.copy(shared_reference / "cases" / "sie" / name, tmp_path)
    companies, refusals = from_sie.companies(tmp_path)
    assert [company.source for company in companies] == ["underdim.se"]
    assert list(refusals) == ["year-backwards.se"]
    assert "the year ends before it begins" in refusals["year-backwards.se"]


def test_missing_opening_balances_come_from_last_years_closing(
    shared_reference: Path, tmp_path: Path
) -> None:
    books = company_of_case("no-opening-only-last-years-closing.se", shared_reference, tmp_path).books
    assert books.opening == {"1930": Decimal(5000), "2440": Decimal(-2000), "2099": Decimal(-3000)}
    assert from_sie.differences(books) == {}


def test_closing_balances_that_are_movements_alone_show_that_nothing_was_carried_forward(
    tmp_path: Path,
) -> None:
    rows = "#RAR -1 20240101 20241231\n#UB -1 1930 500\n#UB -1 1910 -500\n#UB -1 2610 -30\n"
    rows += "#UB 0 1910 550\n#UB 0 2440 -550\n"
    rows += "#VER A 1 20250115\n{\n#TRANS 1910 {} 550\n#TRANS 2440 {} -550\n}\n"
    books = company_of(tmp_path, (HEAD + rows).encode()).books
    assert (books.opening, from_sie.differences(books)) == ({}, {})


def test_an_opening_balance_that_the_file_states_is_kept(tmp_path: Path) -> None:
    rows = "#RAR -1 20240101 20241231\n#UB -1 1930 5\n#UB -1 2099 -9\n#UB -1 2440 -5\n"
    rows += "#IB 0 1930 7\n#UB 0 1930 7\n#UB 0 2440 -5\n#UB 0 2098 0\n"
    assert read(tmp_path, HEAD + rows).opening == {"1930": Decimal(7), "2440": Decimal(-5)}


def test_a_voucher_of_last_year_is_in_last_year(shared_reference: Path, tmp_path: Path) -> None:
    books = company_of_case("voucher-of-last-year.se", shared_reference, tmp_path).books
    assert [(entry.period, entry.number) for entry in books.entries] == [
        ("202406", "2024-A1"),
        ("202501", "2025-A1"),
    ]
    bank = {balance.period: balance for balance in books.balances() if balance.account == "1930"}
    assert (bank["202401"].opening, bank["202412"].closing) == (Decimal(100), Decimal(600))
    assert (bank["202501"].opening, bank["202512"].closing) == (Decimal(600), Decimal(1600))
    assert from_sie.differences(books) == {}


def test_a_voucher_of_no_year_is_named_with_its_lines(tmp_path: Path) -> None:
    text = HEAD + "#VER A 1 20260115\n{\n#TRANS 1930 {} 5\n#TRANS 3010 {} -5\n}\n"
    sie_file = read(tmp_path, text)
    assert [skipped.line for skipped in sie_file.skipped_lines] == [7, 9, 10]
    assert sie_file.skipped_lines[0].reason == "#VER: 2026-01-15 is in no fiscal year of the file"
    assert sie_file.vouchers == []


@pytest.mark.parametrize("name", ["amount-with-blank.se", "amount-with-dot-and-comma.se"])
def test_amounts_with_thousands_are_read(name: str, shared_reference: Path, tmp_path: Path) -> None:
    company = company_of_case(name, shared_reference, tmp_path)
    assert (company.books.line_count, company.books.debit_sum) == (2, Decimal("1234.50"))
    assert company.skipped_lines == ()
    assert from_sie.differences(company.books) == {}


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("1 234,50", "1234.50"),
        ('"1 234 567,50"', "1234567.50"),
        ("1\u00a0234,50", "1234.50"),
        ("1\u2009234.50", "1234.50"),
        ("1\u202f234,5", "1234.5"),
        ("1.234.567,89", "1234567.89"),
        ("1,234,567.89", "1234567.89"),
        ("1'234.50", "1234.50"),
        ("1\u2019234.50", "1234.50"),
        ("+12.50", "12.50"),
        ("\u221212,50", "-12.50"),
        ("12.50-", "-12.50"),
        ("(12.50)", "-12.50"),
        ('"(1 234,50)"', "-1234.50"),
        ("1.2345E3", "1234.5"),
        ("-1,5e+2", "-150"),
        (".5", "0.5"),
        ("5.", "5"),
        ("0.125", "0.125"),
        ("1234.567", "1234.567"),
        ("1.234.567", "1234567"),
        ("10.100000000000001", "10.100000000000001"),
    ],
)
def test_an_amount_is_read_as_it_was_meant(written: str, amount: str, tmp_path: Path) -> None:
    assert amounts(tmp_path, f"#TRANS 1930 {{}} {written}") == [Decimal(amount)]


@pytest.mark.parametrize(
    "written",
    ['""', "", "kr 5", '"5 SEK"', "--5", "1.2.3", "12.34.567", "1,23,456.7", "NaN", "Infinity", "1e400", "٥"],
)
def test_a_line_whose_amount_cannot_be_read_is_named(written: str, tmp_path: Path) -> None:
    sie_file = read(tmp_path, f"{HEAD}#VER A 1 20250115\n{{\n#TRANS 1930 {{}} {written}\n}}\n")
    assert sie_file.vouchers[0].lines == []
    assert [skipped.line for skipped in sie_file.skipped_lines] == [9]
    assert sie_file.skipped_lines[0].reason.startswith("#TRANS: ")


def test_three_digits_behind_a_sign_are_what_the_rest_of_the_file_shows(tmp_path: Path) -> None:
    assert amounts(tmp_path, "#TRANS 1930 {} 1.234", "#TRANS 3010 {} -1,5") == [
        Decimal(1234),
        Decimal("-1.5"),
    ]
    assert amounts(tmp_path, "#TRANS 1930 {} 1.234", "#TRANS 3010 {} -1.5") == [
        Decimal("1.234"),
        Decimal("-1.5"),
    ]
    alone = read(tmp_path, f"{HEAD}#VER A 1 20250115\n{{\n#TRANS 1930 {{}} 1.234\n}}\n")
    assert alone.skipped_lines[0].reason == "#TRANS: “1.234” can be read as thousands and as decimals"


def test_an_under_dimension_has_its_name(shared_reference: Path, tmp_path: Path) -> None:
    company = company_of_case("underdim.se", shared_reference, tmp_path)
    books = company.books
    assert books.dimensions == {"1": "Resultatenhet", "21": "Butik"}
    assert books.values[("21", "101")] == "Torget"
    _head, lines = shapes.batch(company, books.entries[0])
    segments = [
        f"{segment['segmentDescription']}={segment['segmentValue']}"
        for segment in json.loads(lines[1])["subaccount"]["segments"]
    ]
    assert segments == ["Resultatenhet=10", "Butik=101"]


def test_dimensions_are_known_wherever_they_are_declared(tmp_path: Path) -> None:
    rows = '#OBJEKT 31 "a" "Kassa"\n#UNDERDIM 31 "Kassa" 21\n#UNDERDIM 21 "Butik" 1\n#DIM 1 "Enhet"\n'
    rows += '#VER A 1 20250115\n{\n#TRANS 1930 {1 "10" 21 "b" 31 "a" 6 "P1"} 5\n}\n'
    sie_file = read(tmp_path, HEAD + rows)
    assert sie_file.dimensions == {"31": "Kassa", "21": "Butik", "1": "Enhet", "6": "Projekt"}


@pytest.mark.parametrize(
    ("name", "company"), [("latin1-oslash.se", "Sørbø Bygg AS"), ("latin1-uumlaut.se", "Müller Kaffe AB")]
)
def test_letters_are_seen_from_the_bytes(
    name: str, company: str, shared_reference: Path, tmp_path: Path
) -> None:
    assert company_of_case(name, shared_reference, tmp_path).name == company


NAMES = (
    "Müller Kaffe AB",
    "Åkeri Öst AB",
    "ÅKERI ÖST AB",
    "Änglamat i Växjö",
    "Blåbärsgården",
    "Café Crème HB",
    "Grüße & Söhne",
    "Garçon Façade",
    "Señor Piñata",
    "MÜLLER ÖL",
    "Bageri Ö",
    "à la carte",
    "Læring i Ærø",
)


@pytest.mark.parametrize(
    "name", [*NAMES, "Sørbø Bygg AS", "SØRBØ BYGG", "Ørsted", "Bjørn & Søn", "Köln – Ås"]
)
@pytest.mark.parametrize(
    "encoding",
    ["cp437", "latin-1", "cp1252", "cp850", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"],
)
def test_a_name_is_right_in_every_encoding(name: str, encoding: str, tmp_path: Path) -> None:
    try:
        content = HEAD.replace("Provbolaget AB", name).encode(encoding)
    except UnicodeEncodeError:
        return
    if encoding == "cp437" and "Æ" not in name and "æ" not in name and ("ø" in name or "Ø" in name):
        return
    assert company_of(tmp_path, content).name == name


def test_decomposed_letters_are_composed(shared_reference: Path, tmp_path: Path) -> None:
    name = company_of_case("utf8-nfd-name.se", shared_reference, tmp_path).name
    assert name == "Café Ångström AB"
    assert unicodedata.is_normalized("NFC", name)


def test_one_odd_byte_does_not_change_the_encoding_of_a_file(tmp_path: Path) -> None:
    text = HEAD.replace("Provbolaget", "Åkeri Öst på Väddö").encode() + b'#KONTO 1930 "Br\xffken"\n'
    assert company_of(tmp_path, text).name == "Åkeri Öst på Väddö AB"


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ("#TRANS 1930 {} 5\n", 7, "#TRANS: it stands in no voucher"),
        (
            "#VER A 1 20250115\n{\n#TRANS 1930 {} 5\n}\n#TRANS 3010 {} -5\n",
            11,
            "#TRANS: it stands in no voucher",
        ),
        ("#VER A 1 20250230\n{\n}\n", 7, "#VER: “20250230” is not a date"),
        ("#VER A 1 20250230\n{\n#TRANS 1930 {} 5\n}\n", 9, "#TRANS: its voucher could not be read"),
        ("#VER A 1 20250115\n{\n#TRNAS 1930 {} 5\n}\n", 9, "#TRNAS: this is no line of SIE"),
        ("#IB 0 1930 abc\n", 7, "#IB: “abc” is not an amount"),
        ("#IB x 1930 5\n", 7, "#IB: it does not say which year: 0, -1 and so on"),
        ("#UB 0\n", 7, "#UB: it has no account number"),
        ("#RAR -1 20241231 20240101\n", 7, "#RAR: the year ends before it begins"),
        ("#RAR 0 20240101 20241231\n", 7, "#RAR: another line gave year 0 other days; the first one holds"),
        (
            '#KONTO 1930 "a"\n#KONTO 1930 "b"\n',
            8,
            "#KONTO: account 1930 is declared twice; the first name holds",
        ),
        ("#KONTO\n", 7, "#KONTO: it has no account number"),
        ("rubbish\n", 7, "RUBBISH: this is no line of SIE"),
        ("}}\n", 7, "}}: this is no line of SIE"),
        (
            "#VER A 1 20250115\n{\n#RTRANS 1930 {} 5\n#TRANS 1930 {} 6\n}\n",
            9,
            "#RTRANS: no #TRANS line with its account and amount stands behind it",
        ),
        (f'#KONTO 1930 "{"a" * 100_000}"\n', 7, "#KONTO: the line has more than 100,000 characters"),
    ],
)
def test_what_cannot_be_read_is_named(rows: str, line: int, reason: str, tmp_path: Path) -> None:
    sie_file = read(tmp_path, HEAD + rows)
    assert (line, reason) in [(skipped.line, skipped.reason) for skipped in sie_file.skipped_lines]
    assert sie_file.understood_count + len(sie_file.skipped_lines) == sie_file.line_count


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ('#VER A 1 20250115 "a \\"b\\" c"\n', 'a "b" c'),
        ('#VER A 1 20250115 "a ""b"" c"\n', 'a "b" c'),
        ('#VER A 1 20250115 "C:\\\\temp\\\\"\n', "C:\\temp\\"),
        ('#VER A 1 20250115 "C:\\temp"\n', "C:\\temp"),
        ('#VER A 1 20250115 "over\ntwo lines"\n', "over two lines"),
        ('#VER A 1 20250115 "never closed\n', "never closed"),
        ('#VER A 1 20250115 "F"rskott till "verl, t" 20250116\n', 'F"rskott till "verl, t'),
        ('#VER A 1 20250115 Leverant"rsskuld\n', 'Leverant"rsskuld'),
        ('#VER A 1 20250115 "form\x0cfeed\x85 \u2028 end"\n', "form\x0cfeed\x85 \u2028 end"),
    ],
)
def test_a_text_keeps_its_signs_and_swallows_no_line(rows: str, text: str, tmp_path: Path) -> None:
    sie_file = read(tmp_path, f"{HEAD}{rows}{{\n#TRANS 1930 {{}} 5\n}}\n")
    assert [(voucher.text, len(voucher.lines)) for voucher in sie_file.vouchers] == [(text, 1)]
    assert sie_file.skipped_lines == []


def test_braces_may_stand_on_the_lines_of_the_voucher(tmp_path: Path) -> None:
    text = HEAD + '#VER A 1 20250115 "v" {\n#TRANS 1930 {} 5\n#TRANS 3010 {} -5 }\n'
    assert [len(voucher.lines) for voucher in read(tmp_path, text).vouchers] == [2]


def test_a_file_without_years_has_the_calendar_years_of_its_vouchers(tmp_path: Path) -> None:
    head = HEAD.replace("#RAR 0 20250101 20251231\n", "")
    text = head + "".join(
        f"#VER A {number} {day}\n{{\n#TRANS 1930 {{}} 5\n}}\n"
        for number, day in enumerate(("20241231", "20250101"))
    )
    books = company_of(tmp_path, text.encode()).books
    assert [entry.period for entry in books.entries] == ["202412", "202501"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it has no #SIETYP line."),
        (b"\0" * 1000, "it has no #SIETYP line."),
        (b'<?xml version="1.0"?>\n<Sie xmlns="x">\n', "it is SIE 5, which is XML."),
        (b"#FLAGGA 0\n#SIETYP 4\n", "has no fiscal year, no balances and no vouchers."),
        (
            HEAD.replace("20251231", "20991231").encode(),
            "the year is longer than two years (#RAR 0 20250101 20991231).",
        ),
    ],
)
def test_what_holds_no_year_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file.se").write_bytes(content)
    companies, refusals = from_sie.companies(tmp_path)
    assert companies == []
    assert refusals["file.se"].endswith(reason)


def test_a_year_without_vouchers_is_a_company(tmp_path: Path) -> None:
    books = company_of(tmp_path, HEAD.encode()).books
    assert (len(books.periods), books.entries, books.balances()) == (12, [], [])


pieces = st.sampled_from(
    [
        "#VER A 1 20250115",
        '#VER "" "" "" "no date"',
        "#VER A 1 20231231",
        "#VER A 1 2025",
        "{",
        "}",
        "#TRANS 1930 {} 5",
        "#TRANS 1930 {1 a} 1 234,50",
        "#TRANS 1930 {1} 5",
        "#TRANS 1930",
        "#TRANS",
        "#TRANS {} 5",
        '#TRANS 1930 {} "open',
        "#BTRANS 1930 {} 5",
        "#RTRANS 1930 {} 5",
        "#IB 0 1930 5",
        "#IB -1 1930 x",
        "#UB -1 1930 7",
        "#RES 0 3010 (5)",
        "#RAR -1 20240101 20241231",
        "#RAR -1 20241231 20240101",
        "#RAR -2 20240701 20241231",
        "#KONTO 1930 Bank",
        "#KONTO 1930 Kassa",
        "#KTYP 1930 X",
        "#DIM 1",
        '#UNDERDIM 21 "Butik" 1',
        "#OBJEKT 1",
        "#NOLABEL x",
        "more text",
        "",
        "  \t ",
        "\x1a",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.one_of(pieces, st.text(alphabet='#{}" \\1.,-VERTANS\t\0éø', max_size=14)), max_size=25)
)
def test_every_line_is_kept_or_reported(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    text = HEAD + "\n".join(rows)
    company = company_of(folder, text.encode())
    sie_file = sie.read(folder / "file.se")
    lines = [line for line in text.split("\n") if line.strip(" \t\0\x1a")]
    assert sie_file.line_count == len(lines)
    assert sie_file.understood_count + len(sie_file.skipped_lines) == len(lines)
    transactions = sum(row.split()[:1] == ["#TRANS"] for row in rows)
    named = sum("#TRANS" in skipped.reason for skipped in sie_file.skipped_lines)
    assert transactions <= company.books.line_count + named
    assert all(day.date() >= date(2024, 1, 1) for day in [company.books.modified])


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=200), prefix=st.booleans())
def test_no_bytes_stop_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, prefix: bool
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "file.se").write_bytes((HEAD.encode() if prefix else b"#SIETYP 4\n") + content)
    companies, refusals = from_sie.companies(folder)
    assert len(companies) + len(refusals) == 1
    for company in companies:
        assert company.books.balances() is not None
