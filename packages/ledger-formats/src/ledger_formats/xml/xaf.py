"""XML Auditfile Financieel (XAF) 3.2, 3.2.1 and 4.0, of the Dutch tax office.

Schemas: https://odb.belastingdienst.nl (4.0), http://www.auditfiles.nl/XAF/3.2. Their elements are those of
both; 4.0 renamed a few and dropped sub-ledgers.
"""

from datetime import date
from decimal import Decimal
from typing import ClassVar

from ledger_formats.checks import Tally
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import FindingCode, RepairCode
from ledger_formats.limits import Limits
from ledger_formats.records import (
    ZERO,
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
from ledger_formats.values import Unreadable
from ledger_formats.xml.entries import EntryReader
from ledger_formats.xml.ledger import FilePass, RecordReader, XmlLedger, line_of, optional_day
from ledger_formats.xml.parsing import LOCAL, Element, child, fields_of, iterate
from ledger_formats.years import fiscal_year

BODY = ("customersSuppliers", "generalLedger", "vatCodes", "periods", "openingBalance", "transactions")
COMPANY = ("companyIdent", "Commercenr", "companyName", "taxRegistrationCountry", "taxRegIdent")
SUBLEDGERS = ("sbLine", "obSbLine")
"""Sub-ledgers repeat lines of the ledger by customer and supplier; those of the ledger name them already."""
DIMENSIONS = {
    "costID": ("cost", "Kostenplaats"),
    "cost": ("cost", "Kostenplaats"),
    "prodID": ("product", "Kostendrager"),
    "product": ("product", "Kostendrager"),
    "projID": ("project", "Project"),
    "project": ("project", "Project"),
    "artGrpID": ("article-group", "Artikelgroep"),
}
"""Elements of a line by which it is analysed, with our code and the Dutch name."""
BASICS = {"02": "costID", "03": "prodID", "04": "projID", "05": "artGrpID"}
PARTY_KINDS = {"B": PartyKind.BOTH, "C": PartyKind.CUSTOMER, "S": PartyKind.SUPPLIER}
RGS_KINDS = {
    **dict.fromkeys(
        ("BIva", "BMva", "BVas", "BFva", "BVrd", "BPro", "BVor", "BEff", "BLim"), AccountKind.ASSET
    ),
    **dict.fromkeys(("BVrz", "BLas", "BSch"), AccountKind.LIABILITY),
    "BEiv": AccountKind.EQUITY,
}
"""The side of the balance sheet by the first four letters of a code of RGS, the Dutch chart."""
SIDES = {"D": 1, "C": -1}


class XafLedger(XmlLedger):
    RECORD_NAMES = (
        "customerSupplier",
        "ledgerAccount",
        "basic",
        "vatCode",
        "period",
        "obLine",
        "trLine",
        "transaction",
        "journal",
        "linesCount",
        "totalDebit",
        "totalCredit",
        *SUBLEDGERS,
    )
    PART_NAMES = frozenset({"trLine"})

    def _read_header(self) -> None:
        fields: dict[str, str] = {}
        for event, name, element in iterate(
            self.source, self.detection, self.limits, ("header", *COMPANY, *BODY), ("start", "end")
        ):
            if name in BODY:
                break
            if event == "end":
                fields.update(
                    fields_of(element) if name == "header" else {name: (element.text or "").strip()}
                )
        self.header = Header(
            format=Format.XAF,
            version=self.detection.version,
            company=_company(fields),
            years=(self._year(fields),),
            currency=fields.get("curCode", ""),
            software=fields.get("softwareDesc", ""),
            software_version=fields.get("softwareVersion", ""),
            written_on=optional_day(fields.get("dateCreated", "")),
        )

    def _year(self, fields: dict[str, str]) -> FiscalYear:
        """Return the fiscal year. Raises `LedgerFileRefused` for one that cannot be."""
        name = fields.get("fiscalYear", "")
        starts_on, ends_on = (
            optional_day(fields.get("startDate", "")),
            optional_day(fields.get("endDate", "")),
        )
        if starts_on is None or ends_on is None:
            if not (len(name) == 4 and name.isdecimal() and name.isascii() and name != "0000"):
                raise LedgerFileRefused(
                    RefusalCode.NO_YEAR, f"{self.name} has no fiscal year: no startDate and endDate."
                )
            return FiscalYear(name=name, starts_on=date(int(name), 1, 1), ends_on=date(int(name), 12, 31))
        return fiscal_year(self.name, starts_on, ends_on, name or str(starts_on.year))

    def _reader(self, tally: Tally, kinds: frozenset[type]) -> RecordReader:
        return _XafReader(FilePass(tally, kinds), self.limits, self.header.years)


def _company(fields: dict[str, str]) -> Company:
    return Company(
        name=fields.get("companyName", ""),
        registration_number=fields.get("Commercenr", ""),
        tax_number=fields.get("taxRegIdent", ""),
        software_id=fields.get("companyIdent", ""),
        country=fields.get("taxRegistrationCountry", ""),
    )


class _XafReader(EntryReader):
    JOURNAL_NAME = "journal"
    ENTRY_NAME = "transaction"
    LINE_NAME = "trLine"
    DATE_NAME = "trDt"
    TOTALS_NAME = "transactions"
    TOTALS: ClassVar = {"linesCount": "lines", "totalDebit": "debit", "totalCredit": "credit"}

    def __init__(self, file_pass: FilePass, limits: Limits, years: tuple[FiscalYear, ...]) -> None:
        super().__init__(file_pass, limits, years)
        (self.year,) = years
        self.dimensions: set[str] = set()
        self.new_dimensions: list[Record] = []
        self.handlers |= {
            "customerSupplier": self._party,
            "ledgerAccount": self._account,
            "basic": self._basic,
            "vatCode": self._vat_code,
            "period": self._period,
            "obLine": self._opening,
        }

    def _party(self, element: Element) -> list[Record]:
        fields, at, file_pass = fields_of(element), line_of(element), self.file_pass
        address = child(element, "streetAddress")
        address_fields = fields_of(address) if address is not None else {}
        code = fields.get("custSupID", "")
        party = Party(
            code=code,
            name=file_pass.name(fields.get("custSupName", ""), at),
            kind=PARTY_KINDS.get(fields.get("custSupTp", ""), PartyKind.OTHER),
            registration_number=fields.get("commerceNr", ""),
            tax_number=fields.get("taxRegIdent", ""),
            country=address_fields.get("country", "") or fields.get("taxRegistrationCountry", ""),
            city=file_pass.name(address_fields.get("city", ""), at),
            email=fields.get("eMail", ""),
            at=at,
        )
        return [party, *self._party_balances(fields, code, at)]

    def _party_balances(self, fields: dict[str, str], code: str, at: int) -> list[Record]:
        """Return the balances of a customer or supplier, which 4.0 has in `opBalDesc` and `clBalDesc`."""
        balances: list[Record] = []
        for kind, amount_name, side_name in (
            (BalanceKind.OPENING, "opBalDesc", "opBalTp"),
            (BalanceKind.CLOSING, "clBalDesc", "clBalTp"),
        ):
            amount = self.file_pass.optional_amount(fields.get(amount_name, ""), at)
            if amount is not None and fields.get(side_name) in SIDES:
                signed = amount * SIDES[fields[side_name]]
                balances.append(
                    Balance(
                        kind=kind, account="", amount=signed, fiscal_year=self.year.name, party=code, at=at
                    )
                )
        return balances

    def _account(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = self.file_pass.code(_text(element, "accID"), at)
        if not code:
            self.file_pass.log.add(
                FindingCode.RECORD_UNREADABLE, f"Line {at}: an account has no accID.", at, "ledgerAccount"
            )
            return []
        rgs = fields.get("RGScode") or fields.get("leadReference", "")
        stated = {"B": AccountKind.BALANCE, "P": AccountKind.RESULT}.get(fields.get("accTp", ""))
        kind = RGS_KINDS.get(rgs[:4]) if stated is AccountKind.BALANCE else None
        name = self.file_pass.name(fields.get("accDesc", ""), at)
        return [
            Account(
                code=code, name=name, kind=kind or stated or AccountKind.UNKNOWN, standard_code=rgs, at=at
            )
        ]

    def _basic(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        name = BASICS.get(fields.get("basicType", ""))
        if name is None:
            return []
        self._use_dimension(name)
        text = self.file_pass.name(fields.get("basicDesc", ""), at)
        value = DimensionValue(
            dimension=DIMENSIONS[name][0], code=fields.get("basicID", ""), name=text, at=at
        )
        return [*self._declared_dimensions(), value]

    def _use_dimension(self, name: str) -> str:
        code, title = DIMENSIONS[name]
        if code not in self.dimensions:
            self.dimensions.add(code)
            self.new_dimensions.append(Dimension(code=code, name=title))
        return code

    def _declared_dimensions(self) -> list[Record]:
        records, self.new_dimensions = self.new_dimensions, []
        return records

    def _vat_code(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        return [
            VatCode(
                code=fields.get("vatID", ""),
                name=self.file_pass.name(fields.get("vatDesc", ""), at),
                payable_account=fields.get("vatToPayAccID", ""),
                receivable_account=fields.get("vatToClaimAccID", ""),
                at=at,
            )
        ]

    def _period(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        starts_on = self.file_pass.day(fields.get("startDatePeriod", ""), at)
        ends_on = self.file_pass.day(fields.get("endDatePeriod", ""), at)
        return [
            Period(
                number=fields.get("periodNumber", ""),
                name=fields.get("periodDesc", ""),
                starts_on=starts_on,
                ends_on=ends_on,
                at=at,
            )
        ]

    def _opening(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        try:
            account = self.file_pass.code(_text(element, "accID"), at)
            amount = self._signed(account, fields.get("amnt", ""), fields.get("amntTp", ""), at, counts=False)
        except Unreadable as problem:
            self.file_pass.log.add(
                FindingCode.BALANCE_UNREADABLE, f"Line {at}: an opening balance: {problem}.", at, "obLine"
            )
            return []
        year = self.year.name
        return [Balance(kind=BalanceKind.OPENING, account=account, amount=amount, fiscal_year=year, at=at)]

    def _signed(self, account: str, amount_text: str, side: str, at: int, *, counts: bool = True) -> Decimal:
        """Return an amount, a debit positive. Raises `Unreadable`.

        A negative one on the side of debit is a credit, and the other way round.
        """
        if not account:
            raise Unreadable("it has no account (accID)")
        amount = self.file_pass.amount(amount_text, at)
        side_factor = _side(side)
        if not side_factor:
            raise Unreadable(f"“{side[:20]}” is neither D nor C (amntTp)")
        if amount < ZERO:
            if counts:
                totals = self.file_pass.tally.totals
                if side_factor > 0:
                    totals.negative_debit += amount
                else:
                    totals.negative_credit += amount
            self.file_pass.log.add_repair(
                RepairCode.NEGATIVE_AMOUNT, "Amounts below zero count on the other side.", at, "amnt"
            )
        return amount if side_factor > 0 else -amount

    def _line_of(self, element: Element, at: int) -> Line:
        local, file_pass = LOCAL, self.file_pass
        fields: dict[str, str] = {}
        vat: list[dict[str, str]] = []
        foreign_fields = None
        for part in element:
            name = local[part.tag]
            if name == "vat":
                vat.append(fields_of(part))
            elif name == "currency":
                foreign_fields = fields_of(part)
            elif text := part.text:
                fields[name] = text
        get = fields.get
        account = file_pass.code(get("accID"), at)
        amount = self._signed(account, get("amnt", ""), get("amntTp", ""), at)
        side = _side(get("amntTp", ""))
        return Line(
            number=get("nr", ""),
            account=account,
            amount=amount,
            text=file_pass.name(get("desc", ""), at),
            at=at,
            effective_on=file_pass.day(get("effDate", ""), at),
            document=get("docRef", "").strip(),
            party=get("custSupID", "").strip(),
            invoice=get("invRef", "").strip(),
            dimensions=self._line_dimensions(fields),
            vat=tuple(self._vat(written, amount, side, at) for written in vat),
            foreign=self._foreign(foreign_fields, amount, side, at) if foreign_fields else None,
            quantity=file_pass.optional_amount(get("qntity", ""), at) if "qntity" in fields else None,
        )

    def _line_number(self, element: Element) -> str:
        return fields_of(element).get("nr", "")

    def _line_dimensions(self, fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
        if fields.keys().isdisjoint(DIMENSIONS):
            return ()
        return tuple(
            (self._use_dimension(name), fields[name].strip())
            for name in DIMENSIONS
            if fields.get(name, "").strip()
        )

    def _vat(self, fields: dict[str, str], line_amount: Decimal, line_side: int, at: int) -> LineVat:
        side, file_pass = _side(fields.get("vatAmntTp", "")), self.file_pass
        return LineVat(
            code=fields.get("vatID", ""),
            rate=file_pass.optional_amount(fields.get("vatPerc", ""), at),
            amount=file_pass.line_vat(fields.get("vatAmnt", ""), side, line_amount, line_side, at),
        )

    def _foreign(self, fields: dict[str, str], amount: Decimal, side: int, at: int) -> ForeignAmount | None:
        return self.file_pass.foreign(fields.get("curCode", ""), fields.get("curAmnt", ""), amount, side, at)

    def _journal_of(self, element: Element) -> Journal:
        fields, at = fields_of(element), line_of(element)
        code = self.file_pass.code(_text(element, "jrnID"), at)
        name = self.file_pass.name(fields.get("desc", ""), at)
        return Journal(
            code=code, name=name, kind=fields.get("jrnTp", ""), account=fields.get("offsetAccID", ""), at=at
        )

    def _read_entry(self, element: Element) -> list[Record]:
        records = super()._read_entry(element)
        return [*self._declared_dimensions(), *records] if self.new_dimensions else records

    def _entry_of(self, element: Element, lines: list[Line], at: int) -> Entry:
        fields, file_pass = fields_of(element), self.file_pass
        number = fields.get("nr", "")
        return Entry(
            key=file_pass.key(self.journal.code, number, at),
            journal=self.journal.code,
            number=number,
            booked_on=self._booked_on(number, (file_pass.day(fields.get("trDt", ""), at),), lines, at),
            fiscal_year=self.year.name,
            period_number=fields.get("periodNumber", ""),
            text=file_pass.name(fields.get("desc", ""), at),
            lines=lines,
            at=at,
        )


def _side(text: str) -> int:
    """Return 1 for D, -1 for C, and 0 for anything else."""
    return SIDES.get(text) or SIDES.get(text.strip().upper(), 0)


def _text(element: Element, name: str) -> str | None:
    """Return the text of a child as it stands."""
    part = child(element, name)
    return None if part is None else part.text
