"""Lists of numbers as people paste them: a column, two columns, CSV with or without a header."""

import csv
import io
from dataclasses import dataclass

LINES_MAX = 5000
NAME_HEADERS = {"name", "naam", "administration", "administratie", "company", "bedrijf", "namn", "navn"}
NUMBER_HEADERS = {"number", "nummer", "kvk", "kvk-nummer", "coc", "coc number", "orgnr", "registratienummer"}


@dataclass(frozen=True)
class Line:
    """`name` '' for a list of numbers alone: those are in the order of the table."""

    place: int
    name: str
    number: str


def read_lines(text: str) -> list[Line]:
    """At most 5,000 lines; blank ones are kept as empty numbers in a one-column list, so that the order holds. Never raises."""
    text = text.replace("\x00", "").strip("\r\n")
    rows = list(csv.reader(io.StringIO(text), delimiter=_delimiter(text)))[:LINES_MAX]
    if rows and _is_header(rows[0]):
        names, rows = [cell.strip().casefold() for cell in rows[0]], rows[1:]
    else:
        names = []
    name_at = next((place for place, one in enumerate(names) if one in NAME_HEADERS), 0)
    number_at = next((place for place, one in enumerate(names) if one in NUMBER_HEADERS), 1)
    lines = []
    for place, row in enumerate(rows):
        cells = [cell.strip() for cell in row]
        if len(cells) < 2:
            lines.append(Line(place, "", cells[0] if cells else ""))
        else:
            lines.append(Line(place, _cell(cells, name_at), _cell(cells, number_at)))
    return lines


def _delimiter(text: str) -> str:
    first = text.split("\n", 1)[0]
    return next((one for one in "\t;," if one in first), "\t")


def _is_header(row: list[str]) -> bool:
    words = {cell.strip().casefold() for cell in row}
    return bool(words & (NAME_HEADERS | NUMBER_HEADERS))


def _cell(cells: list[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
