"""Companies whose books come from SIE files.

A file that cannot be read is reported by name; the others are used.
"""

import hashlib
import re
import unicodedata
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from koppel_sandbox.company import Company
from koppel_sandbox.generate import TENANTS
from koppel_sandbox.ledger import ZERO, Account, Books, Entry, Line, Period, period_of
from ledger_formats import LedgerFileRefused, RefusalCode, sie

FIRST_ID = 1_000_000_000
IDS = 1_000_000_000
NOISE = Decimal("0.00005")
"""Programs that reckon with floating point write 10.100000000000001: less than this is no difference."""
KINDS = {"T": "asset", "S": "liability", "I": "income", "K": "expense"}
VAT = [
    ("01", "Utgående moms 25 %", "Output", Decimal(25)),
    ("02", "Ingående moms 25 %", "Input", Decimal(25)),
]


def companies(folder: Path) -> tuple[list[Company], dict[str, str]]:
    """Return the companies, and the reason for each rejected file by its name.

    Raises `NotADirectoryError`.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"--sie must name a folder: {folder}")
    files: list[sie.SieFile] = []
    refusals: dict[str, str] = {}
    for path in sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in sie.SUFFIXES):
        try:
            files.append(_read(path))
        except (LedgerFileRefused, OSError) as error:
            refusals[path.name] = str(error)
    return [_company(file, key) for file, key in _with_keys(files)], refusals


def _read(path: Path) -> sie.SieFile:
    file = sie.read(path)
    if not file.kind.startswith("4"):
        raise LedgerFileRefused(
            RefusalCode.VERSION_UNSUPPORTED,
            f"{path.name} is SIE type {file.kind}: it has no entries. Export type 4 instead.",
        )
    return file


def _with_keys(files: list[sie.SieFile]) -> list[tuple[sie.SieFile, str]]:
    """Return each file with a key for its company that is unique in the folder.

    Files of one company and year are distinguished by their file names, all of them: when a second file is
    added the first becomes another company too, because nothing shows which of the two existed before.
    """
    keys = [_key(file) for file in files]
    return [
        (file, key if keys.count(key) == 1 else f"{key}/{file.source}")
        for file, key in zip(files, keys, strict=True)
    ]


def _key(file: sie.SieFile) -> str:
    """Return number, name and fiscal year of the company; not its position in the folder, which changes."""
    number = re.sub(r"[^0-9A-Z]", "", file.number.upper())
    name = " ".join(unicodedata.normalize("NFKC", file.name).casefold().split())
    return f"{number}/{name}/{file.starts_on or ''}"


def _id_of(key: str) -> int:
    """Return an id far above the ids of generated companies, and within 32 bits."""
    return FIRST_ID + int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % IDS


def _company(file: sie.SieFile, key: str) -> Company:
    return Company(
        id=_id_of(key),
        tenant_id=str(uuid.uuid5(TENANTS, key)),
        name=file.name,
        country="SE",
        currency=file.currency,
        number=file.number,
        vat_number="",
        city="",
        source=file.source,
        skipped_lines=tuple((skipped.line, skipped.reason) for skipped in file.skipped_lines),
        units=(("1", file.name),),
        make_books=lambda: _books(file),
    )


def _books(file: sie.SieFile) -> Books:
    years = _years(file)
    periods = [period for number in years for period in _periods(file.years[number])]
    accounts = {
        code: Account(code=code, name=name, kind=_kind(file, code)) for code, name in file.accounts.items()
    }
    earlier = {_year_of(file, number): file.years[number] for number in years}
    return Books(
        accounts=accounts,
        periods=periods,
        entries=_entries(file),
        modified=datetime.combine(periods[-1].ends_on, datetime.min.time(), UTC),
        opening=file.years[years[0]].opening,
        stated=file.year.stated,
        opening_by_year={year: dict(balances.opening) for year, balances in earlier.items()},
        stated_by_year={year: balances.stated for year, balances in earlier.items()},
        dimensions={number: file.dimensions.get(number, number) for number in _dimensions(file)},
        values=_values(file),
        vat=VAT,
        terms=[("30", "30 dagar", 30)],
    )


def _years(file: sie.SieFile) -> list[int]:
    """Return the numbers of the fiscal years that have vouchers, and of the file's own, oldest first."""
    return sorted({0, *(voucher.year for voucher in file.vouchers)})


def _year_of(file: sie.SieFile, number: int) -> int:
    return (file.years[number].starts_on or date(2000, 1, 1)).year


def _kind(file: sie.SieFile, code: str) -> str:
    """Return #KTYP if stated, otherwise the class of the Swedish BAS chart by the number's first digit."""
    if kind := KINDS.get(file.kinds.get(code, "")):
        return kind
    return {"1": "asset", "2": "liability", "3": "income"}.get(code[:1], "expense")


def _periods(year: sie.SieYear) -> list[Period]:
    first, last = year.starts_on or date(2000, 1, 1), year.ends_on or date(2000, 12, 31)
    periods: list[Period] = []
    starts_on = first
    while starts_on <= last:
        following = (starts_on.replace(day=1) + timedelta(days=31)).replace(day=1)
        ends_on = min(following - timedelta(days=1), last)
        periods.append(Period(year=first.year, number=len(periods) + 1, starts_on=starts_on, ends_on=ends_on))
        starts_on = following
    return periods


def _entries(file: sie.SieFile) -> list[Entry]:
    entries = []
    periods = {number: _periods(file.years[number]) for number in _years(file)}
    names = {number: str(_year_of(file, number)) for number in periods}
    for voucher, number in zip(file.vouchers, sie.entry_keys(file.vouchers, names), strict=True):
        lines = [
            Line(account=line.account, amount=line.amount, text=line.text, objects=tuple(line.objects))
            for line in voucher.lines
        ]
        entered = datetime.combine(voucher.booked_on, datetime.min.time(), UTC) + timedelta(hours=12)
        period = period_of(periods[voucher.year], voucher.booked_on).key
        entries.append(
            Entry(
                module="GL",
                number=number,
                booked_on=voucher.booked_on,
                period=period,
                text=voucher.text,
                lines=lines,
                modified=entered,
                series=voucher.series,
            )
        )
    return entries


def _used_objects(file: sie.SieFile) -> set[tuple[str, str]]:
    return {dimension for voucher in file.vouchers for line in voucher.lines for dimension in line.objects}


def _dimensions(file: sie.SieFile) -> list[str]:
    return sorted({number for number, _value in {*file.objects, *_used_objects(file)}})


def _values(file: sie.SieFile) -> dict[tuple[str, str], str]:
    return {key: file.objects.get(key, key[1]) for key in sorted({*file.objects, *_used_objects(file)})}


def differences(books: Books) -> dict[str, Decimal]:
    """Return by account: the closing balance stated in the file, less opening balance and movement.

    Accounts of an earlier fiscal year are prefixed with it: `2024 1930`.
    """
    moved: dict[tuple[int, str], Decimal] = {}
    for entry in books.entries:
        for line in entry.lines:
            key = (int(entry.period[:4]), line.account)
            moved[key] = moved.get(key, ZERO) + line.amount
    amounts = {}
    last_year = books.periods[-1].year
    for year, stated in books.stated_by_year.items():
        opening = books.opening_by_year[year]
        for code, closing in stated.items():
            difference = closing - opening.get(code, ZERO) - moved.get((year, code), ZERO)
            amounts[code if year == last_year else f"{year} {code}"] = difference
    return {code: amount for code, amount in sorted(amounts.items()) if abs(amount) > NOISE}
