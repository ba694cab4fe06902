"""Ledger files as accounting programs write them: SIE, XML Auditfile Financieel (XAF) and SAF-T Financial.

with ledger_formats.open_ledger("2025.xaf") as ledger:
    print(ledger.header.company.name)
    for entry in ledger.entries():
        print(entry.booked_on, entry.text, entry.balance)
    print(ledger.check().is_balanced)
"""

from ledger_formats.archives import Member, open_all, open_only
from ledger_formats.checks import ControlTotal, Report
from ledger_formats.detection import Detection, detect
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import Finding, FindingCode, Location, Repair, RepairCode, Severity
from ledger_formats.joined import join_parts
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.limits import Limits
from ledger_formats.opening import open_ledger
from ledger_formats.records import (
    Account,
    AccountKind,
    Balance,
    BalanceKind,
    Company,
    Dimension,
    DimensionValue,
    Entry,
    FiscalYear,
    ForeignAmount,
    Format,
    Header,
    Journal,
    Line,
    LineVat,
    Party,
    PartyKind,
    Period,
    Record,
    VatCode,
)

__all__ = [
    "Account",
    "AccountKind",
    "Balance",
    "BalanceKind",
    "Company",
    "ControlTotal",
    "Detection",
    "Dimension",
    "DimensionValue",
    "Entry",
    "Finding",
    "FindingCode",
    "FiscalYear",
    "ForeignAmount",
    "Format",
    "Header",
    "Journal",
    "LedgerFile",
    "LedgerFileRefused",
    "Limits",
    "Line",
    "LineVat",
    "Location",
    "Member",
    "Party",
    "PartyKind",
    "Period",
    "Record",
    "RefusalCode",
    "Repair",
    "RepairCode",
    "Report",
    "Severity",
    "VatCode",
    "detect",
    "join_parts",
    "open_all",
    "open_ledger",
    "open_only",
]
