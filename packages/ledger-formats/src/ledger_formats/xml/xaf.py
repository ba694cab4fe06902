"""XML Auditfile Financieel (XAF) 3.2, 3.2.1 and 4.0, of the Dutch tax office.

Schemas: https://odb.belastingdienst.nl (4.0), http://www.auditfiles.nl/XAF/3.2. Their elements are those of
both; 4.0 renamed a few and dropped sub-ledgers.
"""

from datetime import date
from decimal import Decimal

from ledger_formats.checks import Tally
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import FindingCode, RepairCode
from ledger_formats.ledger_file import refuse_years
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
from ledger_formats.xml.ledger import (
    Reading,
    RecordReader,
    XmlLedger,
    check_line_count,
    check_parent,
    line_of,
)
from ledger_formats.xml.parsing import LOCAL, Element, child, fields_of, iterate

BODY = ("customersSuppliers", "generalLedger", "vatCodes", "periods", "openingBalance", "transactions")
COMPANY = ("companyIdent", "Commercenr", "companyName", "taxRegistrationCountry", "taxRegIdent")
SUBLEDGERS = ("sbLine", "obSbLine")
"""Sub-ledgers repeat lines of the ledger by customer and supplier; those of the ledger name them already."""
YEAR_DAYS_MAX = 732
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
            Format.XAF,
            self.detection.version,
            _company(fields),
            (self._year(fields),),
            fields.get("curCode", ""),
            fields.get("softwareDesc", ""),
            fields.get("softwareVersion", ""),
            _day(fields.get("dateCreated", "")),
        )

    def _year(self, fields: dict[str, str]) -> FiscalYear:
        """Return the fiscal year. Raises `LedgerFileRefused` for one that cannot be."""
        name = fields.get("fiscalYear", "")
        starts_on, ends_on = _day(fields.get("startDate", "")), _day(fields.get("endDate", ""))
        if starts_on is None or ends_on is None:
            if not (len(name) == 4 and name.isdecimal() and name.isascii() and name != "0000"):
                raise LedgerFileRefused(
                    RefusalCode.NO_YEAR, f"{self.name} has no fiscal year: no startDate and endDate."
                )
            return FiscalYear(name, date(int(name), 1, 1), date(int(name), 12, 31))
        if ends_on < starts_on:
            raise refuse_years(self.name, f"the year ends before it begins ({starts_on} to {ends_on})")
        if (ends_on - starts_on).days > YEAR_DAYS_MAX:
            raise refuse_years(self.name, "its fiscal year is longer than two years")
        return FiscalYear(name or str(starts_on.year), starts_on, ends_on)

    def _reader(self, tally: Tally, kinds: frozenset[type]) -> RecordReader:
        (year,) = self.header.years
        return _XafReader(Reading(tally, kinds), self.limits, year)


def _company(fields: dict[str, str]) -> Company:
    return Company(
        fields.get("companyName", ""),
        fields.get("Commercenr", ""),
        fields.get("taxRegIdent", ""),
        fields.get("companyIdent", ""),
        fields.get("taxRegistrationCountry", ""),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


class _XafReader(RecordReader):
    def __init__(self, reading: Reading, limits: Limits, year: FiscalYear) -> None:
        super().__init__(reading, limits)
        self.year = year
        self.journal = Journal("")
        self.journal_element: Element = None
        self.lines: list[Line] = []
        self.dimensions: set[str] = set()
        self.new_dimensions: list[Record] = []
        self.handlers = {
            "customerSupplier": self._party,
            "ledgerAccount": self._account,
            "basic": self._basic,
            "vatCode": self._vat_code,
            "period": self._period,
            "obLine": self._opening,
            "journal": self._end_journal,
            "linesCount": self._total,
            "totalDebit": self._total,
            "totalCredit": self._total,
        }
        if Entry in reading.kinds:
            self.handlers |= {"trLine": self._line, "transaction": self._entry}
        elif Journal in reading.kinds:
            self.handlers["transaction"] = self._begin_journal

    def _party(self, element: Element) -> list[Record]:
        fields, at, reading = fields_of(element), line_of(element), self.reading
        address = child(element, "streetAddress")
        address_fields = fields_of(address) if address is not None else {}
        code = fields.get("custSupID", "")
        party = Party(
            code,
            reading.name(fields.get("custSupName", ""), at),
            PARTY_KINDS.get(fields.get("custSupTp", ""), PartyKind.OTHER),
            fields.get("commerceNr", ""),
            fields.get("taxRegIdent", ""),
            address_fields.get("country", "") or fields.get("taxRegistrationCountry", ""),
            reading.name(address_fields.get("city", ""), at),
            fields.get("eMail", ""),
            at,
        )
        return [party, *self._party_balances(fields, code, at)]

    def _party_balances(self, fields: dict[str, str], code: str, at: int) -> list[Record]:
        """Return the balances of a customer or supplier, which 4.0 has in `opBalDesc` and `clBalDesc`."""
        balances: list[Record] = []
        for kind, amount_name, side_name in (
            (BalanceKind.OPENING, "opBalDesc", "opBalTp"),
            (BalanceKind.CLOSING, "clBalDesc", "clBalTp"),
        ):
            amount = self.reading.optional_amount(fields.get(amount_name, ""), at)
            if amount is not None and fields.get(side_name) in SIDES:
                signed = amount * SIDES[fields[side_name]]
                balances.append(Balance(kind, "", signed, self.year.name, party=code, at=at))
        return balances

    def _account(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = self.reading.code(_text(element, "accID"), at)
        if not code:
            self.reading.log.add(
                FindingCode.RECORD_UNREADABLE, f"Line {at}: an account has no accID.", at, "ledgerAccount"
            )
            return []
        rgs = fields.get("RGScode") or fields.get("leadReference", "")
        stated = {"B": AccountKind.BALANCE, "P": AccountKind.RESULT}.get(fields.get("accTp", ""))
        kind = RGS_KINDS.get(rgs[:4]) if stated is AccountKind.BALANCE else None
        name = self.reading.name(fields.get("accDesc", ""), at)
        return [Account(code, name, kind or stated or AccountKind.UNKNOWN, rgs, at)]

    def _basic(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        name = BASICS.get(fields.get("basicType", ""))
        if name is None:
            return []
        self._use_dimension(name)
        text = self.reading.name(fields.get("basicDesc", ""), at)
        value = DimensionValue(DIMENSIONS[name][0], fields.get("basicID", ""), text, at)
        return [*self._declared_dimensions(), value]

    def _use_dimension(self, name: str) -> str:
        code, title = DIMENSIONS[name]
        if code not in self.dimensions:
            self.dimensions.add(code)
            self.new_dimensions.append(Dimension(code, title))
        return code

    def _declared_dimensions(self) -> list[Record]:
        records, self.new_dimensions = self.new_dimensions, []
        return records

    def _vat_code(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        return [
            VatCode(
                fields.get("vatID", ""),
                self.reading.name(fields.get("vatDesc", ""), at),
                payable_account=fields.get("vatToPayAccID", ""),
                receivable_account=fields.get("vatToClaimAccID", ""),
                at=at,
            )
        ]

    def _period(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        starts_on = self.reading.day(fields.get("startDatePeriod", ""), at)
        ends_on = self.reading.day(fields.get("endDatePeriod", ""), at)
        return [Period(fields.get("periodNumber", ""), fields.get("periodDesc", ""), starts_on, ends_on, at)]

    def _opening(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        try:
            account = self.reading.code(_text(element, "accID"), at)
            amount = self._signed(account, fields.get("amnt", ""), fields.get("amntTp", ""), at, counts=False)
        except Unreadable as problem:
            self.reading.log.add(
                FindingCode.BALANCE_UNREADABLE, f"Line {at}: an opening balance: {problem}.", at, "obLine"
            )
            return []
        return [Balance(BalanceKind.OPENING, account, amount, self.year.name, at=at)]

    def _signed(self, account: str, amount_text: str, side: str, at: int, *, counts: bool = True) -> Decimal:
        """Return an amount, a debit positive. Raises `Unreadable`.

        A negative one on the side of debit is a credit, and the other way round.
        """
        if not account:
            raise Unreadable("it has no account (accID)")
        amount = self.reading.amount(amount_text, at)
        sign = SIDES.get(side) or SIDES.get(side.strip().upper())
        if sign is None:
            raise Unreadable(f"“{side[:20]}” is neither D nor C (amntTp)")
        if amount < ZERO:
            if counts:
                totals = self.reading.tally.totals
                if sign > 0:
                    totals.negative_debit += amount
                else:
                    totals.negative_credit += amount
            self.reading.log.add_repair(
                RepairCode.NEGATIVE_AMOUNT, "Amounts below zero count on the other side.", at, "amnt"
            )
        return amount if sign > 0 else -amount

    def _line(self, element: Element) -> list[Record]:
        at, local, reading = element.sourceline or 0, LOCAL, self.reading
        fields: dict[str, str] = {}
        vat: tuple[LineVat, ...] = ()
        foreign_fields = None
        for part in element:
            name = local[part.tag]
            if name == "vat":
                vat += (self._vat(part, at),)
            elif name == "currency":
                foreign_fields = fields_of(part)
            elif text := part.text:
                fields[name] = text
        get = fields.get
        try:
            check_parent(element, "transaction")
            account = reading.code(get("accID"), at)
            amount = self._signed(account, get("amnt", ""), get("amntTp", ""), at)
        except Unreadable as problem:
            self._name_line(get("nr", ""), problem, at)
            return []
        line = Line(
            get("nr", ""),
            account,
            amount,
            reading.name(get("desc", ""), at),
            at,
            reading.day(get("effDate", ""), at),
            get("docRef", "").strip(),
            get("custSupID", "").strip(),
            get("invRef", "").strip(),
            self._line_dimensions(fields),
            vat,
            self._foreign(foreign_fields, amount, at) if foreign_fields else None,
            reading.optional_amount(get("qntity", ""), at) if "qntity" in fields else None,
        )
        self.lines.append(line)
        check_line_count(reading.tally.name, self.lines, self.limits)
        return []

    def _name_line(self, number: str, problem: Unreadable, at: int) -> None:
        self.reading.log.add(
            FindingCode.LINE_UNREADABLE,
            f"Line {at}: line {number[:40]} of an entry is not in the books: {problem}.",
            at,
            "trLine",
        )

    def _line_dimensions(self, fields: dict[str, str]) -> tuple[tuple[str, str], ...]:
        if fields.keys().isdisjoint(DIMENSIONS):
            return ()
        return tuple(
            (self._use_dimension(name), fields[name].strip())
            for name in DIMENSIONS
            if fields.get(name, "").strip()
        )

    def _vat(self, element: Element, at: int) -> LineVat:
        fields = fields_of(element)
        amount = self.reading.optional_amount(fields.get("vatAmnt", ""), at)
        if amount is not None:
            amount *= SIDES.get(fields.get("vatAmntTp", ""), 1)
        return LineVat(
            fields.get("vatID", ""), self.reading.optional_amount(fields.get("vatPerc", ""), at), amount
        )

    def _foreign(self, fields: dict[str, str], amount: Decimal, at: int) -> ForeignAmount | None:
        """Return the amount in another currency, on the side of the line."""
        foreign = self.reading.optional_amount(fields.get("curAmnt", ""), at)
        if foreign is None:
            return None
        return ForeignAmount(fields.get("curCode", ""), -foreign if amount < ZERO < foreign else foreign)

    def _begin_journal(self, element: Element) -> list[Record]:
        """Return the journal of an entry when it is the first of it."""
        parent = element.getparent()
        if parent is self.journal_element:
            return []
        self.journal_element = parent
        return self._read_journal(parent)

    def _read_journal(self, element: Element) -> list[Record]:
        fields, at = fields_of(element), line_of(element)
        code = self.reading.code(_text(element, "jrnID"), at)
        name = self.reading.name(fields.get("desc", ""), at)
        self.journal = Journal(code, name, fields.get("jrnTp", ""), fields.get("offsetAccID", ""), at)
        return [self.journal]

    def _end_journal(self, element: Element) -> list[Record]:
        is_new = element is not self.journal_element
        self.journal_element = None
        return self._read_journal(element) if is_new and Journal in self.reading.kinds else []

    def _entry(self, element: Element) -> list[Record]:
        records = self._begin_journal(element)
        fields, at, reading = fields_of(element), line_of(element), self.reading
        lines, self.lines = self.lines, []
        number = fields.get("nr", "")
        booked_on = self._booked_on(reading.day(fields.get("trDt", ""), at), lines, number, at)
        entry = Entry(
            reading.key(self.journal.code, number, at),
            self.journal.code,
            number,
            booked_on,
            self.year.name,
            fields.get("periodNumber", ""),
            reading.name(fields.get("desc", ""), at),
            None,
            lines,
            at,
        )
        return [*records, *self._declared_dimensions(), entry] if self.new_dimensions else [*records, entry]

    def _booked_on(self, day: date | None, lines: list[Line], number: str, at: int) -> date:
        """Return the date of an entry: its own, else that of a line, else the first day of the year."""
        if day is None:
            days = (line.effective_on for line in lines if line.effective_on)
            day = next(days, self.year.starts_on)
            self.reading.log.add_repair(
                RepairCode.DATE_COMPLETED, f"Entry {number[:40]} has no date; it has that of its lines.", at
            )
        if not self.year.starts_on <= day <= self.year.ends_on:
            self.reading.log.add(
                FindingCode.DATE_OUTSIDE_YEAR,
                f"Entry {number[:40]} is of {day}, outside of the fiscal year.",
                at,
                "trDt",
            )
        return day

    def _total(self, element: Element) -> list[Record]:
        """Keep the totals of `transactions`; opening balances and sub-ledgers have others."""
        parent = element.getparent()
        if parent is None or LOCAL[parent.tag] != "transactions":
            return []
        totals, name = self.reading.tally.totals, LOCAL[element.tag]
        amount = self.reading.optional_amount((element.text or "").strip(), line_of(element))
        if name == "linesCount":
            totals.lines = int(amount) if amount is not None else None
        elif name == "totalDebit":
            totals.debit = amount
        else:
            totals.credit = amount
        return []


def _text(element: Element, name: str) -> str | None:
    """Return the text of a child as it stands."""
    part = child(element, name)
    return None if part is None else part.text
