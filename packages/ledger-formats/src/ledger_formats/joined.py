"""One ledger in several files: SAF-T and XAF may be split by period, or because they are large."""

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from decimal import Decimal

from ledger_formats.checks import Tally, Totals
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.records import Balance, BalanceKind, DimensionValue, Entry, FiscalYear, Header, Record

MASTER_RECORDS_MAX = 5_000_000


class JoinedLedger(LedgerFile):
    """Reads parts one after the other, the earliest first.

    What each part repeats is yielded once. Opening balances are those of the first part that has them,
    closing balances those of the last. Totals that all parts repeat count for the whole, others are added up.
    """

    def __init__(self, parts: Sequence[LedgerFile]) -> None:
        first = parts[0]
        super().__init__(first.source, first.detection, first.limits)
        self.parts = sorted(parts, key=_start)
        self.header = _joined_header(self.parts)

    def _records(self, tally: Tally, kinds: frozenset[type]) -> Iterator[Record]:
        seen: set[tuple[str, ...]] = set()
        keys: set[str] = set()
        stated: list[Totals] = []
        closing_part = self._last_with_balances() if Balance in kinds else None
        opened: LedgerFile | None = None
        for part in self.parts:
            tally.totals = Totals()
            for record in part._records(tally, kinds):
                if isinstance(record, Entry):
                    record.key = _unique(record.key, keys)
                elif isinstance(record, Balance):
                    is_opening = record.kind is BalanceKind.OPENING
                    opened = opened or (part if is_opening else None)
                    if part is not (opened if is_opening else closing_part):
                        continue
                elif _is_repeated(record, seen):
                    continue
                yield record
            stated.append(tally.totals)
        tally.totals = _joined_totals(stated)

    def _last_with_balances(self) -> LedgerFile | None:
        for part in reversed(self.parts):
            if any(balance.kind is BalanceKind.CLOSING for balance in part.balances()):
                return part
        return None

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


def _start(ledger: LedgerFile) -> tuple[str, str]:
    year = ledger.header.year
    return (year.starts_on.isoformat() if year else "", ledger.name)


def _joined_header(parts: Sequence[LedgerFile]) -> Header:
    """Return the header of the first part, whose year reaches from the first day of all to the last."""
    header = parts[0].header
    years = [part.header.year for part in parts if part.header.year]
    if not years:
        return header
    starts_on, ends_on = min(year.starts_on for year in years), max(year.ends_on for year in years)
    joined = FiscalYear(years[0].name, starts_on, ends_on)
    return replace(header, years=(joined,), covers_until=ends_on if header.covers_until else None)


def _unique(key: str, keys: set[str]) -> str:
    unique, count = key, 1
    while unique in keys:
        count += 1
        unique = f"{key}-{count}"
    keys.add(unique)
    return unique


def _is_repeated(record: Record, seen: set[tuple[str, ...]]) -> bool:
    """Return whether a part before had this account, party, code or journal."""
    code = getattr(record, "code", "") or getattr(record, "number", "")
    dimension = record.dimension if isinstance(record, DimensionValue) else ""
    key = (type(record).__name__, dimension, code, str(getattr(record, "kind", "")))
    if key in seen:
        return True
    if len(seen) >= MASTER_RECORDS_MAX:
        raise LedgerFileRefused(
            RefusalCode.TOO_MANY_RECORDS,
            f"The parts have more than {MASTER_RECORDS_MAX:,} accounts and parties.",
        )
    seen.add(key)
    return False


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
