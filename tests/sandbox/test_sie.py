"""SIE files as programs write them: every encoding, every fault seen, and files made up by hypothesis read
back exactly.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koppel_sandbox import from_sie
from ledger_formats import sie

HEAD = '#FLAGGA 0\n#FORMAT PC8\n#SIETYP 4\n#FNAMN "Åkeri Öst AB"\n#RAR 0 20250101 20251231\n'
HEAD += '#KONTO 1930 "Checkräkning"\n#KONTO 3010 "Försäljning"\n'
ENTRY = '#VER A 1 20250115 "Försäljning"\n{\n\t#TRANS 1930 {} 100.00\n\t#TRANS 3010 {"1" "Norr"} -100.00\n}\n'


def read(folder: Path, text: str, encoding: str = "cp437") -> sie.SieFile:
    path = folder / "file.se"
    path.write_bytes(text.encode(encoding))
    return sie.read(path)


@pytest.mark.parametrize("encoding", ["cp437", "cp1252", "utf-8", "utf-8-sig"])
def test_names_are_right_in_every_encoding_although_all_claim_pc8(tmp_path: Path, encoding: str) -> None:
    sie_file = read(tmp_path, HEAD + ENTRY, encoding)
    assert (sie_file.name, sie_file.accounts["1930"]) == ("Åkeri Öst AB", "Checkräkning")
    assert sie_file.vouchers[0].text == "Försäljning"
    assert sie_file.vouchers[0].lines[1].objects == [("1", "Norr")]


@pytest.mark.parametrize(
    ("line", "amount", "objects"),
    [
        ("#TRANS 1930 {} 12.50", "12.50", []),
        ("#TRANS 1930 12.50", "12.50", []),
        ("#trans\t1930\t{}\t12,50", "12.50", []),
        ('#TRANS "1930" {1 "10" 6 "P7"} "-12.50" 20250116 "text" 3', "-12.50", [("1", "10"), ("6", "P7")]),
        ('#TRANS 1930 {} 0.00 "" "a \\"quoted\\" word"', "0.00", []),
    ],
)
def test_a_line_is_understood_as_programs_write_it(
    tmp_path: Path, line: str, amount: str, objects: list[tuple[str, str]]
) -> None:
    sie_file = read(tmp_path, f"{HEAD}#VER A 1 20250115\n{{\n{line}\n}}\n")
    (only,) = sie_file.vouchers[0].lines
    assert (only.account, only.amount, only.objects) == ("1930", Decimal(amount), objects)


def test_corrections_are_history_and_not_lines(tmp_path: Path) -> None:
    text = (
        '#VER A 1 20250115 ""\n{\n#TRANS 1930 {} 5\n#BTRANS 1930 {} 7\n#RTRANS 3010 {} -5\n#TRANS 3010 {} '
        "-5\n}\n"
    )
    assert [one.amount for one in read(tmp_path, HEAD + text).vouchers[0].lines] == [Decimal(5), Decimal(-5)]


def test_a_voucher_without_a_date_keeps_its_lines(tmp_path: Path) -> None:
    sie_file = read(
        tmp_path, HEAD + '#VER A 1 "" "no date"\n{\n#TRANS 1930 {} 5 20250302\n#TRANS 3010 {} -5\n}\n'
    )
    assert [(one.booked_on, len(one.lines)) for one in sie_file.vouchers] == [(date(2025, 3, 2), 2)]


def test_an_account_that_is_used_but_not_declared_exists(tmp_path: Path) -> None:
    sie_file = read(tmp_path, HEAD + "#VER A 1 20250115\n{\n#TRANS 2999 {} 5\n}\n")
    assert set(sie_file.accounts) == {"1930", "3010", "2999"}


def test_numbers_that_repeat_stay_entries_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "twice.se").write_bytes((HEAD + ENTRY + ENTRY).encode("cp437"))
    companies, _refused = from_sie.companies(tmp_path)
    assert [one.number for one in companies[0].books.entries] == ["2025-A1", "2025-A1-2"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("page.se", "<html>\n404</html>", "page.se is not a SIE file: it is a web page."),
        (
            "balances.se",
            HEAD.replace("#SIETYP 4", "#SIETYP 1"),
            "balances.se is SIE type 1: it has no entries.",
        ),
        ("empty.se", "", "empty.se is not a SIE file: it has no #SIETYP line."),
    ],
)
def test_what_is_no_ledger_is_refused_by_name_and_the_rest_goes_on(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    (tmp_path / name).write_text(content)
    (tmp_path / "good.se").write_bytes((HEAD + ENTRY).encode("cp437"))
    companies, refused = from_sie.companies(tmp_path)
    assert [one.source for one in companies] == ["good.se"]
    assert refused[name].startswith(reason)


amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=2, allow_nan=False)
words = st.text(alphabet='abc åäö ÅÄÖ é"\\{}#0129', max_size=12).map(str.strip)
lines_of_one = st.lists(st.tuples(st.sampled_from(["1930", "3010"]), amounts, words), max_size=4)
vouchers = st.lists(
    st.tuples(st.dates(date(2025, 1, 1), date(2025, 12, 31)), words, lines_of_one), max_size=5
)


@settings(max_examples=60, deadline=None)
@given(vouchers=vouchers, encoding=st.sampled_from(["cp437", "utf-8-sig"]))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    vouchers: list[tuple[date, str, list[tuple[str, Decimal, str]]]],
    encoding: str,
) -> None:
    text = HEAD
    for number, (day, title, lines) in enumerate(vouchers):
        text += f"#VER A {number} {day:%Y%m%d} {quote_text(title)}\n{{\n"
        text += (
            "".join(f'#TRANS {code} {{}} {amount} "" {quote_text(note)}\n' for code, amount, note in lines)
            + "}\n"
        )
    sie_file = read(tmp_path_factory.mktemp("made-up"), text, encoding)
    assert [
        (voucher.booked_on, voucher.text, [(line.account, line.amount, line.text) for line in voucher.lines])
        for voucher in sie_file.vouchers
    ] == vouchers


def quote_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
