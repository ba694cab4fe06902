"""Pasted or uploaded lists: numbers, reasons and sectors by company, with columns in any order.

Delimiter, encoding and columns are detected from the list. The result of each line is reported.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from koppel.company_registers.company_names import name_without_legal_form
from koppel.company_registers.numbers.reasons import resolve_reason
from koppel.company_registers.sectors.sections import resolve_sector
from koppel.kit.database.text import compose
from koppel.kit.tabular.damaged_cells import find_damage, is_date
from koppel.kit.tabular.reader import (
    FileRow,
    ReadLimits,
    TableError,
    TableProblem,
    heading_keys,
    read_rows,
    strip_invisible,
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
        "klant nr",
        "client nr",
        "relatienummer",
        "company id",
        "source id",
    },
    "reason": {"reason", "reden"},
    "sector": {"sector", "branche", "section"},
}
"""What people write above a column, in small letters."""
HEADINGS = {words: field for field, headings in HEADERS.items() for words in headings}


@dataclass(frozen=True, kw_only=True)
class PastedLine:
    """One line of a list."""

    index: int
    """Counts from 0 without the header."""
    name: str
    number: str
    code: str = ""
    reason: str = ""
    sector: str = ""
    has_conflict: bool = False
    """Whether two columns of one meaning differ."""
    by_position: bool = False
    """Whether the list has no names and no codes, so that the line belongs to the row of the table with its
    index.
    """

    @property
    def compared_values(self) -> tuple[str, str, str]:
        """The values without the signs and capitals that make no difference."""
        number, reason, sector = (re.sub(r"\W", "", text).casefold() for text in self.values)
        return number, reason, sector

    @property
    def values(self) -> tuple[str, str, str]:
        return self.number, self.reason, self.sector

    @property
    def is_empty(self) -> bool:
        return not any(self.values)


@dataclass(frozen=True)
class PastedList:
    """The lines of a list. `unread`: the headings of columns that fill in nothing."""

    lines: Sequence[PastedLine] = ()
    unread: Sequence[str] = ()


class MatchStatus(StrEnum):
    """The result of a line. REPEATED: an equal line came before. CONTRADICTED: another line has other values
    for the same row, so that neither counts. TWO_COMPANIES: name and code belong to different ones.
    """

    MATCHED = "matched"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    REPEATED = "repeated"
    CONTRADICTED = "contradicted"
    CONFLICT = "conflict"
    TWO_COMPANIES = "two_companies"
    DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A row of the table that a line may belong to."""

    id: int
    name: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MatchedLine:
    """A line and the row of the table that it belongs to."""

    line: PastedLine
    status: MatchStatus
    id: int | None = None
    """The row of the table; None when the line fills in no row."""


def read_list(text: str) -> PastedList:
    """Read a list. Raises `TableError` for more than `LINES_MAX` lines, and for an unreadable table.

    In a list of one column blank lines are kept, because the order counts.
    """
    text = text.strip("\0\r\n")
    if not text.strip():
        return PastedList()
    rows = _without_title(_rows(text))
    columns = _by_header(rows[0]) if rows else {}
    unread: tuple[str, ...] = ()
    if columns:
        unread = _unread_headings(rows[0], columns)
        rows = rows[1:]
    else:
        columns = _by_content(rows)
    if len(rows) > LINES_MAX:
        raise TableError(TableProblem.TOO_MANY_ROWS, LINES_MAX)
    return PastedList([_line(index, row, columns) for index, row in enumerate(rows)], unread)


def match_lines(lines: Sequence[PastedLine], candidates: Sequence[TableRow]) -> list[MatchedLine]:
    """Match lines to rows: by code and name (without regard to case, dots and spaces), or by position.

    A line matches one row or none: a name that two rows share matches neither, and two lines with different
    values for one row are both left out.
    """
    finder = _RowFinder(candidates)
    matched_lines = [_match_line(line, finder) for line in lines]
    lines_by_id: dict[int, list[PastedLine]] = {}
    for matched in matched_lines:
        if matched.id is not None:
            lines_by_id.setdefault(matched.id, []).append(matched.line)
    return [_compare_with_row(matched, lines_by_id.get(matched.id or 0, [])) for matched in matched_lines]


class _RowFinder:
    """Finds the rows that a line may mean."""

    def __init__(self, candidates: Sequence[TableRow]) -> None:
        self._candidates = candidates
        self._names_without_legal_form = {
            candidate.id: name_without_legal_form(candidate.name) for candidate in candidates
        }
        self._by_code = _index(candidates, lambda row: [_normalize_code(code) for code in row.codes])
        self._by_name = _index(candidates, lambda row: [_normalize(row.name)])

    def find(self, line: PastedLine) -> list[int] | None:
        """Return the ids of the rows; None when its code and its name belong to different companies."""
        if line.by_position:
            return [self._candidates[line.index].id] if line.index < len(self._candidates) else []
        by_code = self._by_code.get(_normalize_code(line.code), [])
        by_name = self._by_name.get(_normalize(line.name), [])
        if by_code and by_name:
            return [row_id for row_id in by_code if row_id in by_name] or None
        if by_code and line.name:
            return [row_id for row_id in by_code if self._resembles(row_id, line.name)] or None
        return by_code or by_name or self._by_code.get(_normalize_code(line.name), [])

    def _resembles(self, row_id: int, name: str) -> bool:
        """Return whether a word of the name, or its beginning, is in the name of the row."""
        company, typed = self._names_without_legal_form[row_id], name_without_legal_form(name)
        words = [word for word in typed.split() if len(word) > 2]
        return company in typed or typed in company or any(word in company for word in words)


def _match_line(line: PastedLine, finder: _RowFinder) -> MatchedLine:
    matches = finder.find(line)
    if line.is_empty:
        return MatchedLine(line=line, status=MatchStatus.EMPTY)
    if line.has_conflict:
        return MatchedLine(line=line, status=MatchStatus.CONFLICT)
    if matches is None:
        return MatchedLine(line=line, status=MatchStatus.TWO_COMPANIES)
    if len(matches) != 1:
        return MatchedLine(line=line, status=MatchStatus.AMBIGUOUS if matches else MatchStatus.UNKNOWN)
    if line.number and (find_damage(line.number) or not re.search(r"\d", line.number)):
        return MatchedLine(line=line, status=MatchStatus.DAMAGED)
    return MatchedLine(line=line, status=MatchStatus.MATCHED, id=matches[0])


def _compare_with_row(matched: MatchedLine, same_row: Sequence[PastedLine]) -> MatchedLine:
    """Return the match after a comparison with all lines for its row."""
    if any(line.compared_values != matched.line.compared_values for line in same_row):
        return MatchedLine(line=matched.line, status=MatchStatus.CONTRADICTED)
    if same_row and same_row[0].index != matched.line.index:
        return MatchedLine(line=matched.line, status=MatchStatus.REPEATED)
    return matched


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
    return [[unwrap_number(strip_invisible(cell)) for cell in row.cells or ("",)] for row in rows]


def _table(text: str) -> list[FileRow]:
    """Read a table with quotation marks, else with quotation marks as letters: a name may begin with one."""
    try:
        return list(read_rows(text, LIMITS))
    except TableError as error:
        if error.problem is TableProblem.TOO_MANY_ROWS:
            raise TableError(TableProblem.TOO_MANY_ROWS, LINES_MAX) from None
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


def _unread_headings(headings: Sequence[str], columns: Mapping[str, object]) -> tuple[str, ...]:
    """Return the unknown headings. Raises `TableError` where the others only say whose line it is."""
    keys = heading_keys(headings, HEADINGS)
    unknown = tuple(heading for heading, key in zip(headings, keys, strict=True) if heading and not key)
    if unknown and not columns.keys() & set(VALUES):
        raise TableError(TableProblem.UNKNOWN_HEADINGS, text=", ".join(unknown)[:200])
    return unknown


def _by_content(rows: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """Find columns without a header: with numbers, with reasons and sectors, and the wordiest other one with
    the names. Raises `TableError` when more than one column may hold the numbers.
    """
    width = Counter(len(row) for row in rows if row).most_common(1)
    columns = width[0][0] if width else 1
    if columns < 2:
        return {"number": [0]}
    numbers = [sum(_looks_like_number(row[at]) for row in rows if at < len(row)) for at in range(columns)]
    value_columns = _reasons_and_sectors(rows, columns)
    if any(numbers) or not value_columns:
        number_at = max(range(columns), key=lambda at: (numbers[at], -at)) if any(numbers) else columns - 1
    else:
        number_at = -1
    if number_at >= 0 and sum(2 * count > numbers[number_at] for count in numbers) > 1:
        raise TableError(TableProblem.UNCLEAR_COLUMNS)
    value_columns = {field: at for field, at in value_columns.items() if at != number_at}
    text_columns = [at for at in range(columns) if at != number_at and at not in value_columns.values()]
    letters = {
        at: sum(len(re.findall(r"[^\W\d_]", row[at])) for row in rows if at < len(row)) for at in text_columns
    }
    name_at = max(text_columns, key=lambda at: (letters[at], -at))
    found_columns = {"name": [name_at], **{field: [at] for field, at in value_columns.items()}}
    if number_at >= 0:
        found_columns["number"] = [number_at]
    rest = [at for at in text_columns if at != name_at and any(row[at:][:1] != [""] for row in rows)]
    if rest:
        found_columns["code"] = rest[:1]
    return found_columns


def _reasons_and_sectors(rows: Sequence[Sequence[str]], columns: int) -> dict[str, int]:
    """Return the columns whose cells are reasons and sectors, mostly. The first column with text says whose
    line it is.
    """
    filled = {
        at: cells
        for at in range(columns)
        if (cells := [row[at] for row in rows if at < len(row) and re.search(r"[^\W\d_]", row[at])])
    }
    columns_by_field: dict[str, int] = {}
    for at, cells in list(filled.items())[1:]:
        for field, resolve in (("reason", resolve_reason), ("sector", resolve_sector)):
            if field not in columns_by_field and 2 * sum(bool(resolve(cell)) for cell in cells) > len(cells):
                columns_by_field[field] = at
                break
    return columns_by_field


def _looks_like_number(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    is_long = 6 <= len(digits) <= 14 and len(digits) >= len(re.sub(r"[\s.\-/]", "", text)) - 5
    return is_long and not is_date(text.strip())


def _line(index: int, row: Sequence[str], columns: Mapping[str, Sequence[int]]) -> PastedLine:
    def cells(field: str) -> list[str]:
        texts = [row[at].strip() for at in columns.get(field, ()) if at < len(row)]
        return list(dict.fromkeys(filter(None, texts))) or [""]

    number, reason = cells("number")[0], cells("reason")[0]
    return PastedLine(
        index=index,
        name=cells("name")[0],
        # People write "n/a" or a dash beside a reason.
        number="" if reason and not re.search(r"\d", number) else number,
        code=cells("code")[0],
        reason=reason,
        sector=cells("sector")[0],
        has_conflict=any(len(cells(field)) > 1 for field in VALUES),
        by_position=not columns.keys() & {"name", "code"},
    )
