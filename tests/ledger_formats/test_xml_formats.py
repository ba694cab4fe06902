"""XAF, SAF-T and SIE 5 as programs write them: what is repaired or cannot be read is reported."""

import re
from contextlib import suppress
from decimal import Decimal
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_formats import (
    BalanceKind,
    FindingCode,
    Format,
    LedgerFile,
    LedgerFileRefused,
    RefusalCode,
    RepairCode,
    Report,
    detect,
    open_ledger,
)
from tests.ledger_formats.auditfiles import BALANCED, SAFT_SPACE, XAF_SPACE, Lines, saft, sie5, xaf

VENDOR_SPACE = "http://www.softwarepakketten.nl/auditfile/3.2"
SPACE_4 = "http://www.odb.belastingdienst.nl/Belastingdienst/BCPP/1.1/structures/XmlauditfileXAF_4.0"


def checked(text: str, encoding: str = "utf-8") -> tuple[LedgerFile, Report]:
    ledger = open_ledger(text.encode(encoding), "file.xml")
    return ledger, ledger.check()


def repairs(report: Report) -> dict[RepairCode, int]:
    return {repair.code: repair.count for repair in report.repairs}


@pytest.mark.parametrize(
    ("declared", "encoding", "known_as"),
    [
        ("UTF-8", "cp1252", "cp1252"),
        ("ISO-8859-1", "utf-8", "utf-8"),
        ("ISO-8859-1", "cp1252", "cp1252"),
        ("UTF-8", "utf-8-sig", "utf-8"),
        ("UTF-16", "utf-16", "utf-16-le"),
        ("UTF-8", "utf-16-be", "utf-16-be"),
    ],
)
def test_an_encoding_is_seen_from_the_bytes(declared: str, encoding: str, known_as: str) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>'
    ledger, report = checked(xaf(BALANCED, declaration=declaration, company="Café Reünie B.V."), encoding)
    assert (ledger.detection.encoding, ledger.header.company.name) == (known_as, "Café Reünie B.V.")
    wrong = {("UTF-8", "cp1252"), ("ISO-8859-1", "utf-8")}
    assert (RepairCode.ENCODING in repairs(report)) == ((declared, encoding) in wrong)
    assert report.counts["Line"] == 2


def test_the_namespace_of_a_vendor_is_read_and_reported() -> None:
    ledger, report = checked(xaf(BALANCED, space=VENDOR_SPACE))
    assert (ledger.header.version, report.counts["Line"]) == ("3.2", 2)
    assert repairs(report) == {RepairCode.NAMESPACE: 1}


def test_a_version_is_that_of_the_elements() -> None:
    ledger, report = checked(xaf(BALANCED, space=SPACE_4))
    assert (ledger.header.version, ledger.detection.stated_version) == ("3.2", "4.0")
    assert report.finding_counts[FindingCode.VERSION_DIFFERS] == 1


def test_control_characters_are_left_out_and_counted() -> None:
    ledger, report = checked(xaf(BALANCED, company="Proef\x00\x1f B.V."))
    assert ledger.header.company.name == "Proef B.V."
    assert repairs(report)[RepairCode.CONTROL_CHARACTERS] == 2


def test_an_amount_below_zero_counts_on_the_other_side_and_totals_still_agree() -> None:
    totals = "<linesCount>2</linesCount><totalDebit>-5.00</totalDebit><totalCredit>-5.00</totalCredit>"
    lines = (("1000", "-5.00", "D"), ("8000", "-5.00", "C"))
    ledger, report = checked(xaf(lines, totals=totals))
    (entry,) = ledger.entries()
    assert [line.amount for line in entry.lines] == [Decimal("-5.00"), Decimal("5.00")]
    assert repairs(report) == {RepairCode.NEGATIVE_AMOUNT: 2}
    assert (report.is_balanced, report.debit) == (True, Decimal("5.00"))


CURRENCY = "<currency><curCode>USD</curCode><curAmnt>{}</curAmnt></currency></trLine>"


@pytest.mark.parametrize(
    ("amount", "side", "foreign", "expected", "repaired"),
    [
        ("-100.00", "C", "-110.00", ("100.00", "110.00"), {RepairCode.NEGATIVE_AMOUNT: 2}),
        ("-100.00", "C", "110.00", ("100.00", "110.00"), {"negative": 2, "sign": 1}),
        ("100.00", "C", "110.00", ("-100.00", "-110.00"), {}),
        ("100.00", "C", "-110.00", ("-100.00", "-110.00"), {RepairCode.LINE_SIGN: 1}),
        ("-100.00", "D", "-110.00", ("-100.00", "-110.00"), {RepairCode.NEGATIVE_AMOUNT: 2}),
        ("100.00", "D", "-110.00", ("100.00", "110.00"), {RepairCode.LINE_SIGN: 1}),
        ("0.00", "C", "0.01", ("0.00", "-0.01"), {}),
    ],
)
@pytest.mark.parametrize("write", [xaf, saft])
def test_an_amount_in_another_currency_is_on_the_side_of_its_line(
    write: type,
    amount: str,
    side: str,
    foreign: str,
    expected: tuple[str, str],
    repaired: dict[RepairCode, int],
) -> None:
    other_side = "D" if side == "C" else "C"
    text = write((("1000", amount, side), ("8000", amount, other_side)))
    if write is xaf:
        text = text.replace("</trLine>", CURRENCY.format(foreign), 1)
    else:
        written = f"</Amount><CurrencyCode>USD</CurrencyCode><CurrencyAmount>{foreign}</CurrencyAmount>"
        text = text.replace("</Amount>", written, 1)
    ledger, report = checked(text)
    line = next(ledger.entries()).lines[0]
    assert line.foreign is not None
    assert (line.amount, line.foreign.amount) == tuple(map(Decimal, expected))
    names = {"negative": RepairCode.NEGATIVE_AMOUNT, "sign": RepairCode.LINE_SIGN}
    assert repairs(report) == {names.get(name, name): count for name, count in repaired.items()}


def vat_of(text: str) -> tuple[Decimal, Decimal | None]:
    """The amount and the VAT of the first line."""
    line = next(checked(text)[0].entries()).lines[0]
    return line.amount, line.vat[0].amount


@pytest.mark.parametrize(
    ("amount", "side", "vat", "expected"),
    [
        ("100.00", "C", "21.00", ("-100.00", "-21.00")),
        ("100.00", "D", "21.00", ("100.00", "21.00")),
        ("-100.00", "C", "-21.00", ("100.00", "21.00")),
        ("-100.00", "C", "21.00", ("100.00", "21.00")),
        ("-100.00", "D", "-21.00", ("-100.00", "-21.00")),
        ("100.00", "D", "-21.00", ("100.00", "21.00")),
    ],
)
def test_vat_has_the_sign_of_its_line_in_every_format(
    amount: str, side: str, vat: str, expected: tuple[str, str]
) -> None:
    lines = (("8000", amount, side), ("1000", amount, "D" if side == "C" else "C"))
    xaf_side = "<vat><vatID>1</vatID><vatAmnt>{}</vatAmnt>{}</vat></trLine>"
    element = "<TaxInformation><TaxCode>3</TaxCode><{0}><Amount>{1}</Amount></{0}></TaxInformation></Line>"
    named = "CreditTaxAmount" if side == "C" else "DebitTaxAmount"
    texts = {
        "XAF": xaf(lines).replace(
            "</trLine>", xaf_side.format(vat, f"<vatAmntTp>{side.lower()}</vatAmntTp>"), 1
        ),
        "XAF without a side": xaf(lines).replace("</trLine>", xaf_side.format(vat, ""), 1),
        "SAF-T 1.10": saft(lines).replace("</Line>", element.format("TaxAmount", vat), 1),
        "SAF-T 1.30": saft(lines).replace("</Line>", element.format(named, vat), 1),
    }
    signed = tuple(map(Decimal, expected))
    assert {name: vat_of(text) for name, text in texts.items()} == dict.fromkeys(texts, signed)


def test_vat_that_is_on_the_other_side_of_its_line_stays_there() -> None:
    """Reverse charge: a cost on the debit side, and VAT that is owed."""
    vat = "<vat><vatID>1</vatID><vatAmnt>21</vatAmnt><vatAmntTp>C</vatAmntTp></vat></trLine>"
    assert vat_of(xaf(BALANCED).replace("</trLine>", vat, 1)) == (Decimal("12.50"), Decimal(-21))


def test_totals_that_do_not_agree_are_reported() -> None:
    totals = "<linesCount>3</linesCount><totalDebit>12.50</totalDebit><totalCredit>99.00</totalCredit>"
    _ledger, report = checked(xaf(BALANCED, totals=totals))
    assert [total.name for total in report.control_totals if not total.agrees] == ["lines", "total credit"]
    assert not report.is_balanced


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (("1000", "12,3,4", "D"), "“12,3,4” is not an amount"),
        (("1000", "", "D"), "the amount is empty"),
        (("1000", "1,234", "D"), "“1,234” can be read as thousands and as decimals"),
        (("", "5", "D"), "it has no account (accID)"),
        (("1000", "5", "X"), "“X” is neither D nor C (amntTp)"),
        (("1000", "NaN", "D"), "“NaN” is not an amount"),
    ],
)
def test_a_line_that_cannot_be_read_is_reported_with_its_line(
    line: tuple[str, str, str], reason: str
) -> None:
    text = xaf((*BALANCED, line))
    _ledger, report = checked(text)
    at = text.count("\n", 0, text.rindex("<trLine>")) + 1
    (reported,) = [one for one in report.findings if one.code is FindingCode.LINE_UNREADABLE]
    assert (report.counts["Line"], report.lines_unreadable, report.is_complete) == (2, 1, False)
    assert reported.sentence == f"Line {at}: line 3 of an entry is not in the books: {reason}."
    assert str(reported.location) == f"line {at} (trLine)"


SIE_4 = """#FLAGGA 0
#SIETYP 4
#FNAMN Prov
#RAR 0 20250101 20251231
#VER A 1 20250115
{
#TRANS 1000 {} 12.50
#TRANS 8000 {} -12.50
}
"""
WITH_A_BAD_LINE: Lines = (*BALANCED, ("1000", "x", "D"))


@pytest.mark.parametrize(
    "text",
    [
        xaf(WITH_A_BAD_LINE),
        saft(WITH_A_BAD_LINE),
        sie5(WITH_A_BAD_LINE),
        SIE_4.replace("}\n", "#TRANS 1000 {} x\n}\n"),
        SIE_4.replace("}\n", f"#TRANS 1000 {{}} 5 {'x' * 100_000}\n}}\n"),
        SIE_4.replace("}\n", '#TRANS 1000 {} x 20250115 "a\nb"\n}\n'),
    ],
)
def test_a_pass_over_entries_alone_leaves_what_it_could_not_read(text: str) -> None:
    ledger = open_ledger(text.encode())
    assert ledger.findings == []
    (entry,) = ledger.entries()
    assert (len(entry.lines), ledger.finding_counts[FindingCode.LINE_UNREADABLE]) == (2, 1)
    (lost,) = [one for one in ledger.findings if one.code is FindingCode.LINE_UNREADABLE]
    assert lost.location.line > 1
    list(ledger.accounts())
    assert FindingCode.ENTRY_UNBALANCED not in ledger.finding_counts
    assert ledger.check().is_complete is False


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (xaf(BALANCED).replace("<periodNumber>1<", "<periodNumber>13<"), "13"),
        (saft(BALANCED).replace("<Period>1<", "<Period>01<"), "01"),
        (sie5(BALANCED), ""),
        (SIE_4.replace("20250101", "20241101").replace("20251231", "20251031"), ""),
    ],
)
def test_an_entry_has_the_period_of_its_file_and_the_month_of_its_date(text: str, number: str) -> None:
    (entry,) = open_ledger(text.encode()).entries()
    assert (entry.period_number, entry.calendar_month) == (number, "2025-01")


@pytest.mark.parametrize("write", [xaf, saft, sie5])
def test_a_date_outside_of_the_years_is_reported_in_every_format(write: type) -> None:
    ledger = open_ledger(write(BALANCED).replace("2025-01-15", "2027-01-15").encode())
    (entry,) = ledger.entries()
    assert (entry.calendar_month, ledger.finding_counts[FindingCode.DATE_OUTSIDE_YEAR]) == ("2027-01", 1)


STRAY_XAF = "<trLine><nr>9</nr><accID>1000</accID><amnt>1</amnt><amntTp>D</amntTp></trLine>"
STRAY_SAFT = (
    "<Line><RecordID>9</RecordID><AccountID>1000</AccountID>"
    "<DebitAmount><Amount>1</Amount></DebitAmount></Line>"
)


@pytest.mark.parametrize(
    ("text", "line", "after"),
    [
        (xaf(BALANCED, BALANCED), STRAY_XAF, "</transaction>"),
        (saft(BALANCED, BALANCED), STRAY_SAFT, "</Transaction>"),
        (sie5(BALANCED, BALANCED), '<LedgerEntry accountId="1000" amount="1"/>', "</JournalEntry>"),
    ],
)
def test_a_line_outside_of_entries_joins_none_and_is_reported(text: str, line: str, after: str) -> None:
    ledger, report = checked(text.replace(after, after + line, 1))
    assert [len(entry.lines) for entry in ledger.entries()] == [2, 2]
    (reported,) = [one for one in report.findings if one.code is FindingCode.LINE_UNREADABLE]
    assert reported.sentence.endswith("is not in the books: it stands in no entry.")


@pytest.mark.parametrize("amount", ["12<!-- x -->.50", "<![CDATA[12.50]]>", "12<?x y?>.50", " 12.50\n"])
def test_an_amount_is_whole_whatever_stands_in_it(amount: str) -> None:
    _ledger, report = checked(xaf((("1000", amount, "D"), ("8000", "12.50", "C"))))
    assert (report.debit, report.is_balanced) == (Decimal("12.50"), True)


def test_source_documents_are_not_read_and_that_is_said() -> None:
    text = saft(BALANCED).replace("</AuditFile>", "<SourceDocuments><x/></SourceDocuments></AuditFile>")
    _ledger, report = checked(text)
    assert report.finding_counts[FindingCode.NOT_READ] == 1


def test_amounts_as_spreadsheets_write_them_are_read_and_reported() -> None:
    lines = (("1000", "1.234,50", "D"), ("8000", "1234,50", "C"))
    _ledger, report = checked(xaf(lines))
    assert (report.debit, report.is_balanced) == (Decimal("1234.50"), True)
    assert repairs(report) == {RepairCode.AMOUNT_NOTATION: 2}


def test_entries_that_share_a_number_keep_keys_of_their_own() -> None:
    ledger, report = checked(xaf(BALANCED, BALANCED, BALANCED, number="7"))
    assert [entry.key for entry in ledger.entries()] == ["M/7", "M/7-2", "M/7-3"]
    assert repairs(report) == {RepairCode.NUMBER_REPEATED: 2}


def test_blanks_around_codes_do_not_make_another_account() -> None:
    _ledger, report = checked(xaf((("1000 ", "5", "D"), ("8000", "5", "C"))))
    assert ("2025", "1000") in report.closing
    assert repairs(report) == {RepairCode.CODE_BLANKS: 1}
    assert FindingCode.ACCOUNT_UNDECLARED not in report.finding_counts


def test_an_account_that_is_not_declared_follows_as_a_record() -> None:
    ledger = open_ledger(xaf((("1000", "5", "D"), ("9999", "5", "C"))).encode())
    codes = [record.code for record in ledger.records() if type(record).__name__ == "Account"]
    assert codes == ["1000", "8000", "9999"]
    assert ledger.report is not None
    assert ledger.report.finding_counts[FindingCode.ACCOUNT_UNDECLARED] == 1


def test_the_balances_that_open_an_auditfile_are_added_by_account() -> None:
    rows = "".join(
        f"<obLine><nr>{number}</nr><accID>{account}</accID><amnt>{amount}</amnt><amntTp>{side}</amntTp></obLine>"
        for number, (account, amount, side) in enumerate(
            [("1000", "70", "D"), ("1000", "30", "D"), ("8000", "100", "C")]
        )
    )
    _ledger, report = checked(xaf(BALANCED, opening=f"<openingBalance>{rows}</openingBalance>"))
    assert report.closing == {("2025", "1000"): Decimal("112.50"), ("2025", "8000"): Decimal("-112.50")}
    assert FindingCode.OPENING_BALANCE_MISSING not in report.finding_counts


@pytest.mark.parametrize(
    ("accounts", "version", "code"),
    [
        (
            "<Account><AccountID>1000</AccountID><StandardAccountID>10</StandardAccountID>{}</Account>",
            "1.10",
            "10",
        ),
        (
            (
                "<Account><AccountID>1000</AccountID><GroupingCategory>RF-1167</GroupingCategory>"
                "<GroupingCode>1080</GroupingCode>{}</Account>"
            ),
            "1.30",
            "1080",
        ),
    ],
)
def test_the_two_versions_of_saf_t_give_the_same_records(accounts: str, version: str, code: str) -> None:
    balances = "<OpeningDebitBalance>10</OpeningDebitBalance><ClosingDebitBalance>22.50</ClosingDebitBalance>"
    ledger, report = checked(saft(BALANCED, accounts=accounts.format(balances)))
    assert (ledger.detection.format, ledger.header.version) == (Format.SAFT, version)
    assert ledger.header.company.registration_number == "923609016"
    assert [(one.code, one.standard_code) for one in ledger.accounts()] == [("1000", code)]
    assert [(one.kind, one.amount) for one in ledger.balances()] == [
        (BalanceKind.OPENING, Decimal(10)),
        (BalanceKind.CLOSING, Decimal("22.50")),
    ]
    assert (report.is_balanced, report.closing[("2025", "1000")]) == (True, Decimal("22.50"))


SELECTION = re.compile("<SelectionCriteria>.*?</SelectionCriteria>")
OPENED = (
    "<Account><AccountID>1000</AccountID><OpeningDebitBalance>10</OpeningDebitBalance>"
    "<ClosingDebitBalance>{}</ClosingDebitBalance></Account>"
)


@pytest.mark.parametrize(
    ("selection", "year", "repaired"),
    [
        ("<SelectionStartDate>2025-01-01</SelectionStartDate>{}", "2025", False),
        ("<PeriodStartYear>2025</PeriodStartYear><PeriodEndYear>2025</PeriodEndYear>", "2025", False),
        ("<SelectionStartDate>2024-07-01</SelectionStartDate>", "2024/2025", True),
        ("", "2025", True),
    ],
)
@pytest.mark.parametrize(("closing", "is_balanced"), [("22.50", True), ("22.49", False)])
def test_closing_balances_are_checked_whatever_saft_says_of_its_year(
    selection: str, year: str, repaired: bool, closing: str, is_balanced: bool
) -> None:
    criteria = selection.format("<SelectionEndDate>2025-12-31</SelectionEndDate>")
    written = f"<SelectionCriteria>{criteria}</SelectionCriteria>" if criteria else ""
    text = SELECTION.sub(written, saft(BALANCED, accounts=OPENED.format(closing)))
    ledger, report = checked(text)
    assert report.closing[(year, "1000")] == Decimal("22.50")
    assert report.is_balanced is is_balanced
    assert (RepairCode.YEAR_COMPLETED in repairs(report)) is repaired
    assert {entry.fiscal_year for entry in ledger.entries()} == {year}


def test_the_dates_of_a_header_are_those_of_its_balances() -> None:
    header = "<StartDate>2025-01-01</StartDate><EndDate>2025-06-30</EndDate>"
    ledger, report = checked(
        SELECTION.sub("", saft(BALANCED, accounts=OPENED.format("22.50"), header=header))
    )
    assert ledger.header.year is not None
    assert str(ledger.header.year.ends_on) == "2025-06-30"
    assert report.is_balanced
    assert RepairCode.YEAR_COMPLETED not in repairs(report)


@pytest.mark.parametrize(
    ("period", "year", "first", "last"),
    [
        ("1", "2025", "2025-01-01", "2025-12-31"),
        ("7", "2024", "2024-07-01", "2025-06-30"),
        ("13", "2025", "2025-01-01", "2025-12-31"),
    ],
)
def test_entries_show_the_year_by_their_date_and_period(
    period: str, year: str, first: str, last: str
) -> None:
    text = SELECTION.sub("", saft(BALANCED, BALANCED, BALANCED))
    text = text.replace(
        "<Period>1</Period><PeriodYear>2025<", f"<Period>{period}</Period><PeriodYear>{year}<"
    )
    text = text.replace("<TransactionDate>2025-01-15", "<TransactionDate>2052-01-15", 1)
    ledger, report = checked(text)
    assert ledger.header.year is not None
    assert (str(ledger.header.year.starts_on), str(ledger.header.year.ends_on)) == (first, last)
    assert report.finding_counts[FindingCode.DATE_OUTSIDE_YEAR] == 1


def test_balances_of_no_year_are_refused() -> None:
    text = SELECTION.sub("", saft(accounts=OPENED.format("10")))
    with pytest.raises(LedgerFileRefused, match="does not say which year it is of") as refused:
        open_ledger(text.encode(), "file.xml")
    assert refused.value.code is RefusalCode.NO_YEAR
    accounts_alone = SELECTION.sub("", saft())
    assert len(list(open_ledger(accounts_alone.encode(), "file.xml").accounts())) == 2


def test_struck_lines_of_sie_5_are_not_in_the_books() -> None:
    struck = '<LedgerEntry accountId="1000" amount="7"><Overstrike date="2025-01-16" by="x"/></LedgerEntry>'
    text = sie5(BALANCED).replace("</JournalEntry>", f"{struck}</JournalEntry>")
    ledger, report = checked(text)
    assert (report.counts["Line"], report.is_balanced) == (2, True)
    assert report.finding_counts[FindingCode.STRUCK_LINES] == 1
    assert ledger.header.company.registration_number == "556036-0793"


codes = st.sampled_from(["1000", "8000", "9999", "", " 1000 "])
amount_texts = st.one_of(
    st.decimals(min_value=-(10**9), max_value=10**9, places=2).map(str),
    st.sampled_from(["", "x", "1,5", "1.234,50", "1,234", "NaN", "1e3", "--5", "1 000.00", "٥"]),
)
made_up = st.lists(
    st.lists(st.tuples(codes, amount_texts.map(escape), st.sampled_from(["D", "C", "d", "X"])), max_size=5),
    max_size=5,
)


@pytest.mark.parametrize("write", [xaf, saft, sie5])
@given(entries=made_up)
def test_every_line_is_kept_or_reported(write: type, entries: list[Lines]) -> None:
    text = write(*entries)
    ledger, report = checked(text)
    kept = sum(len(entry.lines) for entry in ledger.entries())
    assert report.counts.get("Line", 0) == kept
    assert kept + report.lines_unreadable == sum(len(lines) for lines in entries)
    assert report.counts.get("Entry", 0) == len(entries)


@given(
    content=st.binary(max_size=300), start=st.sampled_from(["", "<auditfile>", "<?xml version='1.0'?><Sie>"])
)
def test_no_bytes_stop_the_reader(content: bytes, start: str) -> None:
    with suppress(LedgerFileRefused):
        open_ledger(start.encode() + content).check()


@given(cut=st.integers(min_value=1, max_value=len(xaf(BALANCED)) - 12))
def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(cut: int) -> None:
    with pytest.raises(LedgerFileRefused):
        open_ledger(xaf(BALANCED)[:cut].encode()).check()


@pytest.mark.parametrize(
    ("content", "code", "reason"),
    [
        ("", RefusalCode.EMPTY, "is empty"),
        ("EXTF;700;21;", RefusalCode.NOT_A_LEDGER_FILE, "is a DATEV file, which is not read"),
        ("JournalCode\tJournalLib", RefusalCode.NOT_A_LEDGER_FILE, "is a French FEC, which is not read"),
        ("<html><body/></html>", RefusalCode.NOT_A_LEDGER_FILE, "is no ledger file: it is a web page"),
        (
            f'<AuditFile xmlns="{SAFT_SPACE.replace(":NO", ":DK")}"><Header/></AuditFile>',
            RefusalCode.VERSION_UNSUPPORTED,
            "is SAF-T of Denmark: Norway's is read",
        ),
        (
            f'<auditfile xmlns="{XAF_SPACE.replace("3.2", "3.1")}"><header/></auditfile>',
            RefusalCode.VERSION_UNSUPPORTED,
            "is an older Auditfile (XAF/3.1): 3.2, 3.2.1 and 4.0 are read",
        ),
        (
            xaf(BALANCED).replace("2025-12-31", "2024-12-31"),
            RefusalCode.YEAR_INVALID,
            "cannot be read: the year ends before it begins (2025-01-01 to 2024-12-31)",
        ),
    ],
)
def test_what_is_not_read_is_refused_by_name(content: str, code: RefusalCode, reason: str) -> None:
    with pytest.raises(LedgerFileRefused) as refused:
        open_ledger(content.encode(), "file.xml")
    assert (refused.value.code, str(refused.value)) == (code, f"file.xml {reason}.")


def test_detection_reads_no_records() -> None:
    assert detect(xaf(BALANCED).encode()).version == "3.2"
