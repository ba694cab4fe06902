"""SAF-T Financial of Norway, 1.10 and 1.30.

Schemas: https://github.com/Skatteetaten/saf-t. 1.30 moved balances of parties to `BalanceAccount` and split
amounts of VAT and analysis by side. Both are read by one reader.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import ClassVar

from ledger_formats.checks import Tally
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import FindingCode, FindingLog, RepairCode
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
from ledger_formats.xml.entries import EntryReader
from ledger_formats.xml.ledger import FilePass, RecordReader, XmlLedger, line_of, optional_day
from ledger_formats.xml.parsing import LOCAL, Element, child, children, fields_of, iterate, release
from ledger_formats.xml.saft_year import BALANCE_NAMES, YearsOfEntries, stated_end, stated_start
from ledger_formats.years import fiscal_year

BODY = ("MasterFiles", "GeneralLedgerEntries")
PARTIES = {"Customer": ("CustomerID", PartyKind.CUSTOMER), "Supplier": ("SupplierID", PartyKind.SUPPLIER)}
NO_NUMBER = ("NA", "N/A", "0", "000000000")
"""What programs write where a company has no registration number."""
SIDES_OF_BALANCES = {
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
    is_year_completed = False
    """Whether the entries had to show the year."""

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
        year = self._range(selection, fields)
        self.header = Header(
            format=Format.SAFT,
            version=self.detection.version,
            company=company,
            years=(year,) if year else (),
            currency=fields.get("DefaultCurrencyCode", ""),
            software=fields.get("SoftwareID", "") or fields.get("SoftwareCompanyName", ""),
            software_version=fields.get("SoftwareVersion", ""),
            written_on=optional_day(fields.get("AuditFileDateCreated", "")),
            covers_until=year.ends_on if year and not self.is_year_completed else None,
        )

    def _range(self, selection: dict[str, str], header: dict[str, str]) -> FiscalYear | None:
        """Return the range of the file; None where it has neither entries nor balances.

        Raises `LedgerFileRefused` for one that cannot be, or cannot be told.
        """
        starts_on, ends_on = stated_start(selection, header), stated_end(selection, header)
        if starts_on and ends_on:
            return fiscal_year(self.name, starts_on, ends_on)
        years, is_needed = self._years_of_entries()
        span = years.span()
        if span is None and is_needed:
            raise LedgerFileRefused(
                RefusalCode.NO_YEAR,
                f"{self.name} does not say which year it is of: it has no SelectionCriteria, and no entry has"
                " a PeriodYear or a TransactionDate.",
            )
        if span is None:
            return None
        self.is_year_completed = True
        return fiscal_year(self.name, starts_on or span[0], ends_on or span[1])

    def _years_of_entries(self) -> tuple[YearsOfEntries, bool]:
        """Return the years that the entries show, and whether the file has entries or balances."""
        years, is_needed = YearsOfEntries(), False
        for _event, name, element in iterate(self.source, self.detection, self.limits, self.RECORD_NAMES):
            if name in self.PART_NAMES:
                element.clear(keep_tail=False)
                continue
            if name == "Transaction":
                is_needed = True
                years.add(fields_of(element))
            elif name in ("Account", *PARTIES):
                is_needed = is_needed or not fields_of(element).keys().isdisjoint(BALANCE_NAMES)
            release(element)
        return years, is_needed

    def _note_detection(self, log: FindingLog) -> None:
        super()._note_detection(log)
        if self.is_year_completed:
            log.add_repair(
                RepairCode.YEAR_COMPLETED,
                "The file does not say from which day to which it is: its entries show the year.",
            )

    def _reader(self, tally: Tally, kinds: frozenset[type]) -> RecordReader:
        return _SaftReader(FilePass(tally, kinds), self.limits, self.header.years)


def _company(element: Element | None) -> Company:
    if element is None:
        return Company()
    fields = fields_of(element)
    tax = child(element, "TaxRegistration")
    address = child(element, "Address")
    number = fields.get("RegistrationNumber", "")
    return Company(
        name=fields.get("Name", ""),
        registration_number="" if number.upper() in NO_NUMBER else number,
        tax_number=fields_of(tax).get("TaxRegistrationNumber", "") if tax is not None else "",
        country=(fields_of(address).get("Country", "") if address is not None else "") or "NO",
    )


class _SaftReader(EntryReader):
    JOURNAL_NAME = "Journal"
    ENTRY_NAME = "Transaction"
    LINE_NAME = "Line"
    DATE_NAME = "TransactionDate"
    TOTALS_NAME = "GeneralLedgerEntries"
    TOTALS: ClassVar = {"NumberOfEntries": "entries", "TotalDebit": "debit", "TotalCredit": "credit"}

    def __init__(self, file_pass: FilePass, limits: Limits, years: tuple[FiscalYear, ...]) -> None:
        super().__init__(file_pass, limits, years)
        self.year_name = years[0].name if years else ""
        self.dimensions: set[str] = set()
        self.handlers |= {
            "Account": self._account,
            "Customer": self._party,
            "Supplier": self._party,
            "TaxTableEntry": self._vat_codes,
            "AnalysisTypeTableEntry": self._analysis,
            "SourceDocuments": self._source_documents,
        }

    def _account(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = fields.get("AccountID", "")
        if not code:
            self.file_pass.log.add(
                FindingCode.RECORD_UNREADABLE, f"Line {at}: an account has no AccountID.", at, "Account"
            )
            return []
        standard = fields.get("StandardAccountID") or fields.get("GroupingCode", "")
        name = self.file_pass.name(fields.get("AccountDescription", ""), at)
        account = Account(code=code, name=name, standard_code=standard, at=at)
        return [account, *self._balances(fields, code, "", at)]

    def _balances(self, fields: dict[str, str], account: str, party: str, at: int) -> Iterator[Record]:
        for kind, (debit_name, credit_name) in SIDES_OF_BALANCES.items():
            for name, side_factor in ((debit_name, 1), (credit_name, -1)):
                if not (text := fields.get(name)):
                    continue
                try:
                    amount = self.file_pass.amount(text, at) * side_factor
                except Unreadable as problem:
                    self.file_pass.log.add(
                        FindingCode.BALANCE_UNREADABLE, f"Line {at}: a balance: {problem}.", at, name
                    )
                    continue
                yield Balance(
                    kind=kind,
                    account=account,
                    amount=amount,
                    fiscal_year=self.year_name,
                    party=party,
                    at=at,
                )

    def _party(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code_name, kind = PARTIES[LOCAL[element.tag]]
        code = fields.get(code_name, "")
        address = child(element, "Address")
        address_fields = fields_of(address) if address is not None else {}
        contact = child(element, "Contact")
        tax = child(element, "TaxRegistration")
        party = Party(
            code=code,
            name=self.file_pass.name(fields.get("Name", ""), at),
            kind=kind,
            registration_number=fields.get("RegistrationNumber", ""),
            tax_number=fields_of(tax).get("TaxRegistrationNumber", "") if tax is not None else "",
            country=address_fields.get("Country", ""),
            city=self.file_pass.name(address_fields.get("City", ""), at),
            email=fields_of(contact).get("Email", "") if contact is not None else "",
            at=at,
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
            rate = self.file_pass.optional_amount(fields.get("TaxPercentage", ""), at)
            name = self.file_pass.name(fields.get("Description", ""), at)
            records.append(
                VatCode(
                    code=fields.get("TaxCode", ""),
                    name=name,
                    rate=rate,
                    standard_code=fields.get("StandardTaxCode", ""),
                    at=at,
                )
            )
        return records

    def _analysis(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = fields.get("AnalysisType", "")
        name = self.file_pass.name(fields.get("AnalysisIDDescription", ""), at)
        records: list[Record] = [
            DimensionValue(dimension=code, code=fields.get("AnalysisID", ""), name=name, at=at)
        ]
        if code not in self.dimensions:
            self.dimensions.add(code)
            self.file_pass.tally.check_count(len(self.dimensions), self.limits.codes_max, "dimensions")
            title = self.file_pass.name(fields.get("AnalysisTypeDescription", ""), at)
            records.insert(0, Dimension(code=code, name=title, at=at))
        return records

    def _line_of(self, element: Element, at: int) -> Line:
        local, file_pass = LOCAL, self.file_pass
        fields: dict[str, str] = {}
        amounts: list[tuple[str, dict[str, str]]] = []
        vat: list[Element] = []
        dimensions: list[tuple[str, str]] = []
        for part in element:
            name = local[part.tag]
            if name in ("DebitAmount", "CreditAmount"):
                amounts.append((name, fields_of(part)))
            elif name == "TaxInformation":
                vat.append(part)
            elif name == "Analysis":
                inner = fields_of(part)
                dimensions.append((inner.get("AnalysisType", ""), inner.get("AnalysisID", "")))
            elif text := part.text:
                fields[name] = text.strip()
        get = fields.get
        account = get("AccountID", "")
        amount, foreign = self._amount(account, amounts, at)
        line_side = -1 if amounts[-1][0] == "CreditAmount" else 1
        return Line(
            number=get("RecordID", ""),
            account=account,
            amount=amount,
            text=file_pass.name(get("Description", ""), at),
            at=at,
            effective_on=file_pass.day(get("ValueDate", ""), at),
            document=get("SourceDocumentID", ""),
            party=get("CustomerID", "") or get("SupplierID", ""),
            invoice=get("ReferenceNumber", ""),
            dimensions=tuple(dimensions),
            vat=tuple(self._vat(part, amount, line_side, at) for part in vat),
            foreign=foreign,
            quantity=file_pass.optional_amount(get("Quantity", ""), at),
            due_on=file_pass.day(get("DueDate", ""), at),
        )

    def _line_number(self, element: Element) -> str:
        return fields_of(element).get("RecordID", "")

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
            amount = self.file_pass.amount(fields["Amount"], at)
            if amount < ZERO:
                self._note_negative(amount, name, at)
            side_factor = 1 if name == "DebitAmount" else -1
            total += amount * side_factor
            if code := fields.get("CurrencyCode"):
                text = fields.get("CurrencyAmount", "")
                foreign = self.file_pass.foreign(code, text, amount * side_factor, side_factor, at) or foreign
        return total, foreign

    def _note_negative(self, amount: Decimal, name: str, at: int) -> None:
        totals = self.file_pass.tally.totals
        if name == "DebitAmount":
            totals.negative_debit += amount
        else:
            totals.negative_credit += amount
        self.file_pass.log.add_repair(
            RepairCode.NEGATIVE_AMOUNT, "Amounts below zero count on the other side.", at, name
        )

    def _vat(self, element: Element, line_amount: Decimal, line_side: int, at: int) -> LineVat:
        """Return the VAT of a line. 1.10 gives it no side: it has that of the line."""
        fields = fields_of(element)
        amount = None
        for name, side in (("TaxAmount", 0), ("DebitTaxAmount", 1), ("CreditTaxAmount", -1)):
            part = child(element, name)
            if part is not None:
                text = fields_of(part).get("Amount", "") or (part.text or "").strip()
                signed = self.file_pass.line_vat(text, side, line_amount, line_side, at)
                amount = signed if signed is not None else amount
        rate = self.file_pass.optional_amount(fields.get("TaxPercentage", ""), at)
        return LineVat(code=fields.get("TaxCode", ""), rate=rate, amount=amount)

    def _journal_of(self, element: Element) -> Journal:
        fields, at = fields_of(element), line_of(element)
        name = self.file_pass.name(fields.get("Description", ""), at)
        return Journal(code=fields.get("JournalID", ""), name=name, kind=fields.get("Type", ""), at=at)

    def _entry_of(self, element: Element, lines: list[Line], at: int) -> Entry:
        fields, file_pass = fields_of(element), self.file_pass
        number = fields.get("TransactionID", "")
        days = (file_pass.day(fields.get(name, ""), at) for name in (self.DATE_NAME, "GLPostingDate"))
        return Entry(
            key=file_pass.key(self.journal.code, number, at),
            journal=self.journal.code,
            number=number,
            booked_on=self._booked_on(number, days, lines, at),
            fiscal_year=self.year_name,
            period_number=fields.get("Period", ""),
            text=file_pass.name(fields.get("Description", ""), at),
            entered_on=file_pass.day(fields.get("SystemEntryDate", ""), at),
            lines=lines,
            at=at,
        )

    def _source_documents(self, element: Element) -> list[Record]:
        self.file_pass.log.add(
            FindingCode.NOT_READ, "The file has source documents, which are not read.", line_of(element)
        )
        return []
