"""A SIE file of type 1 to 4 as a ledger file."""

from collections.abc import Iterator

from ledger_formats.checks import Tally
from ledger_formats.detection import Detection
from ledger_formats.encoding import is_misread
from ledger_formats.findings import FindingCode, FindingLog
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
from ledger_formats.sie.model import SieFile
from ledger_formats.sie.reader import parse
from ledger_formats.sources import Source
from ledger_formats.years import year_name

KINDS = {
    "T": AccountKind.ASSET,
    "S": AccountKind.LIABILITY,
    "K": AccountKind.EXPENSE,
    "I": AccountKind.INCOME,
}


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
            FiscalYear(
                name=self.years[number], starts_on=year.starts_on, ends_on=year.ends_on, is_own=number == 0
            )
            for number, year in sorted(file.years.items())
            if year.starts_on and year.ends_on
        )
        return Header(
            format=Format.SIE,
            version=self.detection.version,
            company=Company(
                name=file.name, registration_number=file.number, software_id=file.software_id, country="SE"
            ),
            years=years,
            currency=file.currency,
            software=file.program,
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
        )
        for kind, reader in readers:
            if kind in kinds:
                yield from reader()
        if Entry in kinds:
            yield from self._entries(tally)

    def _accounts(self) -> Iterator[Account]:
        file = self.sie_file
        for code, name in file.accounts.items():
            kind = KINDS.get(file.kinds.get(code, ""), AccountKind.UNKNOWN)
            yield Account(code=code, name=name, kind=kind, standard_code=file.standard_accounts.get(code, ""))

    def _dimensions(self) -> Iterator[Dimension]:
        return (Dimension(code=code, name=name) for code, name in self.sie_file.dimensions.items())

    def _values(self) -> Iterator[DimensionValue]:
        return (
            DimensionValue(dimension=dimension, code=code, name=name)
            for (dimension, code), name in self.sie_file.objects.items()
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
                yield Balance(kind=BalanceKind.OPENING, account=account, amount=amount, fiscal_year=name)
            for account, amount in year.stated.items():
                yield Balance(kind=BalanceKind.CLOSING, account=account, amount=amount, fiscal_year=name)
        for balance in file.object_balances:
            kind = BalanceKind.OPENING if balance.is_opening else BalanceKind.CLOSING
            yield Balance(
                kind=BalanceKind.PERIOD if balance.period else kind,
                account=balance.account,
                amount=balance.amount,
                fiscal_year=self.years.get(balance.year, ""),
                period=balance.period,
                dimensions=balance.objects,
            )

    def _covered_years(self) -> set[int]:
        return {0, *(voucher.year for voucher in self.sie_file.vouchers)}

    def _journals(self) -> Iterator[Journal]:
        series = dict.fromkeys(voucher.series for voucher in self.sie_file.vouchers)
        return (Journal(code=code) for code in series)

    def _entries(self, tally: Tally) -> Iterator[Entry]:
        vouchers = self.sie_file.vouchers
        for voucher, key in zip(vouchers, entry_keys(vouchers, self.years), strict=True):
            lines = [
                Line(
                    number=str(number),
                    account=line.account,
                    amount=line.amount,
                    text=line.text,
                    at=line.at,
                    effective_on=line.booked_on,
                    dimensions=tuple(line.objects),
                )
                for number, line in enumerate(voucher.lines, 1)
            ]
            yield Entry(
                key=tally.unique_key(key),
                journal=voucher.series,
                number=voucher.number,
                booked_on=voucher.booked_on,
                fiscal_year=self.years[voucher.year],
                text=voucher.text,
                entered_on=voucher.entered_on,
                lines=lines,
                at=voucher.at,
            )

    def _note(self, log: FindingLog) -> None:
        file = self.sie_file
        for skipped in file.skipped_lines:
            log.add(skipped.code, f"Line {skipped.line}: {skipped.reason}.", skipped.line)
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
        for completion in file.completions:
            log.add_repair(completion.code, completion.sentence, completion.line)


def _year_names(file: SieFile) -> Iterator[tuple[int, str]]:
    """Yield the number of #RAR and a name such as 2025, or 2024/2025 for a year in two calendar years."""
    for number, year in file.years.items():
        if year.starts_on is None or year.ends_on is None:
            yield number, f"year {number}"
        else:
            yield number, year_name(year.starts_on, year.ends_on)
