"""SIE 1 to 4 through the common API: types without entries, balances of objects and periods, repairs."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_formats import (
    AccountKind,
    BalanceKind,
    FindingCode,
    RepairCode,
    open_ledger,
)

HEAD = (
    "#FLAGGA 0\n#FORMAT PC8\n#SIETYP {kind}\n#PROGRAM Prov 1.0\n#GEN 20260105\n#FNR 42\n"
    '#FNAMN "Åkeri Öst AB"\n#ORGNR 556036-0793\n#RAR 0 20250101 20251231\n#RAR -1 20240101 20241231\n'
    "#KONTO 1930 Bank\n#KTYP 1930 T\n#SRU 1930 7281\n#KONTO 3010 Sales\n#KTYP 3010 I\n"
)
BALANCES = "#IB 0 1930 100\n#UB 0 1930 150\n#RES 0 3010 -50\n"
ENTRY = "#VER A 1 20250115 Sale\n{\n#TRANS 1930 {} 50\n#TRANS 3010 {1 10} -50\n}\n"


def sie(*parts: str, kind: str = "4", encoding: str = "cp437") -> bytes:
    return (HEAD.format(kind=kind) + "".join(parts)).encode(encoding)


def test_a_header_says_who_when_and_with_what() -> None:
    header = open_ledger(sie("#OMFATTN 20250630\n", ENTRY)).header
    assert (header.company.name, header.company.registration_number) == ("Åkeri Öst AB", "556036-0793")
    assert (header.company.software_id, header.software, header.currency) == ("42", "Prov", "SEK")
    assert [(year.name, year.is_own) for year in header.years] == [("2024", False), ("2025", True)]
    assert (header.written_on, header.covers_until) == (date(2026, 1, 5), date(2025, 6, 30))


@pytest.mark.parametrize("kind", ["1", "2", "3"])
def test_a_file_without_entries_has_its_balances(kind: str) -> None:
    rows = '#PSALDO 0 202501 1930 {} 50\n#OUB 0 1930 {1 "10"} 30\n#OIB 0 1930 {1 "10"} 20\n'
    ledger = open_ledger(sie(BALANCES, rows, kind=kind))
    report = ledger.check()
    assert (ledger.header.kind, report.counts.get("Entry"), report.is_balanced) == (kind, None, True)
    assert [(one.kind, one.amount) for one in ledger.balances() if one.is_of_account] == [
        (BalanceKind.OPENING, Decimal(100)),
        (BalanceKind.CLOSING, Decimal(150)),
        (BalanceKind.CLOSING, Decimal(-50)),
    ]
    assert [
        (balance.kind, balance.period, balance.dimensions, balance.amount)
        for balance in ledger.balances()
        if not balance.is_of_account
    ] == [
        (BalanceKind.PERIOD, "202501", (), Decimal(50)),
        (BalanceKind.CLOSING, "", (("1", "10"),), Decimal(30)),
        (BalanceKind.OPENING, "", (("1", "10"),), Decimal(20)),
    ]


def test_accounts_have_their_kind_and_the_code_of_the_tax_form() -> None:
    accounts = list(open_ledger(sie(ENTRY)).accounts())
    assert [(one.code, one.kind, one.standard_code) for one in accounts] == [
        ("1930", AccountKind.ASSET, "7281"),
        ("3010", AccountKind.INCOME, ""),
    ]


def test_closing_balances_that_do_not_add_up_are_reported() -> None:
    report = open_ledger(sie(BALANCES.replace("150", "151"), ENTRY)).check()
    assert [one.sentence for one in report.findings if one.code is FindingCode.CLOSING_BALANCE_DIFFERS] == [
        "Account 1930 closes 2025 at 151; opening balance and entries make 150."
    ]


@pytest.mark.parametrize(("encoding", "is_repaired"), [("cp437", False), ("utf-8", True), ("cp1252", True)])
def test_another_encoding_than_pc8_is_a_repair(encoding: str, is_repaired: bool) -> None:
    ledger = open_ledger(sie(ENTRY, encoding=encoding))
    codes = [repair.code for repair in ledger.check().repairs]
    assert (RepairCode.ENCODING in codes) == is_repaired
    assert ledger.header.company.name == "Åkeri Öst AB"


def test_texts_that_were_decoded_wrongly_before_are_reported() -> None:
    report = open_ledger(sie('#KONTO 4010 "Ink”p av tj„nster"\n', ENTRY, encoding="utf-8")).check()
    (reported,) = [one for one in report.findings if one.code is FindingCode.TEXT_MISREAD]
    assert "Ink”p av tj„nster" in reported.sentence


rows = st.lists(
    st.sampled_from(
        [
            "#TRANS 1930 {} 5",
            "#TRANS 1930 {1 a} 1 234,50",
            "#TRANS 1930 {1} 5",
            "#TRANS 1930 {} x",
            "#TRANS",
            "#VER A 1 20250115",
            "#VER A 1 20210115",
            "#VER A 1 nonsense",
            "{",
            "}",
            "#KONTO 1 a",
            "#BTRANS 1930 {} 5",
        ]
    ),
    max_size=20,
)


@given(rows=rows)
def test_every_line_is_kept_or_reported(rows: list[str]) -> None:
    report = open_ledger(sie("\n".join(rows))).check()
    reported = [one for one in report.findings if one.code is FindingCode.LINE_UNREADABLE]
    assert report.lines_unreadable == len(reported)
    assert report.counts.get("Line", 0) + len(reported) == sum(row.startswith("#TRANS") for row in rows)
