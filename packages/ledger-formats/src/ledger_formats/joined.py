"""One ledger in several files: SAF-T and XAF may be split by period, or because they are large."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from decimal import Decimal

from ledger_formats.checks import Tally, Totals
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import FindingLog
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.records import Balance, BalanceKind, DimensionValue, Entry, FiscalYear, Header, Record

MASTER_RECORDS_MAX = 5_000_000


class JoinedLedger(LedgerFile):
    """Reads parts one after the other: by the first day of their years, then by name, part2 before part10,
    then in the order that they were given.

    What a part repeats of those before is yielded once. Opening balances are those of the first part that
    has them, closing balances those of the last; balances of periods are those of all. Totals that all parts
    repeat count for the whole, others are added up. `detection` is of the first part; findings and repairs
    are of all, and say in which `file`.
    """

    def __init__(self, parts: Sequence[LedgerFile]) -> None:
        self.parts = sorted(parts, key=_order)
        first = self.parts[0]
        super().__init__(first.source, first.detection, first.limits)
        self.header = _joined_header(self.parts)

    def _records(self, tally: Tally, kinds: frozenset[type]) -> Iterator[Record]:
        seen: dict[tuple[object, ...], LedgerFile] = {}
        stated: list[Totals] = []
        opening_part: LedgerFile | None = None
        closing_part = self._last_with_closing() if Balance in kinds else None
        for part in self.parts:
            tally.totals, tally.log.file = Totals(), part.name
            for record in part._records(tally, kinds):
                if isinstance(record, Balance) and record.kind is not BalanceKind.PERIOD:
                    is_opening = record.kind is BalanceKind.OPENING
                    opening_part = opening_part or (part if is_opening else None)
                    if part is not (opening_part if is_opening else closing_part):
                        continue
                elif not isinstance(record, Entry) and _is_repeated(record, part, seen):
                    continue
                yield record
            stated.append(tally.totals)
        tally.totals, tally.log.file = _joined_totals(stated), ""

    def _last_with_closing(self) -> LedgerFile | None:
        for part in reversed(self.parts):
            if any(balance.kind is BalanceKind.CLOSING for balance in part.balances()):
                return part
        return None

    def _note_detection(self, log: FindingLog) -> None:
        for part in self.parts:
            log.file = part.name
            part._note_detection(log)
        log.file = ""

    def close(self) -> None:
        for part in self.parts:
            part.close()


def join_parts(parts: Sequence[LedgerFile]) -> LedgerFile:
    """Return the parts of one ledger as one file, which closes them.

    Raises `LedgerFileRefused` when they are of several companies, formats or currencies.
    """
    if not parts:
        raise LedgerFileRefused(RefusalCode.EMPTY, "There are no files to join.")
    first = parts[0]
    for part in parts[1:]:
        if _identity(part) != _identity(first):
            raise LedgerFileRefused(
                RefusalCode.SEVERAL_LEDGERS,
                f"{part.name} and {first.name} are not parts of one ledger: company, format, version, fiscal"
                " year and currency must be the same.",
            )
    return first if len(parts) == 1 else JoinedLedger(parts)


def _identity(ledger: LedgerFile) -> tuple[str, ...]:
    """Return what all parts have in common. A number says more than a name, which programs shorten."""
    header, company = ledger.header, ledger.header.company
    identity = company.registration_number or company.name
    return (header.format, header.version, identity, header.year.name if header.year else "", header.currency)


def _order(ledger: LedgerFile) -> tuple[str, list[tuple[str, int, str]]]:
    """Return the first day of the year and the name, in which numbers count as numbers: 2 before 10."""
    year = ledger.header.year
    words = re.findall(r"([^0-9]*)0*([0-9]*)", ledger.name.casefold())
    return (
        year.starts_on.isoformat() if year else "",
        [(text, len(digits), digits) for text, digits in words],
    )


def _joined_header(parts: Sequence[LedgerFile]) -> Header:
    """Return the header of the first part, whose year reaches from the first day of all to the last."""
    header = parts[0].header
    years = [part.header.year for part in parts if part.header.year]
    if not years:
        return header
    starts_on, ends_on = min(year.starts_on for year in years), max(year.ends_on for year in years)
    joined = FiscalYear(years[0].name, starts_on, ends_on)
    others = {year.name: year for part in parts for year in part.header.years if not year.is_own}
    return replace(
        header, years=(*others.values(), joined), covers_until=ends_on if header.covers_until else None
    )


def _is_repeated(record: Record, part: LedgerFile, seen: dict[tuple[object, ...], LedgerFile]) -> bool:
    """Return whether a part before had this account, party, code, journal or balance of a period."""
    if seen.setdefault(_key_of(record), part) is not part:
        return True
    if len(seen) > MASTER_RECORDS_MAX:
        raise LedgerFileRefused(
            RefusalCode.TOO_MANY_RECORDS,
            f"The parts have more than {MASTER_RECORDS_MAX:,} accounts, parties and balances of periods.",
        )
    return False


def _key_of(record: Record) -> tuple[object, ...]:
    """Return what two records have in common that are one. Balances of a period that differ both stay."""
    if isinstance(record, Balance):
        names = ("fiscal_year", "period", "account", "party", "dimensions", "amount")
        return (Balance, *(getattr(record, name) for name in names))
    code = getattr(record, "code", "") or getattr(record, "number", "")
    dimension = record.dimension if isinstance(record, DimensionValue) else ""
    return (type(record), dimension, code, getattr(record, "kind", ""))


def _joined_totals(parts: list[Totals]) -> Totals:
    """Return the totals of all parts: those that each part repeats, else their sums."""
    joined = Totals(
        negative_debit=sum((part.negative_debit for part in parts), Decimal(0)),
        negative_credit=sum((part.negative_credit for part in parts), Decimal(0)),
    )
    names = [field.name for field in fields(Totals) if not field.name.startswith("negative")]
    stated = [[getattr(part, name) for name in names] for part in parts]
    repeats = len(parts) > 1 and all(amounts == stated[0] for amounts in stated)
    for name in names:
        amounts = [amount for part in parts if (amount := getattr(part, name)) is not None]
        if amounts:
            setattr(joined, name, amounts[0] if repeats else sum(amounts))
    return joined
