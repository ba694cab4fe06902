"""The registers' entries: one per company of the sandbox, which may differ from its books."""

import re
from dataclasses import dataclass, field
from datetime import date

from koppel_sandbox import numbers
from koppel_sandbox.company import Company

EVERY_CLOSED, EVERY_RENAMED, EVERY_MISSING = 13, 6, 17
"""Every n-th company was closed, has another name in the register, or is missing there."""
ACTIVITIES = {
    "NL": ("62100", "47240", "43220", "64210", "69202"),
    "NO": ("62.100", "43.210", "47.110", "69.202", "96.210"),
    "SE": ("62010", "43320", "69201"),
    "DK": ("433200", "494100", "692000"),
    "FI": ("62100", "41000", "10710", "69201"),
}


@dataclass(kw_only=True)
class Entry:
    """One company in one register. `rsin` is Dutch only; `vat` is without the country code."""

    country: str
    number: str
    name: str
    activity: str
    city: str = ""
    rsin: str = ""
    vat: str = ""
    form: str = ""
    closed_on: date | None = None
    is_broken: bool = False


@dataclass
class Entries:
    rows: list[Entry] = field(default_factory=list)

    def by_number(self, country: str, number: str) -> Entry | None:
        number_digits = digits(number)
        return next(
            (
                entry
                for entry in self.rows
                if entry.country == country and digits(entry.number) == number_digits
            ),
            None,
        )

    def by_rsin(self, rsin: str) -> list[Entry]:
        return [entry for entry in self.rows if entry.rsin and entry.rsin == rsin]

    def by_vat(self, country: str, vat: str) -> Entry | None:
        return next(
            (
                entry
                for entry in self.rows
                if entry.country == country and entry.vat and entry.vat == vat.upper()
            ),
            None,
        )

    def by_name(self, country: str, text: str) -> list[Entry]:
        needles = text.casefold().split()
        return [
            entry
            for entry in self.rows
            if entry.country == country and all(word in entry.name.casefold() for word in needles)
        ]


def entries_of(companies: list[Company]) -> Entries:
    """Return the entries of companies: always the same for the same companies, in their order."""
    rows = [
        _entry(index, company) for index, company in enumerate(companies) if company.country in ACTIVITIES
    ]
    return Entries([entry for entry in rows if entry is not None] + _test_companies())


def digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _entry(index: int, company: Company) -> Entry | None:
    if index % EVERY_MISSING == EVERY_MISSING - 1:
        return None
    country, number = company.country, _number(company)
    trades = ACTIVITIES[country]
    entry = Entry(
        country=country,
        number=number,
        name=company.name,
        activity=trades[index % len(trades)],
        city=company.city,
    )
    entry.vat = re.sub(r"^[A-Z]{2}|MVA$", "", company.vat_number.replace(" ", "").upper())
    if country == "NL":
        entry.rsin, entry.form = entry.vat[:9], "BeslotenVennootschap"
    if index % EVERY_RENAMED == EVERY_RENAMED - 1:
        entry.name = f"{company.name.split()[0]} Groep {company.name.split()[-1]}"
    if index % EVERY_CLOSED == EVERY_CLOSED - 1:
        entry.closed_on = date(2024, 5, 1)
    return entry


def _number(company: Company) -> str:
    """Return the number from the accounting system, cleaned.

    A company without a valid number gets one in the register.
    """
    typed = digits(company.number)
    length = {"NL": 8, "NO": 9, "SE": 10, "DK": 8, "FI": 8}[company.country]
    if len(typed) == length and len(set(typed)) > 1 and typed != "12345678":
        return typed
    make = {
        "NL": numbers.kvk,
        "NO": numbers.organisasjonsnummer,
        "SE": numbers.organisationsnummer,
        "DK": numbers.cvr,
        "FI": numbers.y_tunnus,
    }[company.country]
    return digits(make(5_000_000 + company.id))


def _test_companies() -> list[Entry]:
    """Return entries with the numbers of the Dutch register's own test service; the names are made up."""
    test_numbers = {
        "69599084": ("Eenmanszaak Test", "Eenmanszaak", "9602"),
        "68750110": ("Test Besloten B.V.", "BeslotenVennootschap", "1011"),
        "90001354": ("Test Handel B.V.", "BeslotenVennootschap", "4711"),
        "68727720": ("Test Naamloos N.V.", "NaamlozeVennootschap", "6420"),
        "90004760": ("Test Beurs N.V.", "NaamlozeVennootschap", "6420"),
        "69599068": ("Stichting Test", "Stichting", "9499"),
        "69599076": ("V.O.F. Test", "VennootschapOnderFirma", "4520"),
        "55344526": ("Coöperatie Test U.A.", "Cooperatie", "0113"),
    }
    rows = [
        Entry(country="NL", number=number, name=name, activity=code, city="Utrecht", form=form)
        for number, (name, form, code) in test_numbers.items()
    ]
    return rows + [
        Entry(country="NL", number=number, name="", activity="", is_broken=True)
        for number in ("90004973", "90002903")
    ]
