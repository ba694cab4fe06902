"""SIE 5, which is XML: `Sie` with balances and entries, `SieEntry` for import.

Schema: https://www.sie.se/sie5. Its signature is not checked. Lines with `Overstrike` are struck out.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from ledger_formats.checks import Tally
from ledger_formats.findings import FindingCode
from ledger_formats.limits import Limits
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
    Party,
    PartyKind,
    Record,
)
from ledger_formats.values import Unreadable
from ledger_formats.xml.entries import EntryReader
from ledger_formats.xml.ledger import FilePass, RecordReader, XmlLedger, line_of, optional_day
from ledger_formats.xml.parsing import LOCAL, Element, child, children, iterate
from ledger_formats.years import fiscal_year

BODY = ("Accounts", "Dimensions", "Journal", "Customers", "Suppliers", "CustomerInvoices", "SupplierInvoices")
KINDS = {
    "asset": AccountKind.ASSET,
    "liability": AccountKind.LIABILITY,
    "equity": AccountKind.EQUITY,
    "income": AccountKind.INCOME,
    "cost": AccountKind.EXPENSE,
}
BALANCES = {"OpeningBalance": BalanceKind.OPENING, "ClosingBalance": BalanceKind.CLOSING}


class Sie5Ledger(XmlLedger):
    RECORD_NAMES = (
        "Account",
        "Dimension",
        "Customer",
        "Supplier",
        "CustomerInvoice",
        "SupplierInvoice",
        "FixedAsset",
        "GeneralObject",
        "LedgerEntry",
        "JournalEntry",
        "Journal",
        "EmbeddedFile",
        "Signature",
    )
    PART_NAMES = frozenset({"LedgerEntry"})

    def _read_header(self) -> None:
        info: Element = None
        for event, name, element in iterate(
            self.source, self.detection, self.limits, ("FileInfo", *BODY), ("start", "end")
        ):
            if name in BODY:
                break
            if event == "end":
                info = element
                break
        company, product = _attributes(info, "Company"), _attributes(info, "SoftwareProduct")
        self.header = Header(
            format=Format.SIE5,
            version=self.detection.version,
            company=Company(
                name=company.get("name", ""),
                registration_number=company.get("organizationId", ""),
                software_id=company.get("clientId", ""),
                country="SE",
            ),
            years=tuple(self._years(info)),
            currency=_attributes(info, "AccountingCurrency").get("currency", "SEK"),
            software=product.get("name", ""),
            software_version=product.get("version", ""),
            written_on=optional_day(_attributes(info, "FileCreation").get("time", "")),
        )

    def _years(self, info: Element | None) -> Iterator[FiscalYear]:
        """Yield the fiscal years. Raises `LedgerFileRefused` for one that cannot be."""
        years = child(info, "FiscalYears") if info is not None else None
        elements = list(children(years, "FiscalYear")) if years is not None else []
        has_primary = any(element.get("primary") == "true" for element in elements)
        for number, element in enumerate(elements, 1):
            starts_on, ends_on = _first_day(element.get("start", "")), _last_day(element.get("end", ""))
            if starts_on is None or ends_on is None:
                continue
            is_own = element.get("primary") == "true" if has_primary else number == len(elements)
            yield fiscal_year(self.name, starts_on, ends_on, is_own=is_own)

    def _reader(self, tally: Tally, kinds: frozenset[type]) -> RecordReader:
        return _Sie5Reader(FilePass(tally, kinds), self.limits, self.header.years)


def _attributes(info: Element | None, name: str) -> dict[str, str]:
    element = child(info, name) if info is not None else None
    return {} if element is None else {key: str(text).strip() for key, text in element.attrib.items()}


def _first_day(month: str) -> date | None:
    match = re.fullmatch(r"([12]\d{3})-(0[1-9]|1[0-2])", month.strip(), re.ASCII)
    return date(int(match[1]), int(match[2]), 1) if match else None


def _last_day(month: str) -> date | None:
    first = _first_day(month)
    return first.replace(day=monthrange(first.year, first.month)[1]) if first else None


class _Sie5Reader(EntryReader):
    JOURNAL_NAME = "Journal"
    ENTRY_NAME = "JournalEntry"
    LINE_NAME = "LedgerEntry"
    DATE_NAME = "journalDate"

    def __init__(self, file_pass: FilePass, limits: Limits, years: tuple[FiscalYear, ...]) -> None:
        super().__init__(file_pass, limits, years)
        self.struck_count = 0
        self.handlers |= {
            "Account": self._account,
            "Dimension": self._dimension,
            "Customer": self._party,
            "Supplier": self._party,
            "SupplierInvoice": self._invoice,
            "CustomerInvoice": self._invoice,
        }

    def finish(self) -> list[Record]:
        if self.struck_count:
            self.file_pass.log.add(
                FindingCode.STRUCK_LINES,
                f"{self.struck_count} lines are struck out; they are not in the books.",
            )
        return []

    def _account(self, element: Element) -> list[Record]:
        at, code = line_of(element), element.get("id", "").strip()
        if not code:
            self.file_pass.log.add(
                FindingCode.RECORD_UNREADABLE, f"Line {at}: an account has no id.", at, "Account"
            )
            return []
        kind = KINDS.get(element.get("type", ""), AccountKind.UNKNOWN)
        account = Account(code=code, name=self.file_pass.name(element.get("name", ""), at), kind=kind, at=at)
        return [account, *self._balances(element, code, "")]

    def _balances(self, element: Element, account: str, party: str) -> Iterator[Record]:
        for part in element:
            kind = BALANCES.get(LOCAL[part.tag])
            if kind is None:
                continue
            at = line_of(part)
            try:
                amount = self.file_pass.amount(part.get("amount", ""), at)
            except Unreadable as problem:
                self.file_pass.log.add(
                    FindingCode.BALANCE_UNREADABLE, f"Line {at}: a balance: {problem}.", at, LOCAL[part.tag]
                )
                continue
            day = _first_day(part.get("month", ""))
            year = self._year_of(day) if day else ""
            yield Balance(
                kind=kind,
                account=account,
                amount=amount,
                fiscal_year=year,
                party=party,
                dimensions=self._objects(part),
                at=at,
            )

    def _year_of(self, day: date) -> str:
        """Return the name of the fiscal year of a day; that of its calendar year where the file has none."""
        names = (year.name for year in self.years if year.starts_on <= day <= year.ends_on)
        return next(names, str(day.year))

    def _objects(self, element: Element) -> tuple[tuple[str, str], ...]:
        return tuple(
            (part.get("dimId", "").strip(), part.get("objectId", "").strip())
            for part in children(element, "ObjectReference")
        )

    def _dimension(self, element: Element) -> list[Record]:
        at, code = line_of(element), element.get("id", "").strip()
        name = self.file_pass.name(element.get("name", ""), at)
        values = (
            DimensionValue(
                dimension=code,
                code=part.get("id", "").strip(),
                name=self.file_pass.name(part.get("name", ""), at),
                at=line_of(part),
            )
            for part in children(element, "Object")
        )
        return [Dimension(code=code, name=name, at=at), *values]

    def _party(self, element: Element) -> list[Record]:
        at = line_of(element)
        kind = PartyKind.CUSTOMER if LOCAL[element.tag] == "Customer" else PartyKind.SUPPLIER
        return [
            Party(
                code=element.get("id", "").strip(),
                name=self.file_pass.name(element.get("name", ""), at),
                kind=kind,
                registration_number=element.get("organizationId", "").strip(),
                tax_number=element.get("vatNr", "").strip(),
                country=element.get("country", "").strip(),
                city=self.file_pass.name(element.get("city", ""), at),
                email=element.get("eMail", "").strip(),
                at=at,
            )
        ]

    def _invoice(self, element: Element) -> list[Record]:
        """Return the balances of an invoice, as balances of its party."""
        party = (element.get("supplierId") or element.get("customerId") or "").strip()
        records: list[Record] = []
        for part in children(element, "Balances"):
            records += self._balances(part, part.get("accountId", "").strip(), party or "?")
        return records

    def _line_of(self, element: Element, at: int) -> Line | None:
        file_pass = self.file_pass
        if child(element, "Overstrike") is not None:
            self.struck_count += 1
            return None
        account = element.get("accountId", "").strip()
        if not account:
            raise Unreadable("it has no account (accountId)")
        amount = file_pass.amount(element.get("amount", ""), at)
        return Line(
            number=str(len(self.lines) + 1),
            account=account,
            amount=amount,
            text=file_pass.name(element.get("text", ""), at),
            at=at,
            effective_on=file_pass.day(element.get("ledgerDate", ""), at),
            dimensions=self._objects(element),
            foreign=self._foreign(element, amount, at),
            quantity=file_pass.optional_amount(element.get("quantity", ""), at),
        )

    def _foreign(self, element: Element, amount: Decimal, at: int) -> ForeignAmount | None:
        """Return the amount in another currency, which is signed as the line's own is."""
        part = child(element, "ForeignCurrencyAmount")
        if part is None:
            return None
        currency, text = part.get("currency", "").strip(), part.get("amount", "")
        return self.file_pass.foreign(currency, text, amount, 1, at)

    def _journal_of(self, element: Element) -> Journal:
        at = line_of(element)
        name = self.file_pass.name(element.get("name", ""), at)
        return Journal(code=element.get("id", "").strip(), name=name, at=at)

    def _entry_of(self, element: Element, lines: list[Line], at: int) -> Entry:
        file_pass, number = self.file_pass, element.get("id", "").strip()
        info = child(element, "EntryInfo")
        if info is None:
            info = child(element, "OriginalEntryInfo")
        entered_on = file_pass.day(info.get("date", ""), at) if info is not None else None
        day = file_pass.day(element.get("journalDate", ""), at)
        booked_on = self._booked_on(
            number, (day, *(line.effective_on for line in lines), entered_on), lines, at
        )
        return Entry(
            key=file_pass.key(self.journal.code, number, at),
            journal=self.journal.code,
            number=number,
            booked_on=booked_on,
            fiscal_year=self._year_of(booked_on),
            text=file_pass.name(element.get("text", ""), at),
            entered_on=entered_on,
            lines=lines,
            at=at,
        )
