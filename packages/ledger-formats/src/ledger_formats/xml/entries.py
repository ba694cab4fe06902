"""What the readers of entries in XML share: journals, dates, lines that cannot be read, control totals."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import date
from typing import ClassVar

from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import FindingCode, RepairCode
from ledger_formats.limits import Limits
from ledger_formats.records import Entry, FiscalYear, Journal, Line, Record
from ledger_formats.values import Unreadable
from ledger_formats.xml.ledger import FilePass, RecordReader, line_of
from ledger_formats.xml.parsing import LOCAL, Element

NO_DAY = date(1900, 1, 1)
"""Of an entry without a date, in a file without one as well."""


class EntryReader(RecordReader, ABC):
    """Keeps the lines of the entry that is being read, and its journal."""

    JOURNAL_NAME = ""
    ENTRY_NAME = ""
    LINE_NAME = ""
    DATE_NAME = ""
    TOTALS_NAME = ""
    """The element whose totals are those of the entries; other elements have totals of the same names."""
    TOTALS: ClassVar[dict[str, str]] = {}
    """The field of `Totals`, by the name of the element."""

    def __init__(self, file_pass: FilePass, limits: Limits, years: tuple[FiscalYear, ...]) -> None:
        super().__init__(file_pass, limits)
        self.years = years
        self.journal = Journal(code="")
        self.journal_element: Element = None
        self.lines: list[Line] = []
        self.handlers = {self.JOURNAL_NAME: self._end_journal, **dict.fromkeys(self.TOTALS, self._read_total)}
        if Entry in file_pass.kinds:
            self.handlers |= {self.LINE_NAME: self._read_line, self.ENTRY_NAME: self._read_entry}
        elif Journal in file_pass.kinds:
            self.handlers[self.ENTRY_NAME] = self._begin_journal

    @abstractmethod
    def _journal_of(self, element: Element) -> Journal:
        """Return the journal of its element."""

    @abstractmethod
    def _line_of(self, element: Element, at: int) -> Line | None:
        """Return a line; None for one that is struck out. Raises `Unreadable`."""

    @abstractmethod
    def _entry_of(self, element: Element, lines: list[Line], at: int) -> Entry:
        """Return an entry of the journal that is being read."""

    def _begin_journal(self, element: Element) -> list[Record]:
        """Return the journal of an entry when it is the first of it."""
        parent = element.getparent()
        if parent is self.journal_element:
            return []
        self.journal_element = parent
        self.journal = self._journal_of(parent)
        return [self.journal]

    def _end_journal(self, element: Element) -> list[Record]:
        """Return a journal that has no entries."""
        is_new = element is not self.journal_element
        self.journal_element = None
        return [self._journal_of(element)] if is_new and Journal in self.file_pass.kinds else []

    def _read_line(self, element: Element) -> list[Record]:
        at = line_of(element)
        try:
            parent = element.getparent()
            if parent is None or LOCAL[parent.tag] != self.ENTRY_NAME:
                raise Unreadable("it stands in no entry")
            line = self._line_of(element, at)
        except Unreadable as problem:
            self._report_line(element, problem, at)
            return []
        if line is not None:
            self.lines.append(line)
            self._check_line_count()
        return []

    def _report_line(self, element: Element, problem: Unreadable, at: int) -> None:
        number = self._line_number(element)[:40]
        line = f"line {number}" if number else "a line"
        self.file_pass.log.add(
            FindingCode.LINE_UNREADABLE,
            f"Line {at}: {line} of an entry is not in the books: {problem}.",
            at,
            self.LINE_NAME,
        )

    def _line_number(self, element: Element) -> str:
        """Return the number that the file gives a line; '' for none."""
        del element
        return ""

    def _check_line_count(self) -> None:
        """Refuse an entry that never ends. Raises `LedgerFileRefused`."""
        if len(self.lines) > self.limits.entry_lines_max:
            name, most = self.file_pass.tally.name, f"{self.limits.entry_lines_max:,}"
            raise LedgerFileRefused(
                RefusalCode.TOO_MANY_RECORDS, f"{name} has an entry of more than {most} lines."
            )

    def _read_entry(self, element: Element) -> list[Record]:
        records = self._begin_journal(element)
        lines, self.lines = self.lines, []
        return [*records, self._entry_of(element, lines, line_of(element))]

    def _booked_on(self, number: str, days: Iterable[date | None], lines: list[Line], at: int) -> date:
        """Return the date of an entry: the first of `days`, of which the first is its own; else that of a
        line, or the first day of the file's year.
        """
        stated, *others = days
        effective = (line.effective_on for line in lines)
        first_days = (year.starts_on for year in self.years if year.is_own)
        day = stated or next((other for other in (*others, *effective, *first_days) if other), NO_DAY)
        if stated is None:
            self.file_pass.log.add_repair(
                RepairCode.DATE_COMPLETED, f"Entry {number[:40]} has no date; it is booked on {day}.", at
            )
        if self.years and not any(year.starts_on <= day <= year.ends_on for year in self.years):
            self.file_pass.log.add(
                FindingCode.DATE_OUTSIDE_YEAR,
                f"Entry {number[:40]} is of {day}, outside of the years of the file.",
                at,
                self.DATE_NAME,
            )
        return day

    def _read_total(self, element: Element) -> list[Record]:
        parent = element.getparent()
        if parent is None or LOCAL[parent.tag] != self.TOTALS_NAME:
            return []
        amount = self.file_pass.optional_amount((element.text or "").strip(), line_of(element))
        field = self.TOTALS[LOCAL[element.tag]]
        is_count = field in ("lines", "entries")
        stated = int(amount) if is_count and amount is not None else amount
        setattr(self.file_pass.tally.totals, field, stated)
        return []
