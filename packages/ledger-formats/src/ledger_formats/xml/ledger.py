"""What the readers of XML formats share: values with their repairs, keys of entries, one pass over a file."""

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal

from ledger_formats.checks import Tally
from ledger_formats.detection import Detection
from ledger_formats.encoding import is_misread
from ledger_formats.findings import FindingCode, RepairCode
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.limits import Limits
from ledger_formats.records import ZERO, ForeignAmount, Record
from ledger_formats.sources import Source
from ledger_formats.values import DecimalSeparator, Unreadable, read_amount
from ledger_formats.xml.parsing import Element, iterate, release

_PLAIN_AMOUNT = re.compile(r"-?\d{1,12}(?:\.\d{1,6})?", re.ASCII)
DATES_KEPT = 5_000


class FilePass:
    """One pass over a file: its tally and log, and the values of its elements."""

    def __init__(self, tally: Tally, kinds: frozenset[type]) -> None:
        self.tally, self.log, self.kinds = tally, tally.log, kinds
        self.dates: dict[str, date | None] = {}
        self.misread_count = 0

    def amount(self, text: str, line: int) -> Decimal:
        """Return an amount. Raises `Unreadable`."""
        if _PLAIN_AMOUNT.fullmatch(text):
            return Decimal(text)
        separator = DecimalSeparator.UNKNOWN if "," in text else DecimalSeparator.POINT
        amount = read_amount(text, separator)
        if not re.fullmatch(r"[+-]?\d+(\.\d*)?", text.strip(), re.ASCII):
            self.log.add_repair(RepairCode.AMOUNT_NOTATION, f"“{text[:40]}” is read as {amount:f}.", line)
        return amount

    def optional_amount(self, text: str, line: int) -> Decimal | None:
        """Return an amount that the books do not need; None when there is none, or it cannot be read."""
        if not text:
            return None
        try:
            return self.amount(text, line)
        except Unreadable as problem:
            self.log.add(FindingCode.VALUE_UNREADABLE, f"Line {line}: {problem}; it is left out.", line)
            return None

    def foreign(
        self, currency: str, text: str, amount: Decimal, side: int, line: int
    ) -> ForeignAmount | None:
        """Return an amount in another currency with the sign of its `amount`; None when it cannot be read.

        `side` is -1 where the file writes it on the side of credit. Programs write it with the minus sign of
        the amount, with one for credit, or with none: no line is a debit in one currency and a credit in
        another.
        """
        stated = self.optional_amount(text, line)
        if stated is None:
            return None
        return ForeignAmount(currency, self._with_sign(side * stated, amount, line))

    def line_vat(
        self, text: str, side: int, line_amount: Decimal, line_side: int, line: int
    ) -> Decimal | None:
        """Return the amount of VAT, debit positive. `side` is 1, -1, or 0 where the file gives it none.

        VAT on the side of its line has the line's sign, with which minus signs ever the file writes both: a
        program turns the line of a discount to the other side, and leaves the minus sign of its VAT.
        """
        stated = self.optional_amount(text, line)
        if stated is None:
            return None
        if side in (0, line_side):
            return self._with_sign(line_side * stated, line_amount, line)
        if stated < ZERO:
            self.log.add_repair(
                RepairCode.NEGATIVE_AMOUNT, "Amounts below zero count on the other side.", line, "VAT"
            )
        return side * stated

    def _with_sign(self, amount: Decimal, line_amount: Decimal, line: int) -> Decimal:
        if amount * line_amount >= ZERO:
            return amount
        self.log.add_repair(
            RepairCode.LINE_SIGN, "Amounts of VAT and in other currencies have the sign of their line.", line
        )
        return -amount

    def day(self, text: str, line: int) -> date | None:
        """Return a date; None when there is none, or it cannot be read. A time of day is left off."""
        if text not in self.dates:
            if len(self.dates) > DATES_KEPT:
                self.dates.clear()
            self.dates[text] = self._read_day(text, line)
        return self.dates[text]

    def _read_day(self, text: str, line: int) -> date | None:
        typed = text.strip()
        if not typed:
            return None
        try:
            if re.match(r"\d{4}-\d\d-\d\d", typed, re.ASCII):
                return date.fromisoformat(typed[:10])
            if re.fullmatch(r"\d{8}", typed, re.ASCII):
                return date.fromisoformat(typed)
        except ValueError:
            pass
        self.log.add(FindingCode.VALUE_UNREADABLE, f"Line {line}: “{typed[:40]}” is not a date.", line)
        return None

    def code(self, text: str | None, line: int) -> str:
        """Return a code without the blanks around it, which differ where it is used."""
        if not text:
            return ""
        code = text.strip()
        if code != text:
            self.log.add_repair(
                RepairCode.CODE_BLANKS, "Codes have blanks before or behind; they are left off.", line
            )
        return code

    def name(self, text: str, line: int) -> str:
        """Return a name, stripped and composed. Letters that were decoded wrongly are reported once."""
        name = text.strip()
        if name.isascii():
            return name
        if is_misread(name):
            self.misread_count += 1
            if self.misread_count == 1:
                self.log.add(
                    FindingCode.TEXT_MISREAD,
                    f"Texts were decoded wrongly before they came into the file, such as “{name[:60]}”.",
                    line,
                )
        return unicodedata.normalize("NFC", name)

    def key(self, journal: str, number: str, line: int) -> str:
        """Return a key that no entry before has. Raises `LedgerFileRefused` beyond `Limits.entries_max`."""
        key = f"{journal}/{number}" if number else journal
        unique = self.tally.unique_key(key)
        if number and unique != key:
            self.log.add_repair(
                RepairCode.NUMBER_REPEATED,
                f"Entries of journal {journal[:40]} share the number {number[:40]}; each has its own key.",
                line,
            )
        return unique


class XmlLedger(LedgerFile):
    """Reads elements of the names in `RECORD_NAMES`; each is released once its handler has seen it."""

    RECORD_NAMES: tuple[str, ...] = ()
    PART_NAMES: frozenset[str] = frozenset()
    """Parts of a record: what stands before them in it is kept until the record ends."""

    def __init__(self, source: Source, detection: Detection, limits: Limits) -> None:
        super().__init__(source, detection, limits)
        self._read_header()

    @abstractmethod
    def _read_header(self) -> None:
        """Set `header` from the head of the file."""

    @abstractmethod
    def _reader(self, tally: Tally, kinds: frozenset[type]) -> "RecordReader":
        """Return the reader of one pass."""

    def _records(self, tally: Tally, kinds: frozenset[type]) -> Iterator[Record]:
        reader = self._reader(tally, kinds)
        handlers = reader.handlers
        elements = iterate(self.source, self.detection, self.limits, self.RECORD_NAMES)
        for _event, name, element in elements:
            handler = handlers.get(name)
            if handler is not None:
                for record in handler(element):
                    if type(record) in kinds:
                        yield record
            if name in self.PART_NAMES:
                element.clear(keep_tail=False)
            else:
                release(element)
        yield from (record for record in reader.finish() if type(record) in kinds)


Handler = Callable[[Element], Iterable[Record]]
"""Takes an element, and returns the records that it completes."""


class RecordReader:
    """Turns elements into records. `handlers` are by the local name of an element."""

    def __init__(self, file_pass: FilePass, limits: Limits) -> None:
        self.file_pass, self.limits = file_pass, limits
        self.handlers: dict[str, Handler] = {}

    def finish(self) -> list[Record]:
        """Return what only the end of the file completes."""
        return []


def line_of(element: Element) -> int:
    return int(element.sourceline or 0)


def optional_day(text: str) -> date | None:
    """Return the date of a header; None when it has none, or one that cannot be read."""
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
