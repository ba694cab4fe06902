# ruff: noqa: S311 - random numbers for generated books, not for secrets
"""Generates plausible companies of five countries from a seed. Every entry balances."""

import itertools
import math
import random
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial

from koppel_sandbox import numbers
from koppel_sandbox.company import Company
from koppel_sandbox.ledger import ZERO, Account, Books, Contact, Entry, Line, Period, period_of
from koppel_sandbox.locale_data import CHART, COUNTRIES, DEPARTMENTS, Country

LINES_MIN = 200
TENANTS = uuid.UUID("6f1d2f0e-6a0b-4f3e-9d59-5a0d2f3c1b7a")
FIRST_ID = 2_100_001
IDS_PER_SEED = 10_000
"""Companies of another seed have other ids."""
WITHOUT_NUMBER = 11
"""Every n-th company has no number in the accounting system, or a messy or a wrong one."""
ROTATION = ("NL", "NL", "NO", "SE", "NL", "DK", "NO", "FI", "NL", "SE")


def generate_companies(count: int, *, lines_max: int, seed: int, today: date) -> list[Company]:
    """Generate `count` companies with 200 to `lines_max` entry lines.

    Their sizes are spread evenly on a logarithmic scale.
    """
    generated: list[Company] = []
    names: set[str] = set()
    for index in range(count):
        generated.append(
            _company(index, count, lines_max=lines_max, seed=seed, today=today, used_names=names)
        )
        names.add(generated[-1].name)
    return generated


def _company(
    index: int, count: int, *, lines_max: int, seed: int, today: date, used_names: set[str]
) -> Company:
    country = COUNTRIES[ROTATION[index % len(ROTATION)]]
    dice = random.Random(f"{seed}/{index}")
    share = _rank(index, count) / max(1, count - 1)
    size = round(LINES_MIN * (max(lines_max, LINES_MIN) / LINES_MIN) ** min(share, 1))
    number = _clean_number(country.code, seed * 1000 + index)
    registration, vat = _as_typed(index, country, number)
    name = country.name(dice)
    for city in (*[""] * 30, *country.cities, *map(str, range(2, 10_000))):
        if name not in used_names:
            break
        name = country.name(dice, city)
    units = (("1", name), ("2", f"{name} {country.cities[1]}")) if index % 9 == 4 else (("1", name),)
    return Company(
        id=FIRST_ID + (seed - 1) % 90_000 * IDS_PER_SEED + index,
        tenant_id=str(uuid.uuid5(TENANTS, f"{seed}/{index}")),
        name=name,
        country=country.code,
        currency=country.currency,
        number=registration,
        vat_number=vat,
        city=dice.choice(country.cities),
        units=units,
        make_books=lambda: _Bookkeeper(
            country=country,
            seed=f"{seed}/{index}/books",
            size=size,
            has_mid_year_start=index % 19 == 7,
            today=today,
        ).books(),
    )


def _rank(index: int, count: int) -> int:
    """Return the rank of a company by size, such that large and small ones alternate.

    Each rank is used once: the stride and `count` are coprime.
    """
    stride = next(step for step in itertools.count(7) if math.gcd(step, count) == 1)
    return index * stride % count


def _clean_number(country: str, seed: int) -> str:
    make = {
        "NL": numbers.kvk,
        "NO": numbers.organisasjonsnummer,
        "SE": numbers.organisationsnummer,
        "DK": numbers.cvr,
        "FI": numbers.y_tunnus,
    }
    return make[country](seed)


def _as_typed(index: int, country: Country, number: str) -> tuple[str, str]:
    """Return the two fields as typed into the accounting system.

    Mostly right, sometimes messy, swapped, a dummy or empty.
    """
    vat = country.vat(number)
    if index % WITHOUT_NUMBER == 5:
        return "", ""
    if index % 23 == 12:
        return "12345678" if country.code in ("NL", "DK") else "999999999", vat
    if index % 17 == 9 and country.code != "NL":
        return vat, vat
    if index % 7 == 3:
        return f"{country.code} {number[:3]} {number[3:6]} {number[6:]}", vat
    return number, vat


@dataclass(kw_only=True)
class _Bookkeeper:
    country: Country
    seed: str
    size: int
    has_mid_year_start: bool
    today: date

    def books(self) -> Books:
        dice = random.Random(self.seed)
        accounts = {
            code: Account(code=code, name=name[self.country.language], kind=kind)
            for code, kind, name in CHART
        }
        periods = self._periods()
        books = Books(
            accounts=accounts,
            periods=periods,
            entries=[],
            modified=datetime.combine(periods[0].starts_on, datetime.min.time(), UTC),
            result_account="2050",
            vat=self.country.vat_codes,
            terms=[(str(days), f"{days} {self.country.days}", days) for days in (8, 14, 30, 60)],
            departments=dict(DEPARTMENTS),
            projects={f"P{number:03d}": f"Project {number}" for number in range(1, 2 + self.size // 800)},
            dimensions={"1": "Department", "2": "Region"},
        )
        books.values = {("1", code): name for code, name in DEPARTMENTS.items()}
        books.values |= {("2", str(place)): city for place, city in enumerate(self.country.cities, 1)}
        books.customers = self._contacts(dice, 10001, 5 + self.size // 60)
        books.suppliers = self._contacts(dice, 50001, 4 + self.size // 120)
        self._open(books, dice)
        self._fill(books, dice)
        return books

    def _periods(self) -> list[Period]:
        """Return the periods of the previous fiscal year, and of this one up to the current month."""
        first_month = 7 if self.has_mid_year_start else 1
        start_year = self.today.year - (1 if self.today.month < first_month else 0)
        periods = []
        for year in (start_year - 1, start_year):
            for number in range(1, 13):
                starts_on = date(
                    year + (first_month + number - 2) // 12, (first_month + number - 2) % 12 + 1, 1
                )
                if starts_on <= self.today:
                    ends_on = (starts_on + timedelta(days=31)).replace(day=1) - timedelta(days=1)
                    periods.append(
                        Period(
                            year=year,
                            number=number,
                            starts_on=starts_on,
                            ends_on=ends_on,
                            closed=year < start_year,
                        )
                    )
        return periods

    def _contacts(self, dice: random.Random, first: int, count: int) -> list[Contact]:
        contacts = []
        for index in range(count):
            name = self.country.name(dice)
            mail = f"info{first + index}@{self.country.code.lower()}.example"
            number = _clean_number(self.country.code, first + index)
            status = "Inactive" if index % 31 == 30 else "Active"
            contacts.append(
                Contact(
                    number=str(first + index),
                    name=name,
                    city=dice.choice(self.country.cities),
                    email=mail,
                    corporate_id=number,
                    status=status,
                )
            )
        return contacts

    def _open(self, books: Books, dice: random.Random) -> None:
        for code, kind, _name in CHART:
            if kind in ("asset", "liability") and code != "2050":
                amount = Decimal(dice.randrange(100_000, 90_000_00)) / 100
                books.opening[code] = amount if kind == "asset" else -amount
        books.opening["2050"] = -sum(books.opening.values(), ZERO)

    def _fill(self, books: Books, dice: random.Random) -> None:
        first, last = books.periods[0].starts_on, min(books.periods[-1].ends_on, self.today)
        days, lines, numbers_used = (last - first).days + 1, 0, dict.fromkeys(("GL", "AR", "AP", "CA"), 0)
        entries_expected = max(1, self.size // 3)
        index = 0
        while lines < self.size:
            day = first + timedelta(days=min(days - 1, index * days // entries_expected))
            module, text, entry_lines = self._transaction(books, dice, self.size - lines)
            numbers_used[module] += 1
            entered = _midnight(day) + timedelta(seconds=dice.randrange(28_800, 64_800))
            entered = min(entered, _midnight(self.today))  # never in the future
            number = f"{numbers_used[module]:06d}"
            books.entries.append(
                Entry(
                    module=module,
                    number=number,
                    booked_on=day,
                    period=period_of(books.periods, day).key,
                    text=text,
                    lines=entry_lines,
                    modified=entered,
                )
            )
            lines += len(entry_lines)
            index += 1

    def _transaction(self, books: Books, dice: random.Random, room: int) -> tuple[str, str, list[Line]]:
        """Return the module, text and lines of a random sale, purchase, payment or transfer."""
        amounts = self._amounts(books, dice)
        kind = dice.random()
        if room < 3 or kind > 0.85:
            return "GL", self.country.transfer, _transfer(amounts, debit="1920", credit="2400")
        if kind < 0.4:
            return "AR", f"{self.country.invoice} {amounts.reference}", _sale(books, dice, amounts)
        if kind < 0.75:
            return "AP", f"{self.country.bill} {amounts.reference}", _purchase(books, dice, amounts)
        contact = dice.choice(books.customers)
        lines = _transfer(amounts, debit="1920", credit="1500", contact=contact.number)
        return "CA", f"{self.country.payment} {amounts.reference}", lines

    def _amounts(self, books: Books, dice: random.Random) -> "_Amounts":
        net = Decimal(dice.randrange(1_000, 2_500_000)) / 100
        vat_id, vat_text, _direction, rate = books.vat[dice.randrange(2)]
        return _Amounts(
            net=net,
            vat=(net * rate / 100).quantize(Decimal("0.01")),
            vat_id=vat_id,
            vat_text=vat_text,
            reference=str(dice.randrange(100_000, 999_999)),
            objects=(
                ("1", dice.choice(list(DEPARTMENTS))),
                ("2", str(1 + dice.randrange(len(self.country.cities)))),
            ),
            project=dice.choice(list(books.projects)) if dice.random() < 0.2 else "",
        )


@dataclass(frozen=True, kw_only=True)
class _Amounts:
    """What the lines of an entry share."""

    net: Decimal
    vat: Decimal
    vat_id: str
    vat_text: str
    reference: str
    objects: tuple[tuple[str, str], ...]
    """(dimension id, value id), of the line of income or cost."""
    project: str


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def _sale(books: Books, dice: random.Random, amounts: _Amounts) -> list[Line]:
    contact = dice.choice(books.customers)
    income = dice.choice(("3000", "3010", "3100", "3600"))
    line = partial(Line, reference=amounts.reference, contact=contact.number)
    return [
        line(account="1500", amount=amounts.net + amounts.vat, text=contact.name),
        line(
            account=income,
            amount=-amounts.net,
            text=contact.name,
            objects=amounts.objects,
            vat=amounts.vat_id,
            project=amounts.project,
        ),
        line(account="2700", amount=-amounts.vat, text=amounts.vat_text, vat=amounts.vat_id),
    ]


def _purchase(books: Books, dice: random.Random, amounts: _Amounts) -> list[Line]:
    contact = dice.choice(books.suppliers)
    cost = dice.choice(("4000", "5000", "6000", "6300", "6500", "6800", "7000", "7320", "7700"))
    line = partial(Line, reference=amounts.reference, contact=contact.number)
    return [
        line(
            account=cost,
            amount=amounts.net,
            text=contact.name,
            objects=amounts.objects,
            vat=amounts.vat_id,
            project=amounts.project,
        ),
        line(account="2710", amount=amounts.vat, text=amounts.vat_text, vat=amounts.vat_id),
        line(account="2400", amount=-(amounts.net + amounts.vat), text=contact.name),
    ]


def _transfer(amounts: _Amounts, *, debit: str, credit: str, contact: str = "") -> list[Line]:
    line = partial(Line, reference=amounts.reference, contact=contact)
    return [line(account=debit, amount=amounts.net), line(account=credit, amount=-amounts.net)]
