"""Files of real programs: each is read exactly, or refused with its reason. What is right was counted from
their text, by other means than the readers'.
"""

import re
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ledger_formats import (
    AccountKind,
    BalanceKind,
    Entry,
    FindingCode,
    Format,
    LedgerFileRefused,
    RefusalCode,
    RepairCode,
    detect,
    open_ledger,
)

XAF = "ledger-files/xaf"


def counts(ledger_counts: dict[str, int]) -> tuple[int, ...]:
    names = ("Account", "Party", "VatCode", "Journal", "Entry", "Line", "Balance")
    return tuple(ledger_counts.get(name, 0) for name in names)


@pytest.mark.parametrize(
    ("name", "version", "company", "records", "debit"),
    [
        (
            "ExactOnline_V32_2016.xml",
            "3.2",
            "Toro Rosso BV",
            (97, 29, 14, 8, 57, 167, 0),
            "999954.06",
        ),
        (
            "Multivers_V32_2017.xml",
            "3.2",
            "Demonstratiebedrijf Homegarden",
            (165, 31, 3, 11, 69, 371, 22),
            "135836.32",
        ),
        ("XAF_4_0_Test_100425.xaf", "4.0", "Company", (2, 1, 2, 1, 1, 2, 4), "11111.11"),
    ],
)
def test_an_auditfile_is_read_whole_and_balances(
    shared_reference: Path, name: str, version: str, company: str, records: tuple[int, ...], debit: str
) -> None:
    with open_ledger(shared_reference / XAF / name) as ledger:
        report = ledger.check()
    assert (ledger.detection.format, ledger.header.version) == (Format.XAF, version)
    assert ledger.header.company.name == company
    assert counts(report.counts) == records
    assert (report.debit, report.credit) == (Decimal(debit), Decimal(debit))
    assert (report.is_balanced, report.is_complete, report.lines_unreadable) == (True, True, 0)
    assert [total.agrees for total in report.control_totals] == [True, True, True]


def test_windows_1252_that_says_utf_8_is_read_and_reported(shared_reference: Path) -> None:
    path = shared_reference / XAF / "Multivers_V32_2017.xml"
    with pytest.raises(UnicodeDecodeError):
        path.read_bytes().decode("utf-8")
    with open_ledger(path) as ledger:
        report = ledger.check()
        names = [account.name for account in ledger.accounts()]
    assert (ledger.detection.encoding, ledger.detection.stated_encoding) == ("cp1252", "UTF-8")
    repairs = [(repair.code, repair.count) for repair in report.repairs]
    assert repairs == [(RepairCode.ENCODING, 1), (RepairCode.LINE_SIGN, 3)]
    text = path.read_bytes().decode("cp1252")
    assert names == re.findall(r"<accDesc>(.*?)</accDesc>", text)


@pytest.mark.parametrize(
    ("path", "count", "vat"),
    [
        (f"{XAF}/ExactOnline_V32_2016.xml", 41, "-4119.58"),
        (f"{XAF}/Multivers_V32_2017.xml", 68, "-3901.04"),
        ("ledger-files/saft-no/example_888888888_20180228235959.xml", 34, "-487012.75"),
    ],
)
def test_vat_has_the_sign_of_its_line_in_every_sample(
    shared_reference: Path, path: str, count: int, vat: str
) -> None:
    """Multivers turned three lines of discounts to debit and left the minus sign of their VAT, 36.27."""
    with open_ledger(shared_reference / path) as ledger:
        amounts = [
            (line.amount, vat.amount)
            for entry in ledger.entries()
            for line in entry.lines
            for vat in line.vat
            if vat.amount
        ]
    assert len(amounts) == count
    assert all(line_amount * vat_amount > 0 for line_amount, vat_amount in amounts)
    assert sum(vat_amount for _line, vat_amount in amounts) == Decimal(vat)


def test_the_vat_of_a_sale_is_what_its_entry_books_as_vat(shared_reference: Path) -> None:
    """Also with the discounts of which Multivers writes the minus sign twice."""
    with open_ledger(shared_reference / XAF / "Multivers_V32_2017.xml") as ledger:
        (entry,) = (entry for entry in ledger.entries() if entry.key == "V/1-15")
    booked = sum(line.amount for line in entry.lines if line.account == "1770")
    assert sum(vat.amount or 0 for line in entry.lines for vat in line.vat) == booked == Decimal("-336.97")


def test_the_norwegian_example_is_checked_without_its_selection(shared_reference: Path) -> None:
    path = shared_reference / "ledger-files/saft-no/example_888888888_20180228235959.xml"
    text = path.read_text(encoding="utf-8-sig")
    without = re.sub(r"<n1:SelectionCriteria>.*?</n1:SelectionCriteria>", "", text, flags=re.DOTALL)
    report = open_ledger(without.encode(), "example.xml").check()
    assert report.finding_counts == open_ledger(path).check().finding_counts
    assert report.finding_counts[FindingCode.CLOSING_BALANCE_DIFFERS] == 3
    assert [repair.code for repair in report.repairs] == [RepairCode.YEAR_COMPLETED]


def test_each_line_of_an_auditfile_is_the_line_of_its_text(shared_reference: Path) -> None:
    path = shared_reference / XAF / "ExactOnline_V32_2016.xml"
    lines = [
        (line.number, line.account, line.amount, line.text, line.party)
        for entry in open_ledger(path).entries()
        for line in entry.lines
    ]
    text = path.read_text(encoding="utf-8-sig")
    written = []
    for block in re.findall(r"<trLine>(.*?)</trLine>", text, re.DOTALL):
        fields = dict(re.findall(r"<(\w+)>([^<]*)</\1>", block.partition("<vat>")[0]))
        amount = Decimal(fields["amnt"]) * (1 if fields["amntTp"] == "D" else -1)
        description = fields.get("desc", "").replace("&amp;", "&").strip()
        written.append((fields["nr"], fields["accID"], amount, description, fields.get("custSupID", "")))
    assert lines == written


def test_the_official_3_2_file_does_not_balance_and_says_where(shared_reference: Path) -> None:
    with open_ledger(shared_reference / XAF / "XmlAuditfileFinancieel3.2_test.xml") as ledger:
        report = ledger.check()
    assert counts(report.counts) == (1, 1, 1, 1, 1, 1, 1)
    assert not report.is_balanced
    (unbalanced,) = [one for one in report.findings if one.code is FindingCode.ENTRY_UNBALANCED]
    assert str(unbalanced.location) == "line 209"
    assert unbalanced.sentence == (
        "Entry String/String does not balance: its debits exceed its credits by -3.14."
    )
    differing = [total.name for total in report.control_totals if not total.agrees]
    assert differing == ["total debit"]


def test_a_vat_code_that_the_4_0_file_does_not_declare_is_reported(shared_reference: Path) -> None:
    report = open_ledger(shared_reference / XAF / "XAF_4_0_Test_100425.xaf").check()
    assert [(one.code, one.sentence) for one in report.findings] == [
        (FindingCode.VAT_CODE_UNDECLARED, "VAT code VatID is used, and the file does not declare it.")
    ]


def test_an_auditfiles_accounts_have_the_side_that_rgs_gives_them(shared_reference: Path) -> None:
    with open_ledger(shared_reference / XAF / "Multivers_V32_2017.xml") as ledger:
        kinds = {account.code: (account.kind, account.standard_code) for account in ledger.accounts()}
        opening = sum(balance.amount for balance in ledger.balances(BalanceKind.OPENING))
    assert kinds["0020"] == (AccountKind.ASSET, "BMvaBegVvp")
    assert opening == 0


def test_the_norwegian_example_is_read_whole_and_its_own_differences_are_reported(
    shared_reference: Path,
) -> None:
    path = shared_reference / "ledger-files/saft-no/example_888888888_20180228235959.xml"
    with open_ledger(path) as ledger:
        report = ledger.check()
        entries = list(ledger.entries())
    assert (ledger.header.version, ledger.header.company.registration_number) == ("1.10", "888888888")
    assert counts(report.counts) == (22, 12, 9, 1, 53, 170, 68)
    assert [(total.name, total.agrees) for total in report.control_totals] == [
        ("entries", True),
        ("total debit", True),
        ("total credit", True),
    ]
    assert (report.is_complete, report.debit) == (True, Decimal("9487049.35"))
    assert sum(len(line.dimensions) for entry in entries for line in entry.lines) == 84
    assert sum(len(line.vat) for entry in entries for line in entry.lines) == 34
    reported = [one for one in report.findings if one.code is FindingCode.CLOSING_BALANCE_DIFFERS]
    assert {one.sentence.split()[1] for one in reported} == set(differing_accounts(path))


def differing_accounts(path: Path) -> list[str]:
    """Accounts of a SAF-T file whose opening balance and lines do not make their closing balance."""
    root = ElementTree.parse(path).getroot()
    space = {"n": "urn:StandardAuditFile-Taxation-Financial:NO"}
    moved: dict[str, Decimal] = {}
    for line in root.iterfind(".//n:Line", space):
        for name, sign in (("DebitAmount", 1), ("CreditAmount", -1)):
            amount = line.findtext(f"n:{name}/n:Amount", "0", space)
            account = line.findtext("n:AccountID", "", space)
            moved[account] = moved.get(account, Decimal(0)) + Decimal(amount) * sign
    differing = []
    for account in root.iterfind(".//n:Account", space):
        sides = {
            name: Decimal(account.findtext(f"n:{name}", "0", space))
            for name in (
                "OpeningDebitBalance",
                "OpeningCreditBalance",
                "ClosingDebitBalance",
                "ClosingCreditBalance",
            )
        }
        opening = sides["OpeningDebitBalance"] - sides["OpeningCreditBalance"]
        closing = sides["ClosingDebitBalance"] - sides["ClosingCreditBalance"]
        code = account.findtext("n:AccountID", "", space)
        if opening + moved.get(code, Decimal(0)) != closing:
            differing.append(code)
    return differing


def test_sie_5_of_edison_is_read_without_its_struck_lines(shared_reference: Path) -> None:
    with open_ledger(shared_reference / "ledger-files/sie/sie5-Sample.sie") as ledger:
        report = ledger.check()
        balances = list(ledger.balances())
    assert [(year.name, year.is_own) for year in ledger.header.years] == [("2013", False), ("2014", True)]
    assert (report.counts["Account"], report.counts["Entry"], report.counts["Line"]) == (316, 91, 353 - 10)
    kinds = [balance.kind for balance in balances]
    assert (kinds.count(BalanceKind.OPENING), kinds.count(BalanceKind.CLOSING)) == (24, 122)
    assert (report.is_balanced, report.is_complete) == (True, True)
    assert [one.sentence for one in report.findings] == [
        "10 lines are struck out; they are not in the books."
    ]


@pytest.mark.parametrize(
    ("name", "accounts", "lines"),
    [
        ("sie5-SampleEntry.sie", 2, 0),
        ("sie5-SampleEntry2.sie", 4, 2),
        ("sie5-SampleEntryExtension.sie", 2, 2),
    ],
)
def test_sie_5_entries_to_import_are_read(
    shared_reference: Path, name: str, accounts: int, lines: int
) -> None:
    report = open_ledger(shared_reference / "ledger-files/sie" / name).check()
    assert (report.counts["Account"], report.counts.get("Line", 0)) == (accounts, lines)
    assert (report.is_balanced, report.is_complete) == (True, True)


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        (
            "ledger-files/saft-no/v2.0-workshop_generated_auditfile.xml",
            RefusalCode.VERSION_UNSUPPORTED,
            "is a draft of SAF-T 2.0, planned for 2027: 1.10 and 1.30 are read.",
        ),
        ("sie/not-a-sie-file.se", RefusalCode.NOT_A_LEDGER_FILE, "is no ledger file: it is a web page."),
        (
            "ledger-files/xaf/XmlAuditfileFinancieel4.0.xsd",
            RefusalCode.NOT_A_LEDGER_FILE,
            "is no ledger file: it is XML that begins with <schema>.",
        ),
        (
            "cases/sie/year-backwards.se",
            RefusalCode.YEAR_INVALID,
            "cannot be read: the year ends before it begins (#RAR 0 20251231 20250101).",
        ),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(
    shared_reference: Path, path: str, code: RefusalCode, reason: str
) -> None:
    file = shared_reference / path
    with pytest.raises(LedgerFileRefused) as refused:
        open_ledger(file)
    assert (refused.value.code, str(refused.value)) == (code, f"{file.name} {reason}")


@pytest.mark.parametrize(
    ("name", "company", "entries", "lines", "unbalanced"),
    [
        ("avendo.se", "Övningsbolaget AB (Ekonomi 60)", 163, 671, 0),
        ("avendo-one-voucher-unbalanced.se", "Övningsbolaget AB (Ekonomi 60)", 163, 671, 1),
        ("avendo-small.se", "Övningsbolaget AB", 20, 76, 0),
        ("bl-administration.se", "SEEE Speak Easy Executive English AB", 84, 405, 0),
        ("fortnox.si", "Testföretaget AB", 165, 869, 0),
        ("mamut-enterprise.se", "Mamut_SIE", 168, 458, 0),
        ("visma-administration-200.si", "Övningsbolaget AB", 47, 128, 0),
        ("visma-administration-2000.se", "\ufffdvningsbolaget AB", 295, 1330, 0),
        ("visma-eekonomi.se", "Övningsbolaget AB", 3, 12, 0),
    ],
)
def test_a_sie_file_is_read_whole(
    shared_reference: Path, name: str, company: str, entries: int, lines: int, unbalanced: int
) -> None:
    path = shared_reference / "sie" / name
    with open_ledger(path) as ledger:
        report = ledger.check()
    assert (ledger.detection.format, ledger.header.kind) == (Format.SIE, "4")
    assert ledger.header.company.name == company
    assert (report.counts["Entry"], report.counts["Line"]) == (entries, lines)
    assert lines == len(re.findall(rb"^\s*#TRANS\b", path.read_bytes(), re.MULTILINE))
    assert report.finding_counts.get(FindingCode.ENTRY_UNBALANCED, 0) == unbalanced
    assert (report.is_complete, report.lines_unreadable) == (True, 0)


def test_lost_letters_are_reported(shared_reference: Path) -> None:
    report = open_ledger(shared_reference / "sie" / "visma-administration-2000.se").check()
    assert report.finding_counts[FindingCode.TEXT_MISREAD] == 1


def test_detection_needs_no_name(shared_reference: Path) -> None:
    for path in ("ledger-files/xaf/ExactOnline_V32_2016.xml", "sie/fortnox.si"):
        raw = (shared_reference / path).read_bytes()
        assert detect(raw).format is (Format.SIE if path.startswith("sie") else Format.XAF)
        keys = [entry.key for entry in open_ledger(raw, "download").records() if isinstance(entry, Entry)]
        assert len(keys) == len(set(keys))
