"""A SIE file of type 1 to 4 as a ledger file."""

from collections.abc import Iterator
from datetime import date

from ledger_formats.checks import Tally
from ledger_formats.detection import Detection
from ledger_formats.encoding import is_misread
from ledger_formats.findings import FindingCode, FindingLog, RepairCode
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.limits import Limits
from ledger_formats.records import (
    Account,
    AccountKind,
    Balance,
    BalanceKind,
    Company,
    Dimension,
    DimensionValue,
    Entry,
    FiscalYear,
    Format,
    Header,
    Journal,
    Line,
    Record,
)
from ledger_formats.sie.keys import entry_keys
from ledger_formats.sie.model import SieFile, SkippedLine
from ledger_formats.sie.reader import parse
from ledger_formats.sources import Source

KINDS = {
    "T": AccountKind.ASSET,
    "S": AccountKind.LIABILITY,
    "K": AccountKind.EXPENSE,
    "I": AccountKind.INCOME,
}
LINE_LABELS = ("#TRANS", "#RTRANS", "TRANS")
BALANCE_LABELS = ("#IB", "#UB", "#RES", "#OIB", "#OUB", "#PSALDO")


class SieLedger(LedgerFile):
    """Holds the whole file in memory; see `Limits.text_bytes_max`."""

    def __init__(self, source: Source, detection: Detection, limits: Limits) -> None:
        super().__init__(source, detection, limits)
        self.sie_file = parse(source.read(limits.text_bytes_max), source.name)
        self.years = dict(_year_names(self.sie_file))
        self.header = self._header()

    def _header(self) -> Header:
        file = self.sie_file
        years = tuple(
            FiscalYear(self.years[number], year.starts_on, year.ends_on, number == 0)
            for number, year in sorted(file.years.items())
            if year.starts_on and year.ends_on
        )
        return Header(
            Format.SIE,
            self.detection.version,
            Company(file.name, file.number, software_id=file.software_id, country="SE"),
            years,
            file.currency,
            file.program,
            written_on=file.written_on,
            covers_until=file.covers_until,
            kind=file.kind,
        )

    def _records(self, tally: Tally, kinds: frozenset[type]) -> Iterator[Record]:
        self._note(tally.log)
        readers = (
            (Account, self._accounts),
            (Dimension, self._dimensions),
            (DimensionValue, self._values),
            (Balance, self._balances),
            (Journal, self._journals),
            (Entry, self._entries),
        )
        for kind, reader in readers:
            if kind in kinds:
                yield from reader()

    def _accounts(self) -> Iterator[Account]:
        file = self.sie_file
        for code, name in file.accounts.items():
            kind = KINDS.get(file.kinds.get(code, ""), AccountKind.UNKNOWN)
            yield Account(code, name, kind, file.standard_accounts.get(code, ""))

    def _dimensions(self) -> Iterator[Dimension]:
        return (Dimension(code, name) for code, name in self.sie_file.dimensions.items())

    def _values(self) -> Iterator[DimensionValue]:
        return (
            DimensionValue(dimension, code, name) for (dimension, code), name in self.sie_file.objects.items()
        )

    def _balances(self) -> Iterator[Balance]:
        """Yield the opening and closing balances, then those of objects and periods.

        Stated balances of a year whose entries the file does not have are left out: nothing can be compared.
        """
        file = self.sie_file
        for number, year in sorted(file.years.items()):
            if number not in self._covered_years():
                continue
            name = self.years[number]
            for account, amount in year.opening.items():
                yield Balance(BalanceKind.OPENING, account, amount, name)
            for account, amount in year.stated.items():
                yield Balance(BalanceKind.CLOSING, account, amount, name)
        for balance in file.object_balances:
            kind = BalanceKind.OPENING if balance.is_opening else BalanceKind.CLOSING
            yield Balance(
                BalanceKind.PERIOD if balance.period else kind,
                balance.account,
                balance.amount,
                self.years.get(balance.year, ""),
                balance.period,
                dimensions=balance.objects,
            )

    def _covered_years(self) -> set[int]:
        return {0, *(voucher.year for voucher in self.sie_file.vouchers)}

    def _journals(self) -> Iterator[Journal]:
        series = dict.fromkeys(voucher.series for voucher in self.sie_file.vouchers)
        return (Journal(code) for code in series)

    def _entries(self) -> Iterator[Entry]:
        vouchers = self.sie_file.vouchers
        for voucher, key in zip(vouchers, entry_keys(vouchers, self.years), strict=True):
            lines = [
                Line(
                    str(number),
                    line.account,
                    line.amount,
                    line.text,
                    line.at,
                    line.booked_on,
                    dimensions=tuple(line.objects),
                )
                for number, line in enumerate(voucher.lines, 1)
            ]
            year = self.sie_file.years[voucher.year]
            yield Entry(
                key,
                voucher.series,
                voucher.number,
                voucher.booked_on,
                self.years[voucher.year],
                str(_month_of(voucher.booked_on, year.starts_on)),
                voucher.text,
                voucher.entered_on,
                lines,
                voucher.at,
            )

    def _note(self, log: FindingLog) -> None:
        file = self.sie_file
        for skipped in file.skipped_lines:
            log.add(_code_of(skipped), f"Line {skipped.line}: {skipped.reason}.", skipped.line)
        if file.struck_count:
            log.add(
                FindingCode.STRUCK_LINES,
                f"{file.struck_count} lines are the history of corrections; they are not in the books.",
            )
        texts = [file.name, *file.accounts.values(), *(voucher.text for voucher in file.vouchers)]
        if misread := [text for text in texts if is_misread(text)]:
            log.add(
                FindingCode.TEXT_MISREAD,
                f"{len(misread)} texts were decoded wrongly before they came into the file, such as"
                f" “{misread[0][:60]}”.",
            )
        for account in file.undeclared_accounts:
            log.add(
                FindingCode.ACCOUNT_UNDECLARED,
                f"Account {account[:40]} is used, and the file does not declare it.",
            )
        for completion, sentence in file.completions:
            log.add_repair(RepairCode(completion), sentence)


def _year_names(file: SieFile) -> Iterator[tuple[int, str]]:
    """Yield the number of #RAR and a name such as 2025, or 2024/2025 for a year in two calendar years."""
    for number, year in file.years.items():
        if year.starts_on is None or year.ends_on is None:
            yield number, f"year {number}"
        elif year.starts_on.year == year.ends_on.year:
            yield number, str(year.starts_on.year)
        else:
            yield number, f"{year.starts_on.year}/{year.ends_on.year}"


def _month_of(day: date, starts_on: date | None) -> int:
    """Return the month of the fiscal year, counted from 1."""
    first = starts_on or date(day.year, 1, 1)
    return (day.year - first.year) * 12 + day.month - first.month + 1


def _code_of(skipped: SkippedLine) -> FindingCode:
    label = skipped.reason.partition(":")[0]
    if label in LINE_LABELS:
        return FindingCode.LINE_UNREADABLE
    return FindingCode.BALANCE_UNREADABLE if label in BALANCE_LABELS else FindingCode.RECORD_UNREADABLE
