"""A company's books, independent of a vendor's format: accounts, periods, entries, balances.

Debits are positive.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

ZERO = Decimal(0)
RESULT_KINDS = ("income", "expense")


@dataclass(slots=True)
class Account:
    """`kind` is asset, liability, income or expense."""

    code: str
    name: str
    kind: str
    active: bool = True


@dataclass(slots=True)
class Period:
    """A period.

    `number` counts within the fiscal year, from 1; a fiscal year is named after the calendar year in which it
    starts.
    """

    year: int
    number: int
    starts_on: date
    ends_on: date
    closed: bool = False

    @property
    def key(self) -> str:
        return f"{self.year:04d}{self.number:02d}"


@dataclass(slots=True)
class Line:
    """`objects` are (dimension id, value id)."""

    account: str
    amount: Decimal
    text: str = ""
    objects: tuple[tuple[str, str], ...] = ()
    reference: str = ""
    contact: str = ""
    vat: str = ""
    project: str = ""


@dataclass(slots=True)
class Entry:
    module: str
    number: str
    booked_on: date
    period: str
    text: str
    lines: list[Line]
    modified: datetime
    series: str = ""
    status: str = "Posted"


@dataclass(slots=True)
class Contact:
    number: str
    name: str
    city: str
    email: str
    corporate_id: str = ""
    status: str = "Active"


@dataclass(slots=True)
class Balance:
    account: str
    period: str
    opening: Decimal
    debit: Decimal
    credit: Decimal
    closing: Decimal


@dataclass
class Books:
    """The books of a company.

    `opening` is at the start of the first fiscal year; `stated` replaces the computed closing of the last
    period. `dimensions` maps a dimension id to its name, `values` (dimension id, value id) to a name.
    """

    accounts: dict[str, Account]
    periods: list[Period]
    entries: list[Entry]
    modified: datetime
    opening: dict[str, Decimal] = field(default_factory=dict)
    stated: dict[str, Decimal] = field(default_factory=dict)
    result_account: str = ""
    dimensions: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    departments: dict[str, str] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    customers: list[Contact] = field(default_factory=list)
    suppliers: list[Contact] = field(default_factory=list)
    vat: list[tuple[str, str, str, Decimal]] = field(default_factory=list)
    terms: list[tuple[str, str, int]] = field(default_factory=list)

    def balances(self) -> list[Balance]:
        """Return one balance per account and period with movements, up to the last period in use."""
        return list(_balances(self))

    @property
    def debit_sum(self) -> Decimal:
        return sum((line.amount for entry in self.entries for line in entry.lines if line.amount > 0), ZERO)

    @property
    def line_count(self) -> int:
        return sum(len(entry.lines) for entry in self.entries)


def period_of(periods: list[Period], day: date) -> Period:
    """Return the period of a day; days outside all periods belong to the nearest one."""
    index = bisect.bisect_right([period.starts_on for period in periods], day) - 1
    return periods[max(index, 0)]


def _balances(books: Books) -> Iterable[Balance]:
    moves: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
    for entry in books.entries:
        for line in entry.lines:
            sums = moves[(line.account, entry.period)]
            sums[0 if line.amount > 0 else 1] += abs(line.amount)
    touched = {account for account, _period in moves} | set(books.opening) | set(books.stated)
    running = {account: books.opening.get(account, ZERO) for account in sorted(touched)}
    last = books.periods[-1].key if books.periods else ""
    year = books.periods[0].year if books.periods else 0
    for period in books.periods:
        if period.year != year:
            year = period.year
            _turn_year(books, running)
        for account, opening in list(running.items()):
            debit, credit = moves.get((account, period.key), (ZERO, ZERO))
            closing = opening + debit - credit
            running[account] = closing
            stated = books.stated.get(account, closing) if period.key == last else closing
            if opening or debit or credit or stated or account in books.stated:
                yield Balance(account, period.key, opening, debit, credit, stated)


def _turn_year(books: Books, running: dict[str, Decimal]) -> None:
    result = ZERO
    for code, amount in running.items():
        if books.accounts[code].kind in RESULT_KINDS:
            result += amount
            running[code] = ZERO
    if books.result_account:
        running[books.result_account] = running.get(books.result_account, ZERO) + result
