"""A ledger that comes in several files is one: nothing twice, nothing lost, totals of the whole."""

from decimal import Decimal

import pytest

from ledger_formats import BalanceKind, FindingCode, LedgerFileRefused, RepairCode, join_parts, open_ledger
from tests.ledger_formats.auditfiles import BALANCED, Lines, saft, xaf

OPENING_AND_CLOSING = (
    "<Account><AccountID>{code}</AccountID><StandardAccountID>10</StandardAccountID>"
    "<OpeningDebitBalance>{opening}</OpeningDebitBalance><ClosingDebitBalance>{closing}</ClosingDebitBalance>"
    "</Account>"
)
SIE_HEAD = (
    "#FLAGGA 0\n#SIETYP 4\n#FNAMN Prov\n#ORGNR 556036-0793\n"
    "#RAR 0 20250101 20251231\n#RAR -1 20240101 20241231\n#KONTO 1930 Bank\n"
)


def part(first: int, last: int, opening: str, closing: str, *entries: Lines, totals: str = "") -> bytes:
    """A file of some months, with the balances of the account 1000 at their beginning and end."""
    text = saft(*entries, accounts=OPENING_AND_CLOSING.format(code="1000", opening=opening, closing=closing))
    text = text.replace("<PeriodStart>1<", f"<PeriodStart>{first}<").replace(
        "<PeriodEnd>12<", f"<PeriodEnd>{last}<"
    )
    return text.replace("<GeneralLedgerEntries>", f"<GeneralLedgerEntries>{totals}").encode()


def sie_part(number: str, *rows: str) -> bytes:
    return f"{SIE_HEAD}{''.join(rows)}#VER A {number} 20250115\n{{\n#TRANS 1930 {{}} 0\n}}\n".encode()


@pytest.mark.parametrize(
    "totals",
    [
        ("<TotalDebit>37.50</TotalDebit><TotalCredit>37.50</TotalCredit>",) * 2,
        (
            "<TotalDebit>12.50</TotalDebit><TotalCredit>12.50</TotalCredit>",
            "<TotalDebit>25.00</TotalDebit><TotalCredit>25.00</TotalCredit>",
        ),
    ],
)
def test_parts_by_period_are_one_ledger(totals: tuple[str, str]) -> None:
    later = open_ledger(part(7, 12, "22.50", "47.50", BALANCED, BALANCED, totals=totals[1]), "b.xml")
    earlier = open_ledger(part(1, 6, "10.00", "22.50", BALANCED, totals=totals[0]), "a.xml")
    with join_parts([later, earlier]) as ledger:
        report = ledger.check()
        keys = [entry.key for entry in ledger.entries()]
        balances = [(one.kind, one.amount) for one in ledger.balances()]
    assert keys == ["GL/1", "GL/1-2", "GL/2"]
    assert balances == [(BalanceKind.OPENING, Decimal("10.00")), (BalanceKind.CLOSING, Decimal("47.50"))]
    assert (report.counts["Account"], report.counts["Journal"], report.counts["Line"]) == (1, 1, 6)
    assert [total.agrees for total in report.control_totals] == [True, True]
    assert (report.is_balanced, report.closing[("2025", "1000")]) == (True, Decimal("47.50"))
    assert FindingCode.DATE_OUTSIDE_YEAR in report.finding_counts


def test_parts_of_one_range_each_have_the_balances_of_some_accounts() -> None:
    def account(code: str, opening: str, closing: str) -> str:
        return OPENING_AND_CLOSING.format(code=code, opening=opening, closing=closing)

    first = saft(BALANCED, accounts=account("1000", "10", "22.50") + account("8000", "-10", "-35.00"))
    second = saft(BALANCED, accounts=account("1000", "10", "35.00") + account("9000", "0", "0"))
    parts = [open_ledger(text.encode(), name) for text, name in ((first, "1.xml"), (second, "2.xml"))]
    with join_parts(parts) as ledger:
        report = ledger.check()
        opening, closing = (
            [(balance.account, balance.amount) for balance in ledger.balances(kind)]
            for kind in (BalanceKind.OPENING, BalanceKind.CLOSING)
        )
    assert opening == [("1000", Decimal(10)), ("8000", Decimal(-10)), ("9000", Decimal(0))]
    assert closing == [("8000", Decimal("-35.00")), ("1000", Decimal("35.00")), ("9000", Decimal(0))]
    assert (report.is_balanced, report.counts["Balance"]) == (True, 6)


def test_balances_of_periods_are_those_of_all_parts_and_each_once() -> None:
    january, july = "#PSALDO 0 202501 1930 {} 5\n", "#PSALDO 0 202507 1930 {} 7\n"
    changed = january.replace(" 5\n", " 6\n")
    parts = [open_ledger(sie_part("1", january), "1.se"), open_ledger(sie_part("2", january, july), "2.se")]
    with join_parts([*parts, open_ledger(sie_part("3", changed, "#IB -1 1930 4\n"), "3.se")]) as ledger:
        report = ledger.check()
        balances = [(one.period, one.amount) for one in ledger.balances(BalanceKind.PERIOD)]
    assert balances == [("202501", Decimal(5)), ("202507", Decimal(7)), ("202501", Decimal(6))]
    assert (report.counts["Balance"], report.is_complete) == (3, True)
    assert [year.name for year in ledger.header.years] == ["2024", "2025"]


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["part10.x", "part2.x", "part1.x"], [2, 1, 0]),
        (["2025 part 10.x", "2025 part 9 b.x", "2025 part 9 a.x"], [2, 1, 0]),
        (["same.x", "same.x", "SAME.x"], [0, 1, 2]),
        (["b007.x", "b7.x", "a12.x"], [2, 0, 1]),
    ],
)
@pytest.mark.parametrize("kind", ["xaf", "sie"])
def test_parts_are_read_by_number_within_names_then_as_given(
    kind: str, names: list[str], order: list[int]
) -> None:
    contents = [
        xaf(BALANCED, number=str(number)).encode() if kind == "xaf" else sie_part(str(number))
        for number in range(len(names))
    ]
    parts = [open_ledger(content, name) for name, content in zip(names, contents, strict=True)]
    with join_parts(parts) as ledger:
        assert [entry.number for entry in ledger.entries()] == [str(number) for number in order]


def test_what_was_noticed_says_in_which_part() -> None:
    first = open_ledger(xaf(BALANCED, company="Café").encode(), "1.xaf")
    text = xaf((*BALANCED, ("1000", "x", "D")), (("1000", "1", "D"), ("9999", "1", "C")), company="Café")
    at = text.count("\n", 0, text.index("<amnt>x<")) + 1
    with join_parts([first, open_ledger(text.encode("cp1252"), "2.xaf")]) as ledger:
        report = ledger.check()
    encoding = next(one for one in report.repairs if one.code is RepairCode.ENCODING)
    assert (str(encoding.first), encoding.sentence) == (
        "2.xaf",
        "2.xaf: The file says UTF-8; its bytes are cp1252.",
    )
    lost, undeclared = (
        next(finding for finding in report.findings if finding.code is code)
        for code in (FindingCode.LINE_UNREADABLE, FindingCode.ACCOUNT_UNDECLARED)
    )
    assert str(lost.location) == f"2.xaf, line {at} (trLine)"
    assert lost.sentence.startswith(f"2.xaf: Line {at}: line 3 of an entry is not in the books")
    assert undeclared.location.file == "2.xaf"
    missing = [one for one in report.findings if one.code is FindingCode.REGISTRATION_NUMBER_MISSING]
    assert [one.location.file for one in missing] == [""]


def test_files_of_two_companies_are_not_joined() -> None:
    content = part(1, 12, "0", "12.50", BALANCED)
    with pytest.raises(LedgerFileRefused, match="are not parts of one ledger"):
        join_parts(
            [open_ledger(content, "a.xml"), open_ledger(content.replace(b"923609016", b"974760673"), "b.xml")]
        )
    alone = open_ledger(content)
    assert join_parts([alone]) is alone
