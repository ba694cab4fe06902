"""Bulk changes from a CSV: the first column identifies the administration, each other column is a new value.

An empty cell changes nothing, a dash removes the value. Headings may be in English or Dutch.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from msgspec import convert

from koppel.administrations.bulk.actions_assign import AssignParameters, validate_values
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
LIST_COLUMN_KEYS = {
    "name": "name",
    "number": "number",
    "client": "client_number",
    "code": "code",
    "division": "division",
    "template": "template",
    "sector": "sector",
}
"""The keys by column of the list of administrations. The list's other columns are `UNREAD`."""
FIRST_KEYS = ("id", "name", "number", "client_number", "code")
"""Keys of the first column."""
SETTABLE_KEYS = ("number", "reason", "client_number", "division", "template", "sector", "add", "remove")
NARROWING_KEYS = ("number", "client_number")
"""Settable columns that tell administrations of the same name apart."""
READ_ONLY_KEYS = ("id", "name", "code")
"""Columns that identify the administration and cannot be set."""
COUNTRY_BEFORE_NUMBER = re.compile(r"\A\s*[A-Z]{2}[\s.-]*(?=\d[\d\s.-]{5,}\Z)")
UNREAD = "unread"
CLEAR = "-"


@dataclass
class CsvChanges:
    """The contents of a CSV file of changes."""

    values_by_id: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The new values of each administration."""
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    """(line number, text, reason) of each line that is left out."""
    unread: list[str] = field(default_factory=list)
    """Headings of an exported list's columns that cannot be set by a file."""

    def add_problem(self, row: FileRow, problem: str) -> None:
        self.problems.append((row.number, "; ".join(row.cells)[:120], problem))


class _Problem(Exception):
    """The reason why one line is left out."""


@dataclass(frozen=True, kw_only=True)
class LookupTables:
    """The administrations that the actor sees, and the ids of divisions, templates and members by normalised
    name.
    """

    administrations: Sequence["ListedValues"]
    division_ids: Mapping[str, int] = field(default_factory=dict)
    template_ids: Mapping[str, int] = field(default_factory=dict)
    member_ids: Mapping[str, int] = field(default_factory=dict)


def read_changes(actor: Actor, text: str, *, names_only: bool = False) -> CsvChanges:
    """Read the new values of each administration. Raises `TableError`, and `Refused` for unknown headings.

    With `names_only`, read only the first column.
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
    """Return a cell without the marks of exports around formula-like text and around numbers."""
    text = unescape_formula(strip_invisible(text))
    return text[2:-1] if len(text) > 2 and text.startswith('="') and text.endswith('"') else text


def _headings(cells: Sequence[str], *, names_only: bool) -> list[str]:
    """Return the key of each column; '' for one without a heading. Raises `Refused`."""
    keys = heading_keys(cells, {**_list_headings(), **HEADINGS})
    unknown = [cell for cell, key in zip(cells, keys, strict=True) if cell and not key]
    if unknown:
        raise Refused(_("Unknown headings: %s.") % ", ".join(unknown)[:200])
    duplicates = [
        cell for cell, key in zip(cells, keys, strict=True) if key in SETTABLE_KEYS and keys.count(key) > 1
    ]
    if duplicates:
        raise Refused(_("Two columns have the same meaning: %s.") % ", ".join(duplicates)[:200])
    if keys[0] not in FIRST_KEYS:
        raise Refused(
            _("The first column must identify the administration: id, name, number, client number or code.")
        )
    if not names_only and not any(key in SETTABLE_KEYS for key in keys[1:]):
        raise Refused(
            _("The other columns must name what to set: division, template, sector, number and so on.")
        )
    return keys


def _list_headings() -> dict[str, str]:
    """Return the headings of an exported list: for people in every language, and the keys for programs."""
    headings = {key: LIST_COLUMN_KEYS.get(key, UNREAD) for key in COLUMNS}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            headings |= {
                str(column.label).lower(): LIST_COLUMN_KEYS.get(key, UNREAD)
                for key, column in COLUMNS.items()
            }
    return headings


@dataclass(frozen=True, kw_only=True)
class ListedValues:
    """The values of an administration as an exported list shows them."""

    id: int
    name: str
    number: str
    client_number: str
    code: str
    division: str
    template: str
    sector: str

    def shows(self, key: str, text: str) -> bool:
        """Return whether the list shows this text: then the file changes nothing."""
        if key == "sector":
            return bool(self.sector) and resolve_sector(text) == self.sector
        return key in LIST_COLUMN_KEYS.values() and _normalize(text) == _normalize(str(getattr(self, key)))

    def is_identified_by(self, key: str, text: str) -> bool:
        """Return whether the id, name or code of the administration is this text."""
        own_text = _normalize(str(getattr(self, key)))
        return own_text in (_normalize(text), _normalize(unwrap_number(text)))


def _lookup_tables(actor: Actor) -> LookupTables:
    divisions = Division.objects.for_actor(actor).filter(archived_at=None)
    templates = Template.objects.for_actor(actor).filter(archived_at=None)
    members = Membership.objects.for_actor(actor).select_related("user")
    return LookupTables(
        administrations=list(_listed_values(actor)),
        division_ids={_normalize(name): pk for pk, name in divisions.values_list("pk", "name")},
        template_ids={_normalize(name): pk for pk, name in templates.values_list("pk", "name")},
        member_ids={member.user.email.lower(): member.pk for member in members},
    )


def _listed_values(actor: Actor) -> Iterator[ListedValues]:
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
        yield ListedValues(
            id=pk,
            name=name,
            number=masked,
            client_number=client_number,
            code=code,
            division=division or "",
            template=template or "",
            sector=sector,
        )


def _narrowed(matches: Sequence[ListedValues], named: Sequence[tuple[str, str]]) -> Sequence[ListedValues]:
    """Return the only one of several administrations that the other cells of the line fit, else all."""
    if len(matches) < 2:
        return matches
    identities = [(key, cell) for key, cell in named if key in READ_ONLY_KEYS]
    values = [(key, cell) for key, cell in named if key in NARROWING_KEYS]
    by_identity = [listed for listed in matches if all(listed.is_identified_by(*pair) for pair in identities)]
    by_values = [listed for listed in by_identity if all(listed.shows(*pair) for pair in values)]
    return next((found for found in (by_identity, by_values) if len(found) == 1), matches)


class _LineParser:
    """Parser of the lines of a file; the names in them are looked up in lists that are read once."""

    def __init__(self, actor: Actor, headings: Sequence[str], tables: LookupTables) -> None:
        self.actor, self.headings, self.tables = actor, headings, tables
        self.administrations: dict[str, list[ListedValues]] = {}
        for listed in tables.administrations:
            self.administrations.setdefault(self._key(str(getattr(listed, headings[0]))), []).append(listed)
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
        listed = self._administration(cells[0], named)
        values = {
            key: self.parsers[key](text)
            for key, text in named[1:]
            if key in self.parsers and not listed.shows(key, text)
        }
        try:
            # Ids need no second lookup: they come from the lookup tables.
            return listed.id, dict(validate_values(self.actor, convert(values, AssignParameters)))
        except Refused as refusal:
            raise _Problem(str(refusal)) from None

    def _administration(self, text: str, named: Sequence[tuple[str, str]]) -> ListedValues:
        """Return the administration of a line; among several of one name, the one with the line's other
        values.
        """
        spellings = (text, unwrap_number(text), COUNTRY_BEFORE_NUMBER.sub("", text.upper()))
        matches: Sequence[ListedValues] = next(
            filter(None, (self.administrations.get(self._key(spelling), []) for spelling in spellings)), []
        )
        if not matches:
            raise _Problem(find_damage(text) or _("No administration found with this name, number or code."))
        matches = _narrowed(matches, named[1:])
        if len(matches) > 1:
            raise _Problem(_("More than one administration matches."))
        for key, cell in named[1:]:
            if key in READ_ONLY_KEYS and not matches[0].is_identified_by(key, cell):
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
