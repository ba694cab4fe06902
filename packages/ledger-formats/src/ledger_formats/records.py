"""The records of a ledger, the same for every format.

Amounts are `Decimal`; a debit is positive, a credit negative. Texts are stripped and composed (NFC); '' means
that the file does not say. `at` is the line in the file, counted from 1: in its part, where several files are
one ledger.
"""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

ZERO = Decimal(0)


class Format(StrEnum):
    SIE = "SIE"
    SIE5 = "SIE 5"
    XAF = "XAF"
    SAFT = "SAF-T Financial"


class AccountKind(StrEnum):
    """What the file says about an account. XAF knows BALANCE and RESULT only, SAF-T nothing."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"
    BALANCE = "balance"
    RESULT = "result"
    UNKNOWN = "unknown"


class PartyKind(StrEnum):
    CUSTOMER = "customer"
    SUPPLIER = "supplier"
    BOTH = "both"
    OTHER = "other"


class BalanceKind(StrEnum):
    """OPENING and CLOSING are of a fiscal year, or of the range of the file; PERIOD is the movement of one
    period.
    """

    OPENING = "opening"
    CLOSING = "closing"
    PERIOD = "period"


@dataclass(slots=True, kw_only=True)
class Company:
    """`software_id` is what the program that wrote the file calls the company."""

    name: str = ""
    registration_number: str = ""
    tax_number: str = ""
    software_id: str = ""
    country: str = ""


@dataclass(slots=True, kw_only=True)
class FiscalYear:
    """`name` is unique in the file, such as 2025 or 2024/2025. `is_own`: the year that the file is about."""

    name: str
    starts_on: date
    ends_on: date
    is_own: bool = True


@dataclass(slots=True, kw_only=True)
class Header:
    """`covers_until` is set where the file ends within its year. `kind` is the SIE type: 1 to 4."""

    format: Format
    version: str
    company: Company
    years: tuple[FiscalYear, ...] = ()
    currency: str = ""
    software: str = ""
    software_version: str = ""
    written_on: date | None = None
    covers_until: date | None = None
    kind: str = ""

    @property
    def year(self) -> FiscalYear | None:
        """The year that the file is about."""
        return next((year for year in self.years if year.is_own), None)


@dataclass(slots=True, kw_only=True)
class Account:
    """`standard_code` is of a national scheme: RGS, SRU, a Norwegian standard account or grouping."""

    code: str
    name: str = ""
    kind: AccountKind = AccountKind.UNKNOWN
    standard_code: str = ""
    at: int = 0


@dataclass(slots=True, kw_only=True)
class Party:
    """A customer or a supplier."""

    code: str
    name: str = ""
    kind: PartyKind = PartyKind.OTHER
    registration_number: str = ""
    tax_number: str = ""
    country: str = ""
    city: str = ""
    email: str = ""
    at: int = 0


@dataclass(slots=True, kw_only=True)
class VatCode:
    """`rate` in percent. `standard_code` is the code of a national scheme."""

    code: str
    name: str = ""
    rate: Decimal | None = None
    standard_code: str = ""
    payable_account: str = ""
    receivable_account: str = ""
    at: int = 0


@dataclass(slots=True, kw_only=True)
class Period:
    number: str
    name: str = ""
    starts_on: date | None = None
    ends_on: date | None = None
    at: int = 0


@dataclass(slots=True, kw_only=True)
class Dimension:
    code: str
    name: str = ""
    at: int = 0


@dataclass(slots=True, kw_only=True)
class DimensionValue:
    dimension: str
    code: str
    name: str = ""
    at: int = 0


@dataclass(slots=True, kw_only=True)
class Balance:
    """A balance as the file states it. With `party` or `dimensions` it is a part of its account's balance.

    `period` is set for the kind PERIOD, as the file writes it: 202501 in SIE.
    """

    kind: BalanceKind
    account: str
    amount: Decimal
    fiscal_year: str = ""
    period: str = ""
    party: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    at: int = 0

    @property
    def is_of_account(self) -> bool:
        return self.kind is not BalanceKind.PERIOD and not self.party and not self.dimensions


@dataclass(slots=True, kw_only=True)
class Journal:
    """`kind` is the letter or word of the format: XAF has B bank, C cash, P purchase, S sales and others."""

    code: str
    name: str = ""
    kind: str = ""
    account: str = ""
    at: int = 0


@dataclass(slots=True)
class ForeignAmount:
    """An amount in another currency, with the sign of its line: a debit is positive in all formats."""

    currency: str
    amount: Decimal


@dataclass(slots=True, kw_only=True)
class LineVat:
    """VAT that a line states. It may also be booked as a line of its own: never add it.

    `amount` is signed as lines are, in all formats: VAT of a debit is positive, of a credit negative. Of a
    sale it is negative. It has the sign of its line, unless the file
    writes it on the other side.
    """

    code: str
    rate: Decimal | None = None
    amount: Decimal | None = None


@dataclass(slots=True, kw_only=True)
class Line:
    """A line of an entry. `dimensions` are pairs of a dimension's code and a value's code."""

    number: str
    account: str
    amount: Decimal
    text: str = ""
    at: int = 0
    effective_on: date | None = None
    document: str = ""
    party: str = ""
    invoice: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()
    vat: tuple[LineVat, ...] = ()
    foreign: ForeignAmount | None = None
    quantity: Decimal | None = None
    due_on: date | None = None


@dataclass(slots=True, kw_only=True)
class Entry:
    """One booking. `key` is unique in the ledger, `number` is as the file has it and may repeat or be ''.

    `period_number` is as the file numbers the periods of the fiscal year: 1, 01, or 13 for corrections; '' in
    SIE and SIE 5, which do not number them. `calendar_month` is the same in all formats.
    """

    key: str
    journal: str
    number: str
    booked_on: date
    fiscal_year: str
    period_number: str = ""
    text: str = ""
    entered_on: date | None = None
    lines: list[Line] = field(default_factory=list)
    at: int = 0

    @property
    def calendar_month(self) -> str:
        """The month of its date, such as 2025-01."""
        return self.booked_on.isoformat()[:7]

    @property
    def balance(self) -> Decimal:
        """The sum of its lines: zero, in books that are right."""
        return sum((line.amount for line in self.lines), ZERO)


Record = Account | Party | VatCode | Period | Dimension | DimensionValue | Balance | Journal | Entry
