"""Pasted or uploaded lists: numbers, reasons and sectors by company, with columns in any order.

Delimiter, encoding and columns are detected from the list. The result of each line is reported.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from koppel.kit.database.text import compose
from koppel.kit.tabular.reader import (
    FileRow,
    ReadLimits,
    TableError,
    TableProblem,
    heading_keys,
    read_rows,
    unwrap_number,
)

LINES_MAX = 5000
LIMITS = ReadLimits(rows=2 * LINES_MAX)
TITLE_LINES_MAX = 5
VALUES = ("number", "reason", "sector")
"""What a list fills in. Its other fields say whose line it is."""
HEADERS = {
    "name": {
        "name",
        "naam",
        "administration",
        "administratie",
        "company",
        "bedrijf",
        "client",
        "klant",
        "namn",
        "navn",
        "nimi",
        "bedrijfsnaam",
        "klantnaam",
        "company name",
    },
    "number": {
        "number",
        "nummer",
        "kvk",
        "kvk-nummer",
        "kvknummer",
        "kvk nummer",
        "kvk nr",
        "kvknr",
        "kvk no",
        "coc nr",
        "coc no",
        "coc",
        "coc number",
        "coc-number",
        "registration number",
        "registratienummer",
        "orgnr",
        "org.nr",
        "org nummer",
        "orgnummer",
        "organisation number",
        "cvr nr",
        "cvr nummer",
        "hrb",
        "inschrijfnummer",
        "handelsregisternummer",
        "reg nr",
        "registration no",
        "organisasjonsnummer",
        "organisationsnummer",
        "cvr",
        "y-tunnus",
        "company number",
        "ondernemingsnummer",
    },
    "code": {
        "code",
        "id",
        "client number",
        "klantnummer",
        "clientnummer",
        "administratiecode",
        "code at source",
        "code in bron",
        "client no",
        "klantnr",
        "company id",
        "source id",
    },
    "reason": {"reason", "reden"},
    "sector": {"sector", "branche", "section"},
}
"""What people write above a column, in small letters."""
HEADINGS = {words: field for field, headings in HEADERS.items() for words in headings}


@dataclass(frozen=True)
class PastedLine:
    """One line of a list. Without name and code, it belongs to the row of the table at its position."""

    index: int
    """Counts from 0 without the header."""
    name: str
    number: str
    code: str = ""
    reason: str = ""
    sector: str = ""
    has_conflict: bool = False
    """Whether two columns of one meaning differ."""

    @property
    def is_empty(self) -> bool:
        return not (self.number or self.reason or self.sector)


class MatchStatus(StrEnum):
    """The result of a line."""

    MATCHED = "matched"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class TableRow:
    """A row of the table that a line may belong to."""

    id: int
    name: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MatchedLine:
    """A line and the row of the table that it belongs to."""

    line: PastedLine
    status: MatchStatus
    id: int | None = None
    """None when no row was found."""


def read_lines(text: str) -> list[PastedLine]:
    """Read the lines of a list. Raises `TableError` for more than `LINES_MAX` lines, and for an unreadable
    table.

    In a list of one column blank lines are kept, because the order counts.
    """
    text = text.strip("\0\r\n")
    if not text.strip():
        return []
    rows = _without_title(_rows(text))
    columns = _by_header(rows[0]) if rows else {}
    if columns:
        _require_values(rows[0], columns)
        rows = rows[1:]
    else:
        columns = _by_content(rows)
    if len(rows) > LINES_MAX:
        raise TableError(TableProblem.TOO_MANY_ROWS, LINES_MAX)
    return [_line(index, row, columns) for index, row in enumerate(rows)]


def match_lines(lines: Sequence[PastedLine], candidates: Sequence[TableRow]) -> list[MatchedLine]:
    """Match lines to rows: by code, by name (without regard to case, dots and spaces), else by position.

    Of two lines for one row the first counts. A name that two rows share matches neither.
    """
    by_code = _index(candidates, lambda candidate: [_normalize_code(code) for code in candidate.codes])
    by_name = _index(candidates, lambda candidate: [_normalize(candidate.name)])
    matched_ids: set[int] = set()
    return [_match_line(line, candidates, by_code, by_name, matched_ids) for line in lines]


def _match_line(
    line: PastedLine,
    candidates: Sequence[TableRow],
    by_code: Mapping[str, list[int]],
    by_name: Mapping[str, list[int]],
    matched_ids: set[int],
) -> MatchedLine:
    if line.code or line.name:
        matches = (
            by_code.get(_normalize_code(line.code), [])
            or by_name.get(_normalize(line.name), [])
            or by_code.get(_normalize_code(line.name), [])
        )
    else:
        matches = [candidates[line.index].id] if line.index < len(candidates) else []
    if line.is_empty:
        return MatchedLine(line, MatchStatus.EMPTY)
    if line.has_conflict:
        return MatchedLine(line, MatchStatus.CONFLICT)
    if len(matches) != 1:
        return MatchedLine(line, MatchStatus.AMBIGUOUS if matches else MatchStatus.UNKNOWN)
    if matches[0] in matched_ids:
        return MatchedLine(line, MatchStatus.DUPLICATE, matches[0])
    matched_ids.add(matches[0])
    return MatchedLine(line, MatchStatus.MATCHED, matches[0])


def _index(candidates: Sequence[TableRow], keys: Callable[[TableRow], list[str]]) -> dict[str, list[int]]:
    ids_by_key: dict[str, list[int]] = {}
    for candidate in candidates:
        for key in keys(candidate):
            if key:
                ids_by_key.setdefault(key, []).append(candidate.id)
    return ids_by_key


def _normalize(text: str) -> str:
    """Normalise a name: `Bakkerij De Haan B.V.` and `bakkerij de haan bv` are one."""
    return re.sub(r"[\W_]", "", compose(text).casefold())


def _normalize_code(text: str) -> str:
    """Normalise a code: `B-7` and `b7` are one. Signs between digits alone are part of it: `1-2` is not `12`,
    but `1 000` and `1.000` are 1000.
    """
    code = re.sub(r"[\s'’]", "", compose(text).casefold())
    if re.search(r"[^\W\d_]", code):
        return _normalize(code)
    return re.sub(r"[.,]", "", code) if re.fullmatch(r"\d{1,3}([.,])\d{3}(\1\d{3})*", code) else code


def _rows(text: str) -> list[list[str]]:
    rows = _table(text)
    if any(len(row.cells) > 1 for row in rows):
        rows = [row for row in rows if not row.is_blank]
    return [[unwrap_number(cell) for cell in row.cells or ("",)] for row in rows]


def _table(text: str) -> list[FileRow]:
    """Read a table with quotation marks, else with quotation marks as letters: a name may begin with one."""
    try:
        return list(read_rows(text, LIMITS))
    except TableError:
        return list(read_rows(text, LIMITS, has_quotes=False))


def _without_title(rows: list[list[str]]) -> list[list[str]]:
    """Return the rows from the headings on, where lines of one cell stand above them."""
    for index, row in enumerate(rows[:TITLE_LINES_MAX]):
        fields = [field for field in heading_keys(row, HEADINGS) if field]
        if len(fields) > 1:
            return rows[index:]
        if fields or sum(bool(cell) for cell in row) > 1:
            break
    return rows


def _by_header(row: Sequence[str]) -> dict[str, list[int]]:
    columns: dict[str, list[int]] = {}
    for index, field in enumerate(heading_keys(row, HEADINGS)):
        if field:
            columns.setdefault(field, []).append(index)
    return columns


def _require_values(headings: Sequence[str], columns: Mapping[str, object]) -> None:
    """Raise `TableError` where headings say whose line it is, and none that is known what to fill in."""
    unknown = [
        heading for heading, key in zip(headings, heading_keys(headings, HEADINGS), strict=True) if not key
    ]
    if not columns.keys() & set(VALUES) and any(unknown):
        raise TableError(TableProblem.UNKNOWN_HEADINGS, text=", ".join(filter(None, unknown))[:200])


def _by_content(rows: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Find columns without a header: that with most numbers holds the numbers, the wordiest other one the
    names.
    """
    width = Counter(len(row) for row in rows if row).most_common(1)
    columns = width[0][0] if width else 1
    if columns < 2:
        return {"number": [0]}
    numbers = [sum(_looks_like_number(row[at]) for row in rows if at < len(row)) for at in range(columns)]
    number_at = max(range(columns), key=lambda at: (numbers[at], -at)) if any(numbers) else columns - 1
    text_columns = [at for at in range(columns) if at != number_at]
    letters = {
        at: sum(len(re.findall(r"[^\W\d_]", row[at])) for row in rows if at < len(row)) for at in text_columns
    }
    name_at = max(text_columns, key=lambda at: (letters[at], -at))
    found_columns = {"number": [number_at], "name": [name_at]}
    rest = [at for at in text_columns if at != name_at]
    if rest:
        found_columns["code"] = rest[:1]
    return found_columns


def _looks_like_number(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 6 <= len(digits) <= 14 and len(digits) >= len(re.sub(r"[\s.\-/]", "", text)) - 5


def _line(index: int, row: Sequence[str], columns: Mapping[str, Sequence[int]]) -> PastedLine:
    def cells(field: str) -> list[str]:
        texts = [row[at].strip() for at in columns.get(field, ()) if at < len(row)]
        return list(dict.fromkeys(filter(None, texts))) or [""]

    return PastedLine(
        index,
        cells("name")[0],
        cells("number")[0],
        cells("code")[0],
        cells("reason")[0],
        cells("sector")[0],
        has_conflict=any(len(cells(field)) > 1 for field in VALUES),
    )
