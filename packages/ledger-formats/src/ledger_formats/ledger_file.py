"""A ledger file that is open: what all formats have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar, get_args

from ledger_formats.checks import Report, Tally
from ledger_formats.detection import Detection
from ledger_formats.findings import Finding, FindingCode, FindingLog, Repair, RepairCode
from ledger_formats.limits import Limits
from ledger_formats.records import (
    Account,
    Balance,
    BalanceKind,
    Dimension,
    DimensionValue,
    Entry,
    Format,
    Header,
    Journal,
    Party,
    Period,
    Record,
    VatCode,
)
from ledger_formats.sources import Source

OneKind = TypeVar("OneKind", bound=Record)
ALL_KINDS: frozenset[type] = frozenset(get_args(Record))
ENCODINGS_ALIKE = {"pc8": "cp437", "windows-1252": "cp1252", "iso-8859-1": "cp1252", "latin-1": "cp1252"}
"""Windows-1252 has all letters of Latin-1."""


class LedgerFile(ABC):
    """Reads records as a stream, as often as wanted. Use it as a context manager.

    What cannot be read is in no record. Every pass, also one over `entries()` alone, leaves what it noticed
    in `findings`, `finding_counts` and `repairs`, as far as it got; only these say whether lines are missing.
    A pass of all kinds checks the records as well, and leaves a `report`.
    """

    header: Header

    def __init__(self, source: Source, detection: Detection, limits: Limits) -> None:
        self.source, self.detection, self.limits = source, detection, limits
        self.report: Report | None = None
        self.log = FindingLog(limits.findings_max)
        """Of the pass that began last."""
        self.resources = ExitStack()
        """What `close` releases."""

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def findings(self) -> list[Finding]:
        """What the pass that began last noticed; see `Limits.findings_max`."""
        return self.log.findings

    @property
    def finding_counts(self) -> dict[FindingCode, int]:
        return dict(self.log.counts)

    @property
    def repairs(self) -> list[Repair]:
        return list(self.log.repairs.values())

    def records(self, *kinds: type[Record]) -> Iterator[Record]:
        """Yield records in the order of the file; of some kinds only, or all, which are then checked.

        Accounts that entries use and the file does not declare follow at the end of all. Read `findings`
        after the last record: a line that cannot be read is only there. Raises `LedgerFileRefused` where the
        file turns out to be cut off, or beyond a limit.
        """
        tally = self._begin_pass()
        if kinds:
            yield from self._records(tally, frozenset(kinds))
            return
        for record in self._records(tally, ALL_KINDS):
            tally.add(record)
            yield record
        yield from tally.undeclared_accounts()
        self.report = tally.finish()

    def check(self) -> Report:
        """Read the whole file and return the report. Raises `LedgerFileRefused`."""
        for _record in self.records():
            pass
        if self.report is None:  # pragma: no cover (a pass that ends has a report)
            raise AssertionError
        return self.report

    def accounts(self) -> Iterator[Account]:
        return self._of_kind(Account)

    def parties(self) -> Iterator[Party]:
        return self._of_kind(Party)

    def vat_codes(self) -> Iterator[VatCode]:
        return self._of_kind(VatCode)

    def periods(self) -> Iterator[Period]:
        return self._of_kind(Period)

    def dimensions(self) -> Iterator[Dimension]:
        return self._of_kind(Dimension)

    def dimension_values(self) -> Iterator[DimensionValue]:
        return self._of_kind(DimensionValue)

    def journals(self) -> Iterator[Journal]:
        return self._of_kind(Journal)

    def entries(self) -> Iterator[Entry]:
        """Yield the entries. Lines that cannot be read are in none: `findings` has them after the last."""
        return self._of_kind(Entry)

    def balances(self, kind: BalanceKind | None = None) -> Iterator[Balance]:
        """Yield the balances that the file states; of one kind, or all."""
        return (one for one in self._of_kind(Balance) if kind is None or one.kind is kind)

    def _of_kind(self, kind: type[OneKind]) -> Iterator[OneKind]:
        for record in self._records(self._begin_pass(), frozenset({kind})):
            if isinstance(record, kind):
                yield record

    def _begin_pass(self) -> Tally:
        self.log = FindingLog(self.limits.findings_max)
        self._note_detection(self.log)
        self._note_company(self.log)
        return Tally(name=self.name, limits=self.limits, log=self.log)

    @abstractmethod
    def _records(self, tally: Tally, kinds: frozenset[type]) -> Iterator[Record]:
        """Yield the records of these kinds. What is noticed goes to the tally's log, totals to its totals."""

    def close(self) -> None:
        """Release what is held: a copy of a file in an archive."""
        self.resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note_detection(self, log: FindingLog) -> None:
        """Report where the file claims to be something else than its bytes are."""
        detection = self.detection
        stated = detection.stated_encoding.lower()
        stated = ENCODINGS_ALIKE.get(stated, stated)
        is_claim = detection.encoding != "ascii" and not detection.encoding.startswith("utf-16")
        if stated and is_claim and stated != detection.encoding:
            log.add_repair(
                RepairCode.ENCODING,
                f"The file says {detection.stated_encoding}; its bytes are {detection.encoding}.",
            )
        if not detection.is_namespace_known:
            log.add_repair(
                RepairCode.NAMESPACE,
                f"“{detection.namespace[:100]}” is no namespace of {detection.format}; its elements are.",
            )
        if detection.control_characters:
            log.add_repair(
                RepairCode.CONTROL_CHARACTERS,
                "The file has control characters, which XML forbids; they are left out.",
                count=detection.control_characters,
            )
        if detection.stated_version and detection.format is Format.XAF:
            self._note_version(log)

    def _note_company(self, log: FindingLog) -> None:
        if not self.header.company.registration_number:
            log.add(
                FindingCode.REGISTRATION_NUMBER_MISSING, "The file has no registration number of the company."
            )

    def _note_version(self, log: FindingLog) -> None:
        detection = self.detection
        if detection.stated_version != detection.version:
            log.add(
                FindingCode.VERSION_DIFFERS,
                f"The file says {detection.format} {detection.stated_version}; its elements are those of"
                f" {detection.version}.",
            )
