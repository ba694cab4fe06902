"""SAF-T Financial of Norway, 1.10 and 1.30.

Schemas: https://github.com/Skatteetaten/saf-t. 1.30 moved balances of parties to `BalanceAccount` and split
amounts of VAT and analysis by side. Both are read by one reader.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

from ledger_formats.checks import Tally
from ledger_formats.findings import FindingCode, RepairCode
from ledger_formats.ledger_file import refuse_years
from ledger_formats.limits import Limits
from ledger_formats.records import (
    ZERO,
    Account,
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
    Record,
    VatCode,
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
from ledger_formats.xml.parsing import LOCAL, Element, child, children, fields_of, iterate

BODY = ("MasterFiles", "GeneralLedgerEntries")
PARTIES = {"Customer": ("CustomerID", PartyKind.CUSTOMER), "Supplier": ("SupplierID", PartyKind.SUPPLIER)}
NO_NUMBER = ("NA", "N/A", "0", "000000000")
"""What programs write where a company has no registration number."""
SPAN_DAYS_MAX = 732
BALANCE_NAMES = {
    BalanceKind.OPENING: ("OpeningDebitBalance", "OpeningCreditBalance"),
    BalanceKind.CLOSING: ("ClosingDebitBalance", "ClosingCreditBalance"),
}


class SaftLedger(XmlLedger):
    RECORD_NAMES = (
        "Account",
        "Customer",
        "Supplier",
        "TaxTableEntry",
        "AnalysisTypeTableEntry",
        "Owner",
        "Product",
        "Line",
        "Transaction",
        "Journal",
        "NumberOfEntries",
        "TotalDebit",
        "TotalCredit",
        "SourceDocuments",
    )
    PART_NAMES = frozenset({"Line"})

    def _read_header(self) -> None:
        fields: dict[str, str] = {}
        company = Company()
        selection: dict[str, str] = {}
        for event, name, element in iterate(
            self.source, self.detection, self.limits, ("Header", *BODY), ("start", "end")
        ):
            if name in BODY:
                break
            if event == "end":
                fields = fields_of(element)
                company = _company(child(element, "Company"))
                criteria = child(element, "SelectionCriteria")
                selection = fields_of(criteria) if criteria is not None else {}
        year = self._span(selection)
        self.header = Header(
            Format.SAFT,
            self.detection.version,
            company,
            (year,) if year else (),
            fields.get("DefaultCurrencyCode", ""),
            fields.get("SoftwareID", "") or fields.get("SoftwareCompanyName", ""),
            fields.get("SoftwareVersion", ""),
            _day(fields.get("AuditFileDateCreated", "")),
            covers_until=year.ends_on if year else None,
        )

    def _span(self, selection: dict[str, str]) -> FiscalYear | None:
        """Return the range of the file. Raises `LedgerFileRefused` for one that cannot be."""
        starts_on = _day(selection.get("SelectionStartDate", "")) or _month(selection, "Start")
        ends_on = _day(selection.get("SelectionEndDate", "")) or _month(selection, "End")
        if starts_on is None or ends_on is None:
            return None
        if ends_on < starts_on:
            raise refuse_years(self.name, f"its range ends before it begins ({starts_on} to {ends_on})")
        if (ends_on - starts_on).days > SPAN_DAYS_MAX:
            raise refuse_years(self.name, "its range is longer than two years")
        same = starts_on.year == ends_on.year
        return FiscalYear(
            str(starts_on.year) if same else f"{starts_on.year}/{ends_on.year}", starts_on, ends_on
        )

    def _reader(self, tally: Tally, kinds: frozenset[type]) -> RecordReader:
        return _SaftReader(Reading(tally, kinds), self.limits, self.header.year)


def _company(element: Element | None) -> Company:
    if element is None:
        return Company()
    fields = fields_of(element)
    tax = child(element, "TaxRegistration")
    address = child(element, "Address")
    number = fields.get("RegistrationNumber", "")
    return Company(
        fields.get("Name", ""),
        "" if number.upper() in NO_NUMBER else number,
        fields_of(tax).get("TaxRegistrationNumber", "") if tax is not None else "",
        country=(fields_of(address).get("Country", "") if address is not None else "") or "NO",
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _month(selection: dict[str, str], end: str) -> date | None:
    """Return the first day of the range's first period, or the last of its last; 13 and more are December."""
    period, year = selection.get(f"Period{end}", ""), selection.get(f"Period{end}Year", "")
    if not re.fullmatch(r"\d{1,3}", period, re.ASCII) or not re.fullmatch(r"[12]\d{3}", year, re.ASCII):
        return None
    month = min(max(int(period), 1), 12)
    day = 1 if end == "Start" else monthrange(int(year), month)[1]
    return date(int(year), month, day)


class _SaftReader(RecordReader):
    def __init__(self, reading: Reading, limits: Limits, year: FiscalYear | None) -> None:
        super().__init__(reading, limits)
        self.year = year
        self.year_name = year.name if year else ""
        self.journal = Journal("")
        self.journal_element: Element = None
        self.lines: list[Line] = []
        self.dimensions: set[str] = set()
        self.handlers = {
            "Account": self._account,
            "Customer": self._party,
            "Supplier": self._party,
            "TaxTableEntry": self._vat_codes,
            "AnalysisTypeTableEntry": self._analysis,
            "Journal": self._end_journal,
            "NumberOfEntries": self._total,
            "TotalDebit": self._total,
            "TotalCredit": self._total,
            "SourceDocuments": self._source_documents,
        }
        if Entry in reading.kinds:
            self.handlers |= {"Line": self._line, "Transaction": self._entry}
        elif Journal in reading.kinds:
            self.handlers["Transaction"] = self._begin_journal

    def _account(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = fields.get("AccountID", "")
        if not code:
            self.reading.log.add(
                FindingCode.RECORD_UNREADABLE, f"Line {at}: an account has no AccountID.", at, "Account"
            )
            return []
        standard = fields.get("StandardAccountID") or fields.get("GroupingCode", "")
        name = self.reading.name(fields.get("AccountDescription", ""), at)
        account = Account(code, name, standard_code=standard, at=at)
        return [account, *self._balances(fields, code, "", at)]

    def _balances(self, fields: dict[str, str], account: str, party: str, at: int) -> Iterator[Record]:
        for kind, (debit_name, credit_name) in BALANCE_NAMES.items():
            for name, sign in ((debit_name, 1), (credit_name, -1)):
                if not (text := fields.get(name)):
                    continue
                try:
                    amount = self.reading.amount(text, at) * sign
                except Unreadable as problem:
                    self.reading.log.add(
                        FindingCode.BALANCE_UNREADABLE, f"Line {at}: a balance: {problem}.", at, name
                    )
                    continue
                yield Balance(kind, account, amount, self.year_name, party=party, at=at)

    def _party(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code_name, kind = PARTIES[LOCAL[element.tag]]
        code = fields.get(code_name, "")
        address = child(element, "Address")
        address_fields = fields_of(address) if address is not None else {}
        contact = child(element, "Contact")
        tax = child(element, "TaxRegistration")
        party = Party(
            code,
            self.reading.name(fields.get("Name", ""), at),
            kind,
            fields.get("RegistrationNumber", ""),
            fields_of(tax).get("TaxRegistrationNumber", "") if tax is not None else "",
            address_fields.get("Country", ""),
            self.reading.name(address_fields.get("City", ""), at),
            fields_of(contact).get("Email", "") if contact is not None else "",
            at,
        )
        records: list[Record] = [party, *self._balances(fields, fields.get("AccountID", ""), code, at)]
        for balance in children(element, "BalanceAccount"):
            inner = fields_of(balance)
            records += self._balances(inner, inner.get("AccountID", ""), code, line_of(balance))
        return records

    def _vat_codes(self, element: Element) -> list[Record]:
        records: list[Record] = []
        for details in children(element, "TaxCodeDetails"):
            fields, at = fields_of(details), line_of(details)
            rate = self.reading.optional_amount(fields.get("TaxPercentage", ""), at)
            name = self.reading.name(fields.get("Description", ""), at)
            records.append(
                VatCode(fields.get("TaxCode", ""), name, rate, fields.get("StandardTaxCode", ""), at=at)
            )
        return records

    def _analysis(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = fields.get("AnalysisType", "")
        name = self.reading.name(fields.get("AnalysisIDDescription", ""), at)
        records: list[Record] = [DimensionValue(code, fields.get("AnalysisID", ""), name, at)]
        if code not in self.dimensions:
            self.dimensions.add(code)
            title = self.reading.name(fields.get("AnalysisTypeDescription", ""), at)
            records.insert(0, Dimension(code, title, at))
        return records

    def _line(self, element: Element) -> list[Record]:
        at, local, reading = element.sourceline or 0, LOCAL, self.reading
        fields: dict[str, str] = {}
        amounts: list[tuple[str, dict[str, str]]] = []
        vat: list[LineVat] = []
        dimensions: list[tuple[str, str]] = []
        for part in element:
            name = local[part.tag]
            if name in ("DebitAmount", "CreditAmount"):
                amounts.append((name, fields_of(part)))
            elif name == "TaxInformation":
                vat.append(self._vat(part, at))
            elif name == "Analysis":
                inner = fields_of(part)
                dimensions.append((inner.get("AnalysisType", ""), inner.get("AnalysisID", "")))
            elif text := part.text:
                fields[name] = text.strip()
        get = fields.get
        account = get("AccountID", "")
        try:
            check_parent(element, "Transaction")
            amount, foreign = self._amount(account, amounts, at)
        except Unreadable as problem:
            reading.log.add(
                FindingCode.LINE_UNREADABLE,
                f"Line {at}: line {get('RecordID', '')[:40]} of an entry is not in the books: {problem}.",
                at,
                "Line",
            )
            return []
        self.lines.append(
            Line(
                get("RecordID", ""),
                account,
                amount,
                reading.name(get("Description", ""), at),
                at,
                reading.day(get("ValueDate", ""), at),
                get("SourceDocumentID", ""),
                get("CustomerID", "") or get("SupplierID", ""),
                get("ReferenceNumber", ""),
                tuple(dimensions),
                tuple(vat),
                foreign,
                reading.optional_amount(get("Quantity", ""), at),
                reading.day(get("DueDate", ""), at),
            )
        )
        check_line_count(reading.tally.name, self.lines, self.limits)
        return []

    def _amount(
        self, account: str, amounts: list[tuple[str, dict[str, str]]], at: int
    ) -> tuple[Decimal, ForeignAmount | None]:
        """Return the amount of a line and that in another currency, debits positive. Raises `Unreadable`."""
        if not account:
            raise Unreadable("it has no account (AccountID)")
        stated = [(name, fields) for name, fields in amounts if fields.get("Amount")]
        if not stated:
            raise Unreadable("it has neither DebitAmount nor CreditAmount")
        total, foreign = ZERO, None
        for name, fields in stated:
            amount = self.reading.amount(fields["Amount"], at)
            if amount < ZERO:
                self._note_negative(amount, name, at)
            sign = 1 if name == "DebitAmount" else -1
            total += amount * sign
            if code := fields.get("CurrencyCode"):
                other = self.reading.optional_amount(fields.get("CurrencyAmount", ""), at)
                foreign = ForeignAmount(code, other * sign) if other is not None else foreign
        return total, foreign

    def _note_negative(self, amount: Decimal, name: str, at: int) -> None:
        totals = self.reading.tally.totals
        if name == "DebitAmount":
            totals.negative_debit += amount
        else:
            totals.negative_credit += amount
        self.reading.log.add_repair(
            RepairCode.NEGATIVE_AMOUNT, "Amounts below zero count on the other side.", at, name
        )

    def _vat(self, element: Element, at: int) -> LineVat:
        fields = fields_of(element)
        amount = None
        for name, sign in (("TaxAmount", 1), ("DebitTaxAmount", 1), ("CreditTaxAmount", -1)):
            part = child(element, name)
            if part is not None:
                text = fields_of(part).get("Amount", "") or (part.text or "").strip()
                stated = self.reading.optional_amount(text, at)
                amount = stated * sign if stated is not None else amount
        rate = self.reading.optional_amount(fields.get("TaxPercentage", ""), at)
        return LineVat(fields.get("TaxCode", ""), rate, amount)

    def _begin_journal(self, element: Element) -> list[Record]:
        parent = element.getparent()
        if parent is self.journal_element:
            return []
        self.journal_element = parent
        return self._read_journal(parent)

    def _read_journal(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        name = self.reading.name(fields.get("Description", ""), at)
        self.journal = Journal(fields.get("JournalID", ""), name, fields.get("Type", ""), at=at)
        return [self.journal]

    def _end_journal(self, element: Element) -> list[Record]:
        is_new = element is not self.journal_element
        self.journal_element = None
        return self._read_journal(element) if is_new and Journal in self.reading.kinds else []

    def _entry(self, element: Element) -> list[Record]:
        records = self._begin_journal(element)
        fields, at, reading = fields_of(element), line_of(element), self.reading
        lines, self.lines = self.lines, []
        number = fields.get("TransactionID", "")
        day = reading.day(fields.get("TransactionDate", ""), at)
        entry = Entry(
            reading.key(self.journal.code, number, at),
            self.journal.code,
            number,
            self._booked_on(day, fields, lines, at),
            self.year_name or fields.get("PeriodYear", ""),
            fields.get("Period", ""),
            reading.name(fields.get("Description", ""), at),
            reading.day(fields.get("SystemEntryDate", ""), at),
            lines,
            at,
        )
        return [*records, entry]

    def _booked_on(self, day: date | None, fields: dict[str, str], lines: list[Line], at: int) -> date:
        """Return the date of an entry: its own, that of its posting, of a line, else the range's first."""
        number = fields.get("TransactionID", "")[:40]
        if day is None:
            posted = self.reading.day(fields.get("GLPostingDate", ""), at)
            days = (line.effective_on for line in lines if line.effective_on)
            day = posted or next(days, None) or (self.year.starts_on if self.year else date(1900, 1, 1))
            self.reading.log.add_repair(
                RepairCode.DATE_COMPLETED, f"Entry {number} has no date; it has that of its posting.", at
            )
        if self.year and not self.year.starts_on <= day <= self.year.ends_on:
            self.reading.log.add(
                FindingCode.DATE_OUTSIDE_YEAR,
                f"Entry {number} is of {day}, outside of the range of the file.",
                at,
                "TransactionDate",
            )
        return day

    def _total(self, element: Element) -> list[Record]:
        parent = element.getparent()
        if parent is None or LOCAL[parent.tag] != "GeneralLedgerEntries":
            return []
        totals, name = self.reading.tally.totals, LOCAL[element.tag]
        amount = self.reading.optional_amount((element.text or "").strip(), line_of(element))
        if name == "NumberOfEntries":
            totals.entries = int(amount) if amount is not None else None
        elif name == "TotalDebit":
            totals.debit = amount
        else:
            totals.credit = amount
        return []

    def _source_documents(self, element: Element) -> list[Record]:
        self.reading.log.add(
            FindingCode.NOT_READ, "The file has source documents, which are not read.", line_of(element)
        )
        return []
