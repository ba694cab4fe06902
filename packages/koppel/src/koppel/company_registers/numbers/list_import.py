"""Lists as people paste or upload them: numbers, reasons and sectors by company, in any order of columns.

Nobody is asked which delimiter, encoding or column: it is seen from the list itself. What happened to each line is told.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

LINES_MAX = 5000
HEADERS = {
    "name": {"name", "naam", "administration", "administratie", "company", "bedrijf", "client", "klant", "namn", "navn",
             "nimi", "bedrijfsnaam", "klantnaam", "company name"},
    "number": {"number", "nummer", "kvk", "kvk-nummer", "kvknummer", "kvk nummer", "coc", "coc number", "coc-number",
               "registration number", "registratienummer", "orgnr", "org.nr", "organisasjonsnummer", "organisationsnummer",
               "cvr", "y-tunnus", "company number", "ondernemingsnummer"},
    "code": {"code", "id", "client number", "klantnummer", "clientnummer", "administratiecode", "company id", "source id"},
    "reason": {"reason", "reden"},
    "sector": {"sector", "branche", "section"},
}  # fmt: skip
"""What people write above a column, in small letters."""


@dataclass(frozen=True)
class PastedLine:
    """One line that was given; `index` counts from 0 without the header. `name` and `code` both '': the line belongs to
    the row of the table at its place."""

    index: int
    name: str
    number: str
    code: str = ""
    reason: str = ""
    sector: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.number or self.reason or self.sector)


class MatchStatus(StrEnum):
    """What became of a line."""

    MATCHED = "placed"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    TWICE = "twice"


@dataclass(frozen=True)
class Candidate:
    """A row of the table that a line may belong to."""

    id: int
    name: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MatchedLine:
    """`id` is the candidate's, None when the line found no place."""

    line: PastedLine
    status: MatchStatus
    id: int | None = None


def decode(data: bytes) -> str:
    """The text of an uploaded file: UTF-8, UTF-16 with its mark, else the alphabet of Windows in Western Europe."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_lines(text: str) -> list[PastedLine]:
    """At most 5,000 lines; blank ones are kept as empty in a list of one column, so that the order holds. Never raises."""
    text = re.sub(r"\r\n?", "\n", text.replace("\x00", "")).strip("\n")
    if not text.strip():
        return []
    rows = _rows(text)[: LINES_MAX + 1]
    columns = _by_header(rows[0]) if rows else {}
    if columns:
        rows = rows[1:]
    else:
        columns = _by_content(rows)
    return [_line(place, row, columns) for place, row in enumerate(rows[:LINES_MAX])]


def match_lines(lines: Sequence[PastedLine], candidates: Sequence[Candidate]) -> list[MatchedLine]:
    """Which row each line belongs to: by code, by name (without regard to case, dots and spaces), else by its place.

    Of two lines for one row the first counts. A name that two rows share fits neither."""
    by_code = _index(candidates, lambda candidate: [_normalize(code) for code in candidate.codes])
    by_name = _index(candidates, lambda candidate: [_normalize(candidate.name)])
    matched_ids: set[int] = set()
    return [_match_line(line, candidates, by_code, by_name, matched_ids) for line in lines]


def _match_line(
    line: PastedLine,
    candidates: Sequence[Candidate],
    by_code: Mapping[str, list[int]],
    by_name: Mapping[str, list[int]],
    matched_ids: set[int],
) -> MatchedLine:
    if line.code or line.name:
        matches = (
            by_code.get(_normalize(line.code), [])
            or by_name.get(_normalize(line.name), [])
            or by_code.get(_normalize(line.name), [])
        )
    else:
        matches = [candidates[line.index].id] if line.index < len(candidates) else []
    if line.is_empty:
        return MatchedLine(line, MatchStatus.EMPTY)
    if len(matches) != 1:
        return MatchedLine(line, MatchStatus.AMBIGUOUS if matches else MatchStatus.UNKNOWN)
    if matches[0] in matched_ids:
        return MatchedLine(line, MatchStatus.TWICE, matches[0])
    matched_ids.add(matches[0])
    return MatchedLine(line, MatchStatus.MATCHED, matches[0])


def _index(candidates: Sequence[Candidate], keys: Callable[[Candidate], list[str]]) -> dict[str, list[int]]:
    ids_by_key: dict[str, list[int]] = {}
    for candidate in candidates:
        for key in keys(candidate):
            if key:
                ids_by_key.setdefault(key, []).append(candidate.id)
    return ids_by_key


def _normalize(text: str) -> str:
    """`Bakkerij De Haan B.V.` and `bakkerij de haan bv` are one name."""
    return re.sub(r"[\W_]", "", text.casefold())


def _rows(text: str) -> list[list[str]]:
    delimiter = _delimiter(text)
    if not delimiter:
        return [[_cell(line)] for line in text.split("\n")]
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        rows = [line.split(delimiter) for line in text.split("\n")]
    return [[_cell(cell) for cell in row] for row in rows if any(cell.strip() for cell in row)]


def _delimiter(text: str) -> str:
    """The one that splits most lines into the same number of cells, at least two; '' for a list of one column.

    A comma inside a company's name is outvoted by the semicolon that stands in every line."""
    lines = [line for line in text.split("\n") if line.strip()][:50]
    best, best_share = "", 0.0
    for delimiter in "\t;,|":
        counts = Counter(line.count(delimiter) for line in lines)
        count, times = counts.most_common(1)[0]
        share = times / len(lines) if count else 0.0
        if share > best_share:
            best, best_share = delimiter, share
    return best if best_share > 0.5 else ""


def _cell(text: str) -> str:
    """Without what spreadsheets wrap around a number: `="01234567"`, an apostrophe in front, `.0` behind."""
    text = text.strip()
    if match := re.fullmatch(r'="?([^"]*)"?', text):
        text = match[1]
    text = text.removeprefix("'").strip()
    return re.sub(r"^(\d+)[.,]0+$", r"\1", text)


def _by_header(row: Sequence[str]) -> dict[str, int]:
    headers = [cell.strip().casefold().rstrip(":") for cell in row]
    columns: dict[str, int] = {}
    for field, names in HEADERS.items():
        for at, word in enumerate(headers):
            if word in names and field not in columns:
                columns[field] = at
    return columns


def _by_content(rows: Sequence[Sequence[str]]) -> dict[str, int]:
    """Without a header: the column with most numbers holds the numbers, the wordiest other one the names."""
    width = Counter(len(row) for row in rows if row).most_common(1)
    columns = width[0][0] if width else 1
    if columns < 2:
        return {"number": 0}
    numbers = [sum(_looks_like_number(row[at]) for row in rows if at < len(row)) for at in range(columns)]
    number_at = max(range(columns), key=lambda at: (numbers[at], -at)) if any(numbers) else columns - 1
    text_columns = [at for at in range(columns) if at != number_at]
    letters = {at: sum(len(re.findall(r"[^\W\d_]", row[at])) for row in rows if at < len(row)) for at in text_columns}
    name_at = max(text_columns, key=lambda at: (letters[at], -at))
    found_columns = {"number": number_at, "name": name_at}
    rest = [at for at in text_columns if at != name_at]
    if rest:
        found_columns["code"] = rest[0]
    return found_columns


def _looks_like_number(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 6 <= len(digits) <= 14 and len(digits) >= len(re.sub(r"[\s.\-/]", "", text)) - 5


def _line(index: int, row: Sequence[str], columns: Mapping[str, int]) -> PastedLine:
    def cell(field: str) -> str:
        at = columns.get(field, -1)
        return row[at].strip() if 0 <= at < len(row) else ""

    return PastedLine(index, cell("name"), cell("number"), cell("code"), cell("reason"), cell("sector"))
