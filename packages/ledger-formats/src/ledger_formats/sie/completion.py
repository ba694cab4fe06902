"""Completion of a SIE file: dates, years, opening balances and names that other lines show."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import RepairCode
from ledger_formats.sie.model import NO_DATE, Completion, SieFile, SieYear

STANDARD_DIMENSIONS = {
    "1": "Resultatenhet",
    "2": "Kostnadsbärare",
    "6": "Projekt",
    "7": "Anställd",
    "8": "Kund",
    "9": "Leverantör",
    "10": "Faktura",
}


def complete(sie_file: SieFile) -> None:
    """Add what a file may leave out: a name, the year, opening balances, accounts and dimensions in use."""
    sie_file.name = sie_file.name or Path(sie_file.source).stem
    _complete_dates(sie_file)
    _skip_other_years(sie_file)
    for year in sie_file.years.values():
        year.opening = {code: amount for code, amount in year.opening.items() if code}
    _complete_opening(sie_file)
    for code in _used_accounts(sie_file):
        if code not in sie_file.accounts:
            sie_file.undeclared_accounts.append(code)
            sie_file.accounts[code] = ""
    for voucher in sie_file.vouchers:
        for line in voucher.lines:
            for dimension, _code in line.objects:
                if dimension in STANDARD_DIMENSIONS:
                    sie_file.dimensions.setdefault(dimension, STANDARD_DIMENSIONS[dimension])


def _complete_dates(sie_file: SieFile) -> None:
    """Give a voucher without a date that of its lines, of its entry, or the first day of the year; and a file
    without #RAR its calendar years.
    """
    for voucher in sie_file.vouchers:
        if voucher.booked_on == NO_DATE:
            days = [line.booked_on for line in voucher.lines if line.booked_on]
            voucher.booked_on = next(iter(days), voucher.entered_on or NO_DATE)
            sentence = "A voucher has no date: it has that of its lines, or of its entry."
            sie_file.completions.append(
                Completion(code=RepairCode.DATE_COMPLETED, sentence=sentence, line=voucher.at)
            )
    if sie_file.starts_on is None:
        _derive_years(sie_file)
        sentence = "The file has no fiscal year (#RAR 0): balances and vouchers show it."
        sie_file.completions.append(Completion(code=RepairCode.YEAR_COMPLETED, sentence=sentence))
    for voucher in sie_file.vouchers:
        if voucher.booked_on == NO_DATE:
            voucher.booked_on = sie_file.starts_on or NO_DATE


def _derive_years(sie_file: SieFile) -> None:
    """Make the year that no #RAR line names: after the one before; without that too, the calendar years of
    the vouchers, of which the last is the file's own. Raises `LedgerFileRefused` when nothing shows a year.
    """
    year, previous = sie_file.year, sie_file.years.get(-1, SieYear())
    if previous.ends_on is not None:
        year.starts_on = previous.ends_on + timedelta(days=1)
        year.ends_on = _add_year(year.starts_on) - timedelta(days=1)
        return
    numbers = sorted({voucher.booked_on.year for voucher in sie_file.vouchers} - {NO_DATE.year}, reverse=True)
    if (
        not numbers
        and not sie_file.vouchers
        and not any(year.opening or year.stated for year in sie_file.years.values())
    ):
        raise LedgerFileRefused(
            RefusalCode.NO_YEAR, f"{sie_file.source} has no fiscal year, no balances and no vouchers."
        )
    for back, number in enumerate(numbers or [2000]):
        other = sie_file.years.setdefault(-back, SieYear())
        if other.starts_on is None:
            other.starts_on, other.ends_on = date(number, 1, 1), date(number, 12, 31)


def _add_year(day: date) -> date:
    return day.replace(year=day.year + 1, day=28 if (day.month, day.day) == (2, 29) else day.day)


def _skip_other_years(sie_file: SieFile) -> None:
    """Give every voucher its fiscal year, and leave out those that are in none.

    A year of which two begin in one calendar year could not be told from the file's own: its vouchers are
    left out as well.
    """
    vouchers = []
    for voucher in sie_file.vouchers:
        years = [number for number, year in sie_file.years.items() if year.has(voucher.booked_on)]
        number = 0 if 0 in years else max((number for number in years if number < 0), default=None)
        reason = f"{voucher.booked_on.isoformat()} is in no fiscal year of the file"
        if number and _starts_in(sie_file, number) == _starts_in(sie_file, 0):
            number, reason = None, "two fiscal years of the file begin in one calendar year"
        if number is None:
            lines = [(voucher.at, "#VER"), *((line.at, "#TRANS") for line in voucher.lines)]
            sie_file.understood_count -= len(lines)
            for at, label in lines:
                sie_file.skip(at, label, reason)
            continue
        voucher.year = number
        vouchers.append(voucher)
    sie_file.vouchers = vouchers
    sie_file.skipped_lines.sort(key=lambda skipped: skipped.line)


def _starts_in(sie_file: SieFile, number: int) -> int:
    starts_on = sie_file.years[number].starts_on
    return starts_on.year if starts_on else 0


def _complete_opening(sie_file: SieFile) -> None:
    """Take opening balances that are missing from the closing ones of the year before.

    Without any #IB of the year they all come from there, unless the year's own closing balances show that
    nothing was carried forward. Where only some accounts have one, another account gets last year's closing
    balance if its own closing balance, as stated, then adds up.
    """
    movements = _movements(sie_file)
    for number, year in sie_file.years.items():
        before = sie_file.years.get(number - 1)
        if before is None or number > 0:
            continue
        moved = {account: movements.get((number, account), Decimal(0)) for account in before.closing}
        has_none = not year.opening and not _closes_without_opening(year, before, moved)
        for account, amount in before.closing.items():
            closing = year.closing.get(account)
            adds_up = closing == amount + moved[account] and closing != moved[account]
            if account not in year.opening and (has_none or adds_up):
                year.opening[account] = amount
                sentence = "Opening balances that are missing are last year's closing ones."
                sie_file.completions.append(Completion(code=RepairCode.OPENING_BALANCE, sentence=sentence))


def _closes_without_opening(year: SieYear, before: SieYear, moved: dict[str, Decimal]) -> bool:
    """Return whether the stated closing balances are the movements alone: the program has not carried last
    year's balances forward yet. An account without a closing balance has none.
    """
    if not year.closing:
        return False
    carried = alone = 0
    for account, amount in before.closing.items():
        closing = year.closing.get(account, Decimal(0))
        if amount:
            carried += closing == amount + moved[account]
            alone += closing == moved[account]
    return alone > carried


def _movements(sie_file: SieFile) -> dict[tuple[int, str], Decimal]:
    sums: dict[tuple[int, str], Decimal] = {}
    for voucher in sie_file.vouchers:
        for line in voucher.lines:
            key = (voucher.year, line.account)
            sums[key] = sums.get(key, Decimal(0)) + line.amount
    return sums


def _used_accounts(sie_file: SieFile) -> Iterator[str]:
    for number in sorted({0, *(voucher.year for voucher in sie_file.vouchers)}):
        year = sie_file.years[number]
        for table in (year.opening, year.closing, year.result):
            yield from table
    for voucher in sie_file.vouchers:
        yield from (line.account for line in voucher.lines)
