"""Reads tables that people upload or paste; detects encoding, delimiter and headings.

Python's csv splits the cells. Two libraries were tried and rejected: charset-normalizer reads short lists of
names in cp1252 as cp1250, so that `Møller` becomes `Mřller` (a file that is neither UTF-8 nor marked as
UTF-16 comes from Western Europe: Windows, or Excel's “CSV (MS-DOS)” and “CSV (Macintosh)”); csv.Sniffer finds
no delimiter in a list of one column, nor if rows omit their last cells.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from itertools import chain, islice
from typing import Literal

from django.utils.translation import gettext as _

from koppel.kit.database.text import compose
from koppel.kit.database.text_search import normalize_search
from koppel.kit.errors import KoppelError
from koppel.kit.tabular.conventions import begins_like_formula
from koppel.kit.tabular.file_types import FileType, detect_file_type

Quoting = Literal[0, 3]
"""The csv constants `QUOTE_MINIMAL` and `QUOTE_NONE`."""
DELIMITERS = ("\t", ";", ",", "|")
"""In order of preference when two fit equally well: names and amounts contain commas, but no tabs."""
BYTE_ENCODINGS = ("cp1252", "cp850", "mac_roman")
"""Where two fit equally well the first one is taken."""
SAMPLE_WORDS = 5000
_WORDS = re.compile(rb"[\x21-\x7e]*[\x80-\xff][\x21-\xff]*")
_LETTERS = frozenset("áàäåãæçéèëêíïñóöôøúüßÄÅÆÇÉÈÖØÜÑ")
_RARE_SIGNS = frozenset("‚ƒ„†‡ˆ‰‹›˜¤¢¡¬¯¿")
_QUOTES = frozenset("“”™•—")
SAMPLE_ROWS = 50
"""The number of rows, from the first, from which the delimiter is detected."""
NO_DELIMITER = "\x1f"
"""Splits a table of one column; no text contains it, because control characters are removed."""
END = "\x1e"
"""Marks the end of the last line. Inside a cell it shows that a quotation mark was never closed."""
CONTROL_CHARACTERS = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_EXPONENT = re.compile(r"([1-9])[.,]([0-9]+)[eE]\+?([0-9]{1,2})")
_WHOLE = re.compile(r"[0-9]+[.,]0{1,2}|[0-9]{4,}[.,]0+|[0-9]+[.,]0{4,}")
_GROUPED_WHOLE = re.compile(
    r"[0-9]{1,3}(?:(?:\.[0-9]{3})+,|(?:,[0-9]{3})+\.|(?:['’ \u00a0\u202f][0-9]{3})+[.,])0{1,2}"
)
SEPARATOR_LINE = re.compile(r'\A"?sep=([\t;,|])"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
"""Excel's own first line of a CSV, which is not a row."""


@dataclass(frozen=True)
class ReadLimits:
    """Size limits of a table."""

    size: int = 5 * 1024 * 1024
    """Bytes of a file, or characters of a text."""
    rows: int = 20_000
    columns: int = 1000
    cell_characters: int = 32_767
    """As many as a cell in Excel holds."""


@dataclass(frozen=True)
class FileRow:
    """A row of the table. A blank row has no cells."""

    number: int
    """Counts from 1 as a spreadsheet does: blank rows count, and a cell of several lines is one row."""
    cells: tuple[str, ...]

    @property
    def is_blank(self) -> bool:
        return not any(cell.strip() for cell in self.cells)


class TableProblem(StrEnum):
    """The reason why the input cannot be read as a table."""

    TOO_LARGE = "too_large"
    TOO_MANY_ROWS = "too_many_rows"
    TOO_MANY_CELLS = "too_many_cells"
    CELL_TOO_LONG = "cell_too_long"
    OPEN_QUOTE = "open_quote"
    UNKNOWN_HEADINGS = "unknown_headings"
    UNCLEAR_COLUMNS = "unclear_columns"
    WORKBOOK = FileType.WORKBOOK.value
    PDF = FileType.PDF.value
    WEB_PAGE = FileType.WEB_PAGE.value
    BINARY = FileType.BINARY.value


class TableError(KoppelError):
    """The only error of this module. `row` is the number of the row, 0 for the table as a whole. `text`: what
    of the table is meant.
    """

    code = "unreadable_table"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, problem: TableProblem, limit: int = 0, row: int = 0, text: str = "") -> None:
        self.problem, self.limit, self.row = problem, limit, row
        super().__init__(_message(problem) % {"row": row, "limit": limit, "text": text})


def decode(content: bytes, limits: ReadLimits = ReadLimits()) -> str:
    """Return the text of a file: UTF-8, UTF-16, otherwise the one of `BYTE_ENCODINGS` in which its words look
    most like words; composed (NFC).

    Raises `TableError` when it is too large or no text.
    """
    if len(content) > limits.size:
        raise TableError(TableProblem.TOO_LARGE, limits.size)
    if file_type := detect_file_type(content):
        raise TableError(TableProblem(file_type.value))
    return compose(_decode(content))


def _decode(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return content.decode("utf-32", errors="replace")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if encoding := _utf16_without_mark(content):
        return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        words = [match[0] for match in islice(_WORDS.finditer(content), SAMPLE_WORDS)]
    if not any(_looks_wrongly_decoded(word.decode("cp1252", errors="replace")) for word in words):
        return content.decode("cp1252", errors="replace")
    best = max(BYTE_ENCODINGS, key=lambda name: sum(_plausibility(word, name) for word in words))
    return content.decode(best, errors="replace")


def _looks_wrongly_decoded(word: str) -> bool:
    """Return whether no program on Windows wrote this: `Caf‚`, `F”rskott`, `CafŽ`."""
    for before, letter, after in zip(" " + word, word, word[1:] + " ", strict=False):
        is_within = before.isalpha() or after.islower()
        if letter == "\ufffd" or (letter in _RARE_SIGNS and is_within):
            return True
        if letter in _QUOTES and before.islower() and after.islower():
            return True
        if not letter.isascii() and letter.isupper() and before.islower():
            return True
    return False


def _plausibility(word: bytes, encoding: str) -> int:
    """Return how much a word looks like one of Western Europe in this encoding."""
    text, score = word.decode(encoding, errors="replace"), 0
    for before, letter, after in zip(" " + text, text, text[1:] + " ", strict=False):
        if letter.isascii():
            continue
        if letter.isalpha():
            score += 3 if letter in _LETTERS else 1
            # mÄn and SØRBØø are no words.
            is_wrong = letter.isupper() and before.islower()
            is_wrong = is_wrong or (letter.islower() and before.isupper() and after.isupper())
            score -= 4 if is_wrong else 0
        elif before.isalpha() or after.islower() or letter == "\ufffd":
            score -= 2
    return score


def _utf16_without_mark(content: bytes) -> str:
    """Return the encoding where nearly all NULs are the upper halves of characters; else ''. Other text has
    none.
    """
    even, odd = content[::2].count(0), content[1::2].count(0)
    if len(content) % 2 or max(even, odd) * 10 < len(content) or min(even, odd) * 20 > max(even, odd):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def read_rows(
    text: str,
    limits: ReadLimits = ReadLimits(),
    *,
    has_header: bool = False,
    split_share: float = 0.5,
    has_quotes: bool = True,
) -> Iterator[FileRow]:
    """Yield every row with its unmodified cells. Raises `TableError` at the first unreadable cell.

    The delimiter must split more than `split_share` of the rows, and the first one if that has the headings;
    otherwise the table has one column. Without `has_quotes` a quotation mark is an ordinary character.
    """
    if len(text) > limits.size:
        raise TableError(TableProblem.TOO_LARGE, limits.size)
    quoting: Quoting = csv.QUOTE_MINIMAL if has_quotes else csv.QUOTE_NONE
    text = CONTROL_CHARACTERS.sub(" ", compose(text).removeprefix("\ufeff").replace("\0", ""))
    if separator_line := SEPARATOR_LINE.match(text):
        text, delimiter = text[separator_line.end() :], separator_line[1]
    else:
        delimiter = _detect_delimiter(text, quoting, has_header=has_header, split_share=split_share)
    return _rows(text, delimiter, quoting, limits)


def heading_keys(cells: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """Return the key of each heading; '' if `names` does not have it.

    Case, accents, and signs between words make no difference: "KvK-nr.", "kvk nr" and "KVK_NR" are one.
    """
    keys = {_heading_words(name): key for name, key in names.items()}
    return [keys.get(_heading_words(cell), "") for cell in cells]


def _heading_words(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", normalize_search(unicodedata.normalize("NFKC", text))))


def unwrap_number(cell: str) -> str:
    """Return a number as it was meant before a spreadsheet wrote it: `="01234567"`, `'01234567`, `1000.0`,
    `1.000,00` and `6,9599084E+07`. Other text, and a number that lost digits, stays as it is.

    Three zeros behind at most three digits are thousands: `1.000`.
    """
    text = cell.strip()
    if match := re.fullmatch(r'="?([^"]*)"?', text):
        text = match[1]
    text = text.removeprefix("'").strip()
    if match := _EXPONENT.fullmatch(text):
        first, decimals, exponent = match[1], match[2], int(match[3])
        return first + decimals if len(decimals) == exponent else text
    if _GROUPED_WHOLE.fullmatch(text):
        return re.sub(r"[^0-9]", "", text[: max(text.rfind("."), text.rfind(","))])
    return re.split("[.,]", text)[0] if _WHOLE.fullmatch(text) else text


def strip_invisible(cell: str) -> str:
    """Return a cell without the spaces around it, also those of no width that come along when people copy."""
    return cell.strip().strip(INVISIBLE).strip()


def unescape_formula(cell: str) -> str:
    """Remove the apostrophe that `conventions.escape_formula` puts before text that begins like a formula."""
    return cell[1:] if cell.startswith("'") and begins_like_formula(cell[1:]) else cell


def _rows(text: str, delimiter: str, quoting: Quoting, limits: ReadLimits) -> Iterator[FileRow]:
    records = csv.reader(chain(io.StringIO(text, newline=""), [END]), delimiter=delimiter, quoting=quoting)
    number = 0
    while True:
        number += 1
        try:
            cells = next(records)
        except csv.Error:  # The only error without `strict`: a cell exceeds csv's size limit.
            raise TableError(TableProblem.CELL_TOO_LONG, limits.cell_characters, number) from None
        if cells == [END]:
            return
        if cells and cells[-1].endswith(END):
            raise TableError(TableProblem.OPEN_QUOTE, row=number)
        _require_bounded(cells, number, limits)
        yield FileRow(number, tuple(cells))


def _require_bounded(cells: Sequence[str], number: int, limits: ReadLimits) -> None:
    if number > limits.rows:
        raise TableError(TableProblem.TOO_MANY_ROWS, limits.rows, number)
    if len(cells) > limits.columns:
        raise TableError(TableProblem.TOO_MANY_CELLS, limits.columns, number)
    if any(len(cell) > limits.cell_characters for cell in cells):
        raise TableError(TableProblem.CELL_TOO_LONG, limits.cell_characters, number)


@dataclass(frozen=True)
class _Split:
    """The split of the first rows that are not blank by a delimiter."""

    delimiter: str
    is_strict: bool
    """Whether every quotation mark begins or ends a cell, or is doubled."""
    splits_first: bool
    split_share: float
    """The share of rows with more than one cell."""
    quotes: int
    """The number of quotation marks inside cells."""
    same_share: float
    """The share of rows with the most frequent number of cells."""

    @property
    def rank(self) -> tuple[bool, bool, float, int, float]:
        return self.is_strict, self.splits_first, self.split_share, -self.quotes, self.same_share


def _detect_delimiter(text: str, quoting: Quoting, *, has_header: bool, split_share: float) -> str:
    """Return the best delimiter, otherwise `NO_DELIMITER`.

    A delimiter with which the quotation marks are well-formed is preferred.
    """
    are_quotes_proof = not _split(text, NO_DELIMITER, quoting).is_strict
    candidates = [
        split
        for split in (_split(text, delimiter, quoting) for delimiter in DELIMITERS)
        if split.splits_first or not has_header
        if split.split_share > (0 if are_quotes_proof and split.is_strict else split_share)
    ]
    return max(candidates, key=lambda split: split.rank).delimiter if candidates else NO_DELIMITER


def _split(text: str, delimiter: str, quoting: Quoting) -> _Split:
    sample, is_strict = _sample(text, delimiter, quoting)
    widths = [len(cells) for cells in sample if len(cells) > 1]
    most_frequent = Counter(widths).most_common(1)
    total = len(sample) or 1
    return _Split(
        delimiter,
        is_strict,
        splits_first=bool(sample and len(sample[0]) > 1),
        split_share=len(widths) / total,
        quotes=sum(cell.count('"') for cells in sample for cell in cells),
        same_share=most_frequent[0][1] / total if most_frequent else 0.0,
    )


def _sample(text: str, delimiter: str, quoting: Quoting) -> tuple[list[list[str]], bool]:
    """Return the first rows that are not blank, and whether strict parsing can read them."""
    rows: list[list[str]] = []
    for is_strict in (True, False):
        lines = io.StringIO(text, newline="")
        records = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=is_strict)
        rows = []
        try:
            rows.extend(
                islice(
                    (cells for cells in records if len(cells) > 1 or any(map(str.strip, cells))), SAMPLE_ROWS
                )
            )
        except csv.Error:
            continue
        return rows, is_strict
    return rows, False


def _message(problem: TableProblem) -> str:
    messages = {
        TableProblem.TOO_LARGE: _("This file is too large."),
        TableProblem.TOO_MANY_ROWS: _("The file has more than %(limit)d lines. Split it."),
        TableProblem.TOO_MANY_CELLS: _("Line %(row)d has more than %(limit)d cells."),
        TableProblem.CELL_TOO_LONG: _(
            "Line %(row)d could not be read: a cell has more than %(limit)d characters. Check for a "
            "missing quotation mark."
        ),
        TableProblem.OPEN_QUOTE: _(
            "Line %(row)d could not be read as a table row. Check for a missing quotation mark."
        ),
        TableProblem.UNKNOWN_HEADINGS: _("Unknown headings: %(text)s."),
        TableProblem.UNCLEAR_COLUMNS: _(
            "More than one column may hold the numbers. Add a first line with headings: name, number."
        ),
        TableProblem.WORKBOOK: _(
            "This is a workbook, not a CSV file. Save it as “CSV UTF-8” in Excel, and upload that."
        ),
        TableProblem.PDF: _("This is a PDF, not a CSV file. Export the list as CSV, and upload that."),
        TableProblem.WEB_PAGE: _(
            "This is a web page, not a CSV file. Open it in Excel, save it as “CSV UTF-8”, and upload that."
        ),
        TableProblem.BINARY: _("This file holds no text. Upload a CSV file."),
    }
    return messages[problem]
