"""SIE 5, which is XML: `Sie` with balances and entries, `SieEntry` for import.

Schema: https://www.sie.se/sie5. Its signature is not checked. Lines with `Overstrike` are struck out.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import date

from ledger_formats.checks import Tally
from ledger_formats.findings import FindingCode, RepairCode
from ledger_formats.ledger_file import refuse_years
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
from ledger_formats.xml.ledger import (
    Reading,
    RecordReader,
    XmlLedger,
    check_line_count,
    check_parent,
    line_of,
)
from ledger_formats.xml.parsing import LOCAL, Element, child, children, iterate

BODY = ("Accounts", "Dimensions", "Journal", "Customers", "Suppliers", "CustomerInvoices", "SupplierInvoices")
KINDS = {
    "asset": AccountKind.ASSET,
    "liability": AccountKind.LIABILITY,
    "equity": AccountKind.EQUITY,
    "income": AccountKind.INCOME,
    "cost": AccountKind.EXPENSE,
}
BALANCES = {"OpeningBalance": BalanceKind.OPENING, "ClosingBalance": BalanceKind.CLOSING}
YEAR_DAYS_MAX = 732


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
            Format.SIE5,
            self.detection.version,
            Company(
                company.get("name", ""),
                company.get("organizationId", ""),
                software_id=company.get("clientId", ""),
                country="SE",
            ),
            tuple(self._years(info)),
            _attributes(info, "AccountingCurrency").get("currency", "SEK"),
            product.get("name", ""),
            product.get("version", ""),
            _day(_attributes(info, "FileCreation").get("time", "")),
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
            if ends_on < starts_on:
                raise refuse_years(self.name, f"the year ends before it begins ({starts_on} to {ends_on})")
            if (ends_on - starts_on).days > YEAR_DAYS_MAX:
                raise refuse_years(self.name, "its fiscal year is longer than two years")
            same = starts_on.year == ends_on.year
            name = str(starts_on.year) if same else f"{starts_on.year}/{ends_on.year}"
            is_own = element.get("primary") == "true" if has_primary else number == len(elements)
            yield FiscalYear(name, starts_on, ends_on, is_own)

    def _reader(self, tally: Tally, kinds: frozenset[type]) -> RecordReader:
        return _Sie5Reader(Reading(tally, kinds), self.limits, self.header.years)


def _attributes(info: Element | None, name: str) -> dict[str, str]:
    element = child(info, name) if info is not None else None
    return {} if element is None else {key: str(text).strip() for key, text in element.attrib.items()}


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _first_day(month: str) -> date | None:
    match = re.fullmatch(r"([12]\d{3})-(0[1-9]|1[0-2])", month.strip(), re.ASCII)
    return date(int(match[1]), int(match[2]), 1) if match else None


def _last_day(month: str) -> date | None:
    first = _first_day(month)
    return first.replace(day=monthrange(first.year, first.month)[1]) if first else None


class _Sie5Reader(RecordReader):
    def __init__(self, reading: Reading, limits: Limits, years: tuple[FiscalYear, ...]) -> None:
        super().__init__(reading, limits)
        self.years = years
        self.journal_element: Element = None
        self.journal = Journal("")
        self.lines: list[Line] = []
        self.struck_count = 0
        self.handlers = {
            "Account": self._account,
            "Dimension": self._dimension,
            "Customer": self._party,
            "Supplier": self._party,
            "SupplierInvoice": self._invoice,
            "CustomerInvoice": self._invoice,
            "Journal": self._end_journal,
        }
        if Entry in reading.kinds:
            self.handlers |= {"LedgerEntry": self._line, "JournalEntry": self._entry}
        elif Journal in reading.kinds:
            self.handlers["JournalEntry"] = self._begin_journal

    def finish(self) -> list[Record]:
        if self.struck_count:
            self.reading.log.add(
                FindingCode.STRUCK_LINES,
                f"{self.struck_count} lines are struck out; they are not in the books.",
            )
        return []

    def _account(self, element: Element) -> list[Record]:
        at, code = line_of(element), element.get("id", "").strip()
        if not code:
            self.reading.log.add(
                FindingCode.RECORD_UNREADABLE, f"Line {at}: an account has no id.", at, "Account"
            )
            return []
        kind = KINDS.get(element.get("type", ""), AccountKind.UNKNOWN)
        account = Account(code, self.reading.name(element.get("name", ""), at), kind, at=at)
        return [account, *self._balances(element, code, "")]

    def _balances(self, element: Element, account: str, party: str) -> Iterator[Record]:
        for part in element:
            kind = BALANCES.get(LOCAL[part.tag])
            if kind is None:
                continue
            at = line_of(part)
            try:
                amount = self.reading.amount(part.get("amount", ""), at)
            except Unreadable as problem:
                self.reading.log.add(
                    FindingCode.BALANCE_UNREADABLE, f"Line {at}: a balance: {problem}.", at, LOCAL[part.tag]
                )
                continue
            day = _first_day(part.get("month", ""))
            year = self._year_of(day) if day else ""
            yield Balance(kind, account, amount, year, "", party, self._objects(part), at)

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
        name = self.reading.name(element.get("name", ""), at)
        values = (
            DimensionValue(
                code, part.get("id", "").strip(), self.reading.name(part.get("name", ""), at), line_of(part)
            )
            for part in children(element, "Object")
        )
        return [Dimension(code, name, at), *values]

    def _party(self, element: Element) -> list[Record]:
        at = line_of(element)
        kind = PartyKind.CUSTOMER if LOCAL[element.tag] == "Customer" else PartyKind.SUPPLIER
        return [
            Party(
                element.get("id", "").strip(),
                self.reading.name(element.get("name", ""), at),
                kind,
                element.get("organizationId", "").strip(),
                element.get("vatNr", "").strip(),
                element.get("country", "").strip(),
                self.reading.name(element.get("city", ""), at),
                element.get("eMail", "").strip(),
                at,
            )
        ]

    def _invoice(self, element: Element) -> list[Record]:
        """Return the balances of an invoice, as balances of its party."""
        party = (element.get("supplierId") or element.get("customerId") or "").strip()
        records: list[Record] = []
        for part in children(element, "Balances"):
            records += self._balances(part, part.get("accountId", "").strip(), party or "?")
        return records

    def _line(self, element: Element) -> list[Record]:
        at, reading = line_of(element), self.reading
        if child(element, "Overstrike") is not None:
            self.struck_count += 1
            return []
        account = element.get("accountId", "").strip()
        try:
            check_parent(element, "JournalEntry")
            if not account:
                raise Unreadable("it has no account (accountId)")
            amount = reading.amount(element.get("amount", ""), at)
        except Unreadable as problem:
            reading.log.add(
                FindingCode.LINE_UNREADABLE,
                f"Line {at}: a line of an entry is not in the books: {problem}.",
                at,
                "LedgerEntry",
            )
            return []
        self.lines.append(
            Line(
                str(len(self.lines) + 1),
                account,
                amount,
                reading.name(element.get("text", ""), at),
                at,
                reading.day(element.get("ledgerDate", ""), at),
                dimensions=self._objects(element),
                foreign=self._foreign(element, at),
                quantity=reading.optional_amount(element.get("quantity", ""), at),
            )
        )
        check_line_count(reading.tally.name, self.lines, self.limits)
        return []

    def _foreign(self, element: Element, at: int) -> ForeignAmount | None:
        part = child(element, "ForeignCurrencyAmount")
        if part is None:
            return None
        amount = self.reading.optional_amount(part.get("amount", ""), at)
        return None if amount is None else ForeignAmount(part.get("currency", "").strip(), amount)

    def _begin_journal(self, element: Element) -> list[Record]:
        parent = element.getparent()
        if parent is self.journal_element:
            return []
        self.journal_element = parent
        return self._read_journal(parent)

    def _read_journal(self, element: Element) -> list[Record]:
        at = line_of(element)
        name = self.reading.name(element.get("name", ""), at)
        self.journal = Journal(element.get("id", "").strip(), name, at=at)
        return [self.journal]

    def _end_journal(self, element: Element) -> list[Record]:
        is_new = element is not self.journal_element
        self.journal_element = None
        return self._read_journal(element) if is_new else []

    def _entry(self, element: Element) -> list[Record]:
        records = self._begin_journal(element)
        at, reading = line_of(element), self.reading
        lines, self.lines = self.lines, []
        number = element.get("id", "").strip()
        info = child(element, "EntryInfo")
        if info is None:
            info = child(element, "OriginalEntryInfo")
        entered_on = reading.day(info.get("date", ""), at) if info is not None else None
        day = reading.day(element.get("journalDate", ""), at)
        if day is None:
            days = (line.effective_on for line in lines if line.effective_on)
            day = next(days, None) or entered_on or self._first_of_years()
            reading.log.add_repair(
                RepairCode.DATE_COMPLETED, f"Entry {number[:40]} has no date; it has that of its lines.", at
            )
        entry = Entry(
            reading.key(self.journal.code, number, at),
            self.journal.code,
            number,
            day,
            self._year_of(day),
            str(day.month),
            reading.name(element.get("text", ""), at),
            entered_on,
            lines,
            at,
        )
        return [*records, entry]

    def _first_of_years(self) -> date:
        days = (year.starts_on for year in self.years if year.is_own)
        return next(days, date(1900, 1, 1))
