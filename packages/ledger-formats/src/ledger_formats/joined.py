"""One ledger in several files: SAF-T and XAF may be split by period, or because they are large."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Decimal

from ledger_formats.checks import Tally, Totals
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import FindingLog
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.records import Balance, BalanceKind, DimensionValue, Entry, FiscalYear, Header, Record

MASTER_RECORDS_MAX = 5_000_000
Subject = tuple[object, ...]
"""What a record is about: a part before may have had it already."""


@dataclass(slots=True)
class _OpeningBalances:
    """Which part states each opening balance, of those that begin with the first that has any."""

    parts: dict[Subject, LedgerFile] = field(default_factory=dict)
    starts_on: date | None = None

    def is_first(self, part: LedgerFile, balance: Balance) -> bool:
        """Return whether no other part has stated this opening balance."""
        year = part.header.year
        starts_on = year.starts_on if year else None
        if not self.parts:
            self.starts_on = starts_on
        return starts_on == self.starts_on and _keep(self.parts, _subject(balance), part)


class JoinedLedger(LedgerFile):
    """Reads parts one after the other: by the first day of their years, then by name, part2 before part10,
    then in the order that they were given.

    What a part repeats of those before is yielded once. Of parts by period, opening balances are those of the
    first part that has them, closing balances those of the last. Of parts that begin, or end, on one day each
    account has its opening balance from the first of them that states it, its closing balance from the last.
    Balances of periods are those of all. Totals that all parts repeat count for the whole, others are added
    up. `detection` is of the first part; findings and repairs are of all, and say in which `file`.
    """

    def __init__(self, parts: Sequence[LedgerFile]) -> None:
        self.parts = sorted(parts, key=_order)
        first = self.parts[0]
        super().__init__(first.source, first.detection, first.limits)
        self.header = _joined_header(self.parts)

    def _records(self, tally: Tally, kinds: frozenset[type]) -> Iterator[Record]:
        seen: dict[Subject, LedgerFile] = {}
        stated: list[Totals] = []
        opening = _OpeningBalances()
        closing_parts = self._closing_parts() if Balance in kinds else {}
        for part in self.parts:
            tally.totals, tally.log.file = Totals(), part.name
            for record in part._records(tally, kinds):
                if isinstance(record, Balance) and record.kind is BalanceKind.OPENING:
                    if not opening.is_first(part, record):
                        continue
                elif isinstance(record, Balance) and record.kind is BalanceKind.CLOSING:
                    if closing_parts.get(_subject(record)) is not part:
                        continue
                elif not isinstance(record, Entry) and not _keep(seen, _key_of(record), part):
                    continue
                yield record
            stated.append(tally.totals)
        tally.totals, tally.log.file = _joined_totals(stated), ""

    def _closing_parts(self) -> dict[Subject, LedgerFile]:
        """Return the part whose closing balance counts: the last of those that end with the last of all."""
        parts: dict[Subject, LedgerFile] = {}
        ends_on: date | None = None
        for part in reversed(self.parts):
            year = part.header.year
            if parts and (year.ends_on if year else None) != ends_on:
                continue
            for balance in part.balances(BalanceKind.CLOSING):
                ends_on = year.ends_on if year else None
                _keep(parts, _subject(balance), part)
        return parts

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
    joined = FiscalYear(name=years[0].name, starts_on=starts_on, ends_on=ends_on)
    others = {year.name: year for part in parts for year in part.header.years if not year.is_own}
    return replace(
        header, years=(*others.values(), joined), covers_until=ends_on if header.covers_until else None
    )


def _keep(parts: dict[Subject, LedgerFile], subject: Subject, part: LedgerFile) -> bool:
    """Return whether no other part had this account, party, code, journal or balance. Raises
    `LedgerFileRefused` where there are too many.
    """
    if parts.setdefault(subject, part) is not part:
        return False
    if len(parts) > MASTER_RECORDS_MAX:
        raise LedgerFileRefused(
            RefusalCode.TOO_MANY_RECORDS,
            f"The parts have more than {MASTER_RECORDS_MAX:,} accounts, parties and balances.",
        )
    return True


def _subject(balance: Balance) -> Subject:
    return (balance.fiscal_year, balance.account, balance.party, balance.dimensions)


def _key_of(record: Record) -> Subject:
    """Return what two records have in common that are one. Balances of a period that differ both stay."""
    if isinstance(record, Balance):
        return (Balance, *_subject(record), record.period, record.amount)
    code = getattr(record, "code", "") or getattr(record, "number", "")
    dimension = record.dimension if isinstance(record, DimensionValue) else ""
    return (type(record), dimension, code, getattr(record, "kind", ""))


def _joined_totals(parts: list[Totals]) -> Totals:
    """Return the totals of all parts: those that each part repeats, else their sums."""
    joined = Totals(
        negative_debit=sum((part.negative_debit for part in parts), Decimal(0)),
        negative_credit=sum((part.negative_credit for part in parts), Decimal(0)),
    )
    names = [total.name for total in fields(Totals) if not total.name.startswith("negative")]
    stated = [[getattr(part, name) for name in names] for part in parts]
    repeats = len(parts) > 1 and all(amounts == stated[0] for amounts in stated)
    for name in names:
        amounts = [amount for part in parts if (amount := getattr(part, name)) is not None]
        if amounts:
            setattr(joined, name, amounts[0] if repeats else sum(amounts))
    return joined
