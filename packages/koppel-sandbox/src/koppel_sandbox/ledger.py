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


@dataclass(slots=True, kw_only=True)
class Account:
    """`kind` is asset, liability, income or expense."""

    code: str
    name: str
    kind: str
    active: bool = True


@dataclass(slots=True, kw_only=True)
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


@dataclass(slots=True, kw_only=True)
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


@dataclass(slots=True, kw_only=True)
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


@dataclass(slots=True, kw_only=True)
class Contact:
    number: str
    name: str
    city: str
    email: str
    corporate_id: str = ""
    status: str = "Active"


@dataclass(slots=True, kw_only=True)
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
    period. `stated_by_year` does so for the last period of a fiscal year, `opening_by_year` for its opening
    balances; without these they follow from the year before. `dimensions` maps a dimension id to its name,
    `values` (dimension id, value id) to a name.
    """

    accounts: dict[str, Account]
    periods: list[Period]
    entries: list[Entry]
    modified: datetime
    opening: dict[str, Decimal] = field(default_factory=dict)
    stated: dict[str, Decimal] = field(default_factory=dict)
    opening_by_year: dict[int, dict[str, Decimal]] = field(default_factory=dict)
    stated_by_year: dict[int, dict[str, Decimal]] = field(default_factory=dict)
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
    accounts = {account for account, _period in moves} | set(books.opening) | set(books.stated)
    for table in (*books.opening_by_year.values(), *books.stated_by_year.values()):
        accounts |= set(table)
    running = {account: books.opening.get(account, ZERO) for account in sorted(accounts)}
    last_periods = {period.year: period.key for period in books.periods}
    year = None
    for period in books.periods:
        if period.year != year:
            _turn_year(books, running, period.year, is_first=year is None)
            year = period.year
        is_last = period.key == last_periods[period.year]
        statements = _statements(books, period) if is_last else {}
        for account, opening in list(running.items()):
            debit, credit = moves.get((account, period.key), (ZERO, ZERO))
            closing = opening + debit - credit
            running[account] = closing
            stated = statements.get(account, closing)
            if opening or debit or credit or stated or account in books.stated:
                yield Balance(
                    account=account,
                    period=period.key,
                    opening=opening,
                    debit=debit,
                    credit=credit,
                    closing=stated,
                )


def _statements(books: Books, period: Period) -> dict[str, Decimal]:
    """Return the closing balances that are stated for the last period of a fiscal year."""
    is_last = period.key == books.periods[-1].key
    return {**(books.stated if is_last else {}), **books.stated_by_year.get(period.year, {})}


def _turn_year(books: Books, running: dict[str, Decimal], year: int, *, is_first: bool) -> None:
    if year in books.opening_by_year:
        running.update({code: books.opening_by_year[year].get(code, ZERO) for code in running})
        return
    if is_first:
        return
    result = ZERO
    for code, amount in running.items():
        if books.accounts[code].kind in RESULT_KINDS:
            result += amount
            running[code] = ZERO
    if books.result_account:
        running[books.result_account] = running.get(books.result_account, ZERO) + result
