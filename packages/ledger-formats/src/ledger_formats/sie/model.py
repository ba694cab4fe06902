"""The content of a SIE file, and its unreadable lines."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from ledger_formats.findings import FindingCode, RepairCode

NO_DATE = date.min
LINE_NAMES = ("TRANS", "RTRANS")
BALANCE_NAMES = ("IB", "UB", "RES", "OIB", "OUB", "PSALDO")


@dataclass(frozen=True, kw_only=True)
class SkippedLine:
    """A line that is not in the books. `line` counts from 1, as an editor does. `code` is what it would have
    been: a line of an entry, a balance, or another record.
    """

    line: int
    reason: str
    code: FindingCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What other lines showed and was completed. `line` is where it is missing; 0 for the whole file."""

    code: RepairCode
    sentence: str
    line: int = 0


@dataclass(kw_only=True)
class SieLine:
    """`objects` are (dimension number, object code). A debit is positive. `at` is its line in the file."""

    account: str
    objects: list[tuple[str, str]]
    amount: Decimal
    booked_on: date | None
    text: str
    at: int = 0


@dataclass(kw_only=True)
class Voucher:
    """`series` and `number` as the file has them; numbers repeat in some files and may be blank.

    `year` is the number of its fiscal year as in #RAR: 0 the file's own, -1 the one before.
    """

    series: str
    number: str
    booked_on: date
    text: str
    lines: list[SieLine] = field(default_factory=list)
    at: int = 0
    entered_on: date | None = None
    year: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectBalance:
    """An amount of #PSALDO (with a `period`, YYYYMM), #OIB (`is_opening`) or #OUB, by account and objects.

    An account's amounts for objects of several dimensions count the same money more than once.
    """

    year: int
    period: str
    account: str
    objects: tuple[tuple[str, str], ...]
    amount: Decimal
    is_opening: bool = False


@dataclass
class SieYear:
    """A year of #RAR. `opening`, `closing` and `result` are its #IB, #UB and #RES, by account."""

    starts_on: date | None = None
    ends_on: date | None = None
    opening: dict[str, Decimal] = field(default_factory=dict)
    closing: dict[str, Decimal] = field(default_factory=dict)
    result: dict[str, Decimal] = field(default_factory=dict)

    @property
    def stated(self) -> dict[str, Decimal]:
        return {**self.closing, **self.result}

    def has(self, day: date) -> bool:
        return (
            self.starts_on is not None and self.ends_on is not None and self.starts_on <= day <= self.ends_on
        )


@dataclass
class SieFile:
    """One file.

    `years` is by the number in #RAR. Every one of the `line_count` lines that are not blank is either
    understood or one of `skipped_lines`.
    """

    source: str
    name: str = ""
    number: str = ""
    program: str = ""
    kind: str = "4"
    """#SIETYP: 1 balances, 2 balances by period, 3 balances of objects, 4 entries."""
    software_id: str = ""
    """#FNR: what the program that wrote the file calls the company."""
    written_on: date | None = None
    covers_until: date | None = None
    """#OMFATTN: up to which day the balances of a running year reach."""
    encoding: str = ""
    stated_encoding: str = ""
    currency: str = "SEK"
    accounts: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    dimensions: dict[str, str] = field(default_factory=dict)
    objects: dict[tuple[str, str], str] = field(default_factory=dict)
    years: dict[int, SieYear] = field(default_factory=dict)
    vouchers: list[Voucher] = field(default_factory=list)
    object_balances: list[ObjectBalance] = field(default_factory=list)
    standard_accounts: dict[str, str] = field(default_factory=dict)
    """#SRU: the code of the tax form, by account."""
    struck_count: int = 0
    """Lines of #BTRANS and #RTRANS: the history of corrections, which is not in the books."""
    completions: list[Completion] = field(default_factory=list)
    undeclared_accounts: list[str] = field(default_factory=list)
    line_count: int = 0
    understood_count: int = 0
    skipped_lines: list[SkippedLine] = field(default_factory=list)

    @property
    def year(self) -> SieYear:
        """The file's own fiscal year."""
        return self.years.setdefault(0, SieYear())

    @property
    def starts_on(self) -> date | None:
        return self.year.starts_on

    @property
    def ends_on(self) -> date | None:
        return self.year.ends_on

    @property
    def opening(self) -> dict[str, Decimal]:
        return self.year.opening

    def skip(self, line: int, label: str, problem: str) -> None:
        """Leave a line out of the books, by its label such as #TRANS."""
        self.skipped_lines.append(
            SkippedLine(line=line, reason=f"{label[:20]}: {problem}", code=code_of(label))
        )


def code_of(label: str) -> FindingCode:
    """Return what is lost with a line of this label; programs also forget the #."""
    name = label.removeprefix("#")
    if name in LINE_NAMES:
        return FindingCode.LINE_UNREADABLE
    return FindingCode.BALANCE_UNREADABLE if name in BALANCE_NAMES else FindingCode.RECORD_UNREADABLE
