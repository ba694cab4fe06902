"""A ledger that comes in several files is one: nothing twice, totals of the whole."""

from decimal import Decimal

import pytest

from ledger_formats import BalanceKind, FindingCode, LedgerFileRefused, join_parts, open_ledger
from tests.ledger_formats.auditfiles import BALANCED, Lines, saft

OPENING_AND_CLOSING = (
    "<Account><AccountID>{code}</AccountID><StandardAccountID>10</StandardAccountID>"
    "<OpeningDebitBalance>{opening}</OpeningDebitBalance><ClosingDebitBalance>{closing}</ClosingDebitBalance>"
    "</Account>"
)


def part(first: int, last: int, opening: str, closing: str, *entries: Lines, totals: str = "") -> bytes:
    """A file of some months, with the balances of the account 1000 at their beginning and end."""
    text = saft(*entries, accounts=OPENING_AND_CLOSING.format(code="1000", opening=opening, closing=closing))
    text = text.replace("<PeriodStart>1<", f"<PeriodStart>{first}<").replace(
        "<PeriodEnd>12<", f"<PeriodEnd>{last}<"
    )
    return text.replace("<GeneralLedgerEntries>", f"<GeneralLedgerEntries>{totals}").encode()


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


def test_files_of_two_companies_are_not_joined() -> None:
    content = part(1, 12, "0", "12.50", BALANCED)
    with pytest.raises(LedgerFileRefused, match="are not parts of one ledger"):
        join_parts(
            [open_ledger(content, "a.xml"), open_ledger(content.replace(b"923609016", b"974760673"), "b.xml")]
        )
    alone = open_ledger(content)
    assert join_parts([alone]) is alone
