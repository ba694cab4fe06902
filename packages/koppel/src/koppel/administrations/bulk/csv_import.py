"""Bulk changes from a CSV: the first column names the administration, every other column a new value.

An empty cell changes nothing, a dash removes the value. Headings may be in English or Dutch.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from koppel.administrations.bulk import actions_assign
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.models import Administration
from koppel.company_registers.numbers import list_import, mask_number
from koppel.company_registers.numbers.number_labels import strip_labels
from koppel.company_registers.numbers.reasons import resolve_reason
from koppel.company_registers.sectors.sections import resolve_sector
from koppel.kit.database.text_search import normalize_search
from koppel.kit.tabular.damaged_cells import find_damage
from koppel.kit.tabular.reader import (
    FileRow,
    heading_keys,
    read_rows,
    strip_invisible,
    unescape_formula,
    unwrap_number,
)
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor

HEADINGS = {
    **{heading: key for heading, key in list_import.HEADINGS.items() if key in ("name", "number", "code")},
    # The list's own export for programs calls the client number so.
    "client": "client_number",
    "id": "id",
    "company name": "name",
    "client number": "client_number",
    "client no": "client_number",
    "klantnummer": "client_number",
    "klantnr": "client_number",
    "clientnummer": "client_number",
    "clientnr": "client_number",
    "klant nr": "client_number",
    "klant nummer": "client_number",
    "client nr": "client_number",
    "customer number": "client_number",
    "relatienummer": "client_number",
    "relatienr": "client_number",
    "division": "division",
    "afdeling": "division",
    "divisie": "division",
    "template": "template",
    "sjabloon": "template",
    "sector": "sector",
    "branche": "sector",
    "reason": "reason",
    "reden": "reason",
    "add": "add",
    "add people": "add",
    "toevoegen": "add",
    "gebruikers toevoegen": "add",
    "remove": "remove",
    "remove people": "remove",
    "verwijderen": "remove",
    "gebruikers verwijderen": "remove",
}
OF_LIST = {
    "name": "name",
    "number": "number",
    "client": "client_number",
    "code": "code",
    "division": "division",
    "template": "template",
    "sector": "sector",
}
"""The keys of the list's columns that a file may name. Another column of an exported list is not read."""
KEYS = ("id", "name", "number", "client_number", "code")
VALUES = ("number", "reason", "client_number", "division", "template", "sector", "add", "remove")
IDENTIFYING = ("name", "number", "client_number", "code")
IDENTITY_ONLY = ("id", "name", "code")
"""Columns that say which administration is meant, and never what to set."""
COUNTRY_BEFORE_NUMBER = re.compile(r"\A\s*[A-Z]{2}[\s.-]*(?=\d[\d\s.-]{5,}\Z)")
UNREAD = "unread"
CLEAR = "-"


@dataclass
class CsvChanges:
    """`values_by_id`: the new values of each administration. `problems`: (line number, its text, why it is
    left out). `unread`: headings of an exported list's columns that no file changes.
    """

    values_by_id: dict[int, dict[str, Any]] = field(default_factory=dict)
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def add_problem(self, row: FileRow, problem: str) -> None:
        self.problems.append((row.number, "; ".join(row.cells)[:120], problem))


class _Problem(Exception):
    """The reason why one line is left out."""


@dataclass(frozen=True)
class LookupTables:
    """What the names in a file may mean: the administrations that the actor sees, and ids by normalised
    name.
    """

    administrations: Sequence["CurrentValues"]
    division_ids: Mapping[str, int] = field(default_factory=dict)
    template_ids: Mapping[str, int] = field(default_factory=dict)
    member_ids: Mapping[str, int] = field(default_factory=dict)


def read_changes(actor: Actor, text: str, *, names_only: bool = False) -> CsvChanges:
    """Read the new values of each administration. Raises `TableError`, and `Refused` for unknown headings.

    `names_only`: read the first column alone.
    """
    return parse_changes(actor, text, _lookup_tables(actor), names_only=names_only)


def parse_changes(actor: Actor, text: str, tables: LookupTables, *, names_only: bool = False) -> CsvChanges:
    """Read as `read_changes` does, without the database. Two lines with different values for one
    administration are both left out.
    """
    rows = _rows(text)
    if len(rows) < 2:
        raise Refused(_("The file has no lines below the headings."))
    width = 1 if names_only else None
    headings = _headings(rows[0].cells[:width], names_only=names_only)
    parser = _LineParser(actor, headings, tables)
    changes = CsvChanges(
        unread=[cell for cell, key in zip(rows[0].cells, headings, strict=False) if key == UNREAD]
    )
    lines_by_id: dict[int, list[tuple[FileRow, dict[str, Any]]]] = {}
    for row in rows[1:]:
        try:
            administration_id, row_values = parser.parse_line(row.cells[:width])
            lines_by_id.setdefault(administration_id, []).append((row, row_values))
        except _Problem as problem:
            changes.add_problem(row, str(problem))
    for administration_id, lines in lines_by_id.items():
        _add_values(changes, administration_id, lines)
    changes.problems.sort()
    return changes


def _add_values(
    changes: CsvChanges, administration_id: int, lines: Sequence[tuple[FileRow, dict[str, Any]]]
) -> None:
    first_values = lines[0][1]
    if all(row_values == first_values for _row, row_values in lines):
        changes.values_by_id[administration_id] = first_values
        return
    numbers = ", ".join(str(row.number) for row, _values in lines[:10])
    for row, _values in lines:
        changes.add_problem(row, _("Lines %s differ for this administration; none is used.") % numbers)


def _rows(text: str) -> list[FileRow]:
    rows = [row for row in read_rows(text, has_header=True) if not row.is_blank]
    return [FileRow(row.number, tuple(_cell(cell) for cell in row.cells)) for row in rows]


def _cell(text: str) -> str:
    """Return a cell without what exports put around text that begins like a formula, and around numbers."""
    text = unescape_formula(strip_invisible(text))
    return text[2:-1] if len(text) > 2 and text.startswith('="') and text.endswith('"') else text


def _headings(cells: Sequence[str], *, names_only: bool) -> list[str]:
    """Return the key of each column; '' for one without a heading. Raises `Refused`."""
    understood = heading_keys(cells, {**_list_headings(), **HEADINGS})
    unknown = [cell for cell, key in zip(cells, understood, strict=True) if cell and not key]
    if unknown:
        raise Refused(_("Unknown headings: %s.") % ", ".join(unknown)[:200])
    twice = [
        cell
        for cell, key in zip(cells, understood, strict=True)
        if key in VALUES and understood.count(key) > 1
    ]
    if twice:
        raise Refused(_("Two columns have the same meaning: %s.") % ", ".join(twice)[:200])
    if understood[0] not in KEYS:
        raise Refused(
            _("The first column must identify the administration: id, name, number, client number or code.")
        )
    if not names_only and not any(key in VALUES for key in understood[1:]):
        raise Refused(
            _("The other columns must name what to set: division, template, sector, number and so on.")
        )
    return understood


def _list_headings() -> dict[str, str]:
    """Return the headings of an exported list: for people in every language, and the keys for programs."""
    headings = {key: OF_LIST.get(key, UNREAD) for key in COLUMNS}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            headings |= {
                str(column.label).lower(): OF_LIST.get(key, UNREAD) for key, column in COLUMNS.items()
            }
    return headings


@dataclass(frozen=True)
class CurrentValues:
    """What an administration has, as an exported list shows it."""

    id: int
    name: str
    number: str
    client_number: str
    code: str
    division: str
    template: str
    sector: str

    def shows(self, key: str, text: str) -> bool:
        """Return whether the list shows this text for it: then the file changes nothing."""
        if key == "sector":
            return bool(self.sector) and resolve_sector(text) == self.sector
        return key in OF_LIST.values() and _normalize(text) == _normalize(str(getattr(self, key)))

    def is_named(self, key: str, text: str) -> bool:
        """Return whether its id, name or code is this text."""
        own_text = _normalize(str(getattr(self, key)))
        return own_text in (_normalize(text), _normalize(unwrap_number(text)))


def _lookup_tables(actor: Actor) -> LookupTables:
    divisions = Division.objects.for_actor(actor).filter(archived_at=None)
    templates = Template.objects.for_actor(actor).filter(archived_at=None)
    members = Membership.objects.for_actor(actor).select_related("user")
    return LookupTables(
        list(_current_values(actor)),
        {_normalize(name): pk for pk, name in divisions.values_list("pk", "name")},
        {_normalize(name): pk for pk, name in templates.values_list("pk", "name")},
        {member.user.email.lower(): member.pk for member in members},
    )


def _current_values(actor: Actor) -> Iterator[CurrentValues]:
    rows = Administration.objects.visible_to(actor).values_list(
        "pk",
        "name",
        "number",
        "country",
        "client_number",
        "remote_company__code",
        "division__name",
        "template__name",
        "sector",
    )
    for pk, name, number, country, client_number, code, division, template, sector in rows:
        masked = mask_number(number, country) if number else ""
        yield CurrentValues(pk, name, masked, client_number, code, division or "", template or "", sector)


def _narrowed(matches: Sequence[CurrentValues], named: Sequence[tuple[str, str]]) -> Sequence[CurrentValues]:
    """Return the only one of several administrations that the other cells of the line fit, else all."""
    if len(matches) < 2:
        return matches
    identities = [(key, cell) for key, cell in named if key in IDENTITY_ONLY]
    values = [(key, cell) for key, cell in named if key in IDENTIFYING and key not in IDENTITY_ONLY]
    by_identity = [current for current in matches if all(current.is_named(*pair) for pair in identities)]
    by_values = [
        current for current in by_identity if values and all(current.shows(*pair) for pair in values)
    ]
    return next((found for found in (by_identity, by_values) if len(found) == 1), matches)


class _LineParser:
    """Resolves the names in lines, from lists that are read once."""

    def __init__(self, actor: Actor, headings: Sequence[str], tables: LookupTables) -> None:
        self.actor, self.headings, self.tables = actor, headings, tables
        self.administrations: dict[str, list[CurrentValues]] = {}
        for current in tables.administrations:
            self.administrations.setdefault(self._key(str(getattr(current, headings[0]))), []).append(current)
        self.administrations.pop("", None)
        self.parsers: Mapping[str, Callable[[str], Any]] = {
            "number": lambda text: self._undamaged(unwrap_number(text)),
            "client_number": self._undamaged,
            "division": lambda text: (
                None if text == CLEAR else self._id_by_name(self.tables.division_ids, text, _("division"))
            ),
            "template": lambda text: (
                None if text == CLEAR else self._id_by_name(self.tables.template_ids, text, _("template"))
            ),
            "sector": self._sector,
            "reason": self._reason,
            "add": self._members,
            "remove": self._members,
        }

    def parse_line(self, cells: Sequence[str]) -> tuple[int, dict[str, Any]]:
        for index, text in enumerate(cells):
            if text and (index >= len(self.headings) or not self.headings[index]):
                raise _Problem(_("The value “%s” is below no heading.") % text[:60])
        named = [pair for pair in zip(self.headings, cells, strict=False) if pair[1]]
        current = self._administration(cells[0], named)
        values = {
            key: self.parsers[key](text)
            for key, text in named[1:]
            if key in self.parsers and not current.shows(key, text)
        }
        try:
            # Ids need no second lookup: they come from the lookup tables.
            return current.id, dict(actions_assign.validate_values(self.actor, values))
        except Refused as refusal:
            raise _Problem(str(refusal)) from None

    def _administration(self, text: str, named: Sequence[tuple[str, str]]) -> CurrentValues:
        """Return the administration of a line. Of several with one name the line's number or code tells."""
        spellings = (text, unwrap_number(text), COUNTRY_BEFORE_NUMBER.sub("", text.upper()))
        matches: Sequence[CurrentValues] = next(
            filter(None, (self.administrations.get(self._key(spelling), []) for spelling in spellings)), []
        )
        if not matches:
            raise _Problem(find_damage(text) or _("No administration found with this name, number or code."))
        matches = _narrowed(matches, named[1:])
        if len(matches) > 1:
            raise _Problem(_("More than one administration matches."))
        for key, cell in named[1:]:
            if key in IDENTITY_ONLY and not matches[0].is_named(key, cell):
                raise _Problem(_("“%s” belongs to another administration.") % cell[:60])
        return matches[0]

    def _key(self, text: str) -> str:
        """Return a text of the first column for comparison: a number without its label and separators."""
        if self.headings[0] != "number":
            return _normalize(text)
        return re.sub(r"[^A-Z0-9*]", "", strip_labels(text.upper()))

    def _undamaged(self, text: str) -> str:
        if damage := find_damage(text):
            raise _Problem(damage)
        return "" if text == CLEAR else text

    def _id_by_name(self, ids_by_name: Mapping[str, int], text: str, kind: str) -> int:
        if _normalize(text) not in ids_by_name:
            raise _Problem(_("There is no %(kind)s “%(name)s”.") % {"kind": kind, "name": text[:60]})
        return ids_by_name[_normalize(text)]

    def _sector(self, text: str) -> str:
        if text == CLEAR:
            return ""
        if not (letter := resolve_sector(text)):
            raise _Problem(_("“%s” is not a sector.") % text[:60])
        return letter

    def _reason(self, text: str) -> str:
        if not (reason := resolve_reason(text)):
            raise _Problem(_("“%s” is not a reason.") % text[:60])
        return reason

    def _members(self, text: str) -> list[int]:
        emails = [word.strip().lower() for word in text.replace(",", " ").split()]
        unknown = [email for email in emails if email not in self.tables.member_ids]
        if unknown:
            raise _Problem(_("Not a member: %s.") % ", ".join(unknown)[:200])
        return [self.tables.member_ids[email] for email in emails]


def _normalize(text: str) -> str:
    return " ".join(normalize_search(text).split())
