"""Bulk changes from a CSV: the first column names the administration, every other column a new value.

An empty cell changes nothing, a dash removes the value. Headings may be in English or Dutch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from koppel.administrations.bulk import actions_assign
from koppel.administrations.models import Administration
from koppel.company_registers.numbers.reasons import resolve_reason
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.kit.database.text_search import normalize_search
from koppel.kit.tabular.reader import Row, heading_keys, read_rows, unescape_formula
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor

HEADINGS = {
    "id": "id",
    "name": "name",
    "naam": "name",
    "number": "number",
    "nummer": "number",
    "coc number": "number",
    "kvk-nummer": "number",
    "registration number": "number",
    "registratienummer": "number",
    "client number": "client_number",
    "klantnummer": "client_number",
    "code at source": "code",
    "code in bron": "code",
    "code": "code",
    "division": "division",
    "afdeling": "division",
    "template": "template",
    "sjabloon": "template",
    "sector": "sector",
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
KEYS = ("id", "name", "number", "client_number", "code")
VALUES = ("number", "reason", "client_number", "division", "template", "sector", "add", "remove")
CLEAR = "-"


@dataclass
class CsvChanges:
    """`values_by_id`: the new values of each administration. `problems`: (line number, its text, why it is
    left out)."""

    values_by_id: dict[int, dict[str, Any]] = field(default_factory=dict)
    problems: list[tuple[int, str, str]] = field(default_factory=list)


class _Problem(Exception):
    """The reason why one line is left out."""


def read_changes(actor: Actor, text: str, *, names_only: bool = False) -> CsvChanges:
    """Read the new values of each administration. Raises `TableError`, and `Refused` for unknown headings.

    `names_only`: read the first column alone."""
    rows = _rows(text)
    if len(rows) < 2:
        raise Refused(_("The file has no lines below the headings."))
    width = 1 if names_only else None
    key, values = _headings(rows[0].cells[:width], names_only=names_only)
    parser = _LineParser(actor, key, values)
    changes = CsvChanges()
    for row in rows[1:]:
        try:
            administration_id, row_values = parser.parse_line(row.cells[:width])
            if administration_id in changes.values_by_id:
                raise _Problem(_("This administration is in the file twice."))
            changes.values_by_id[administration_id] = row_values
        except _Problem as problem:
            changes.problems.append((row.number, "; ".join(row.cells)[:120], str(problem)))
    return changes


def _rows(text: str) -> list[Row]:
    rows = [row for row in read_rows(text, has_header=True) if not row.is_blank]
    return [Row(row.number, tuple(unescape_formula(cell.strip()) for cell in row.cells)) for row in rows]


def _headings(cells: Sequence[str], *, names_only: bool) -> tuple[str, list[str]]:
    understood = heading_keys(cells, HEADINGS)
    unknown = [cell for cell, key in zip(cells, understood, strict=True) if not key]
    if unknown:
        raise Refused(_("Unknown headings: %s.") % ", ".join(unknown)[:200])
    key, *values = understood
    if key not in KEYS:
        raise Refused(
            _("The first column must identify the administration: id, name, number, client number or code.")
        )
    if not (values or names_only) or any(value not in VALUES for value in values):
        raise Refused(
            _("The other columns must name what to set: division, template, sector, number and so on.")
        )
    return key, values


class _LineParser:
    """Resolves the names in lines, from lists that are read once."""

    def __init__(self, actor: Actor, key: str, values: Sequence[str]) -> None:
        self.actor, self.key, self.values = actor, key, values
        column = {"id": "pk", "name": "sort_name", "code": "remote_company__code"}.get(key, key)
        self.administrations: dict[str, list[int]] = {}
        for name, pk in Administration.objects.visible_to(actor).values_list(column, "pk"):
            self.administrations.setdefault(_normalize(str(name)), []).append(pk)
        self.administrations.pop("", None)
        self.divisions = {
            _normalize(division.name): division.pk
            for division in Division.objects.for_actor(actor).filter(archived_at=None)
        }
        self.templates = {
            _normalize(template.name): template.pk
            for template in Template.objects.for_actor(actor).filter(archived_at=None)
        }
        members = Membership.objects.for_actor(actor).select_related("user")
        self.people = {member.user.email.lower(): member.pk for member in members}
        self.parsers: Mapping[str, Callable[[str], Any]] = {
            "number": lambda text: "" if text == CLEAR else text,
            "client_number": lambda text: "" if text == CLEAR else text,
            "division": lambda text: (
                None if text == CLEAR else self._id_by_name(self.divisions, text, _("division"))
            ),
            "template": lambda text: (
                None if text == CLEAR else self._id_by_name(self.templates, text, _("template"))
            ),
            "sector": self._sector,
            "reason": self._reason,
            "add": self._members,
            "remove": self._members,
        }

    def parse_line(self, cells: Sequence[str]) -> tuple[int, dict[str, Any]]:
        if len(cells) > len(self.values) + 1:
            raise _Problem(_("This line has more cells than there are headings."))
        matches = self.administrations.get(_normalize(cells[0]), [])
        if not matches:
            raise _Problem(_("No administration found with this name, number or code."))
        if len(matches) > 1:
            raise _Problem(_("More than one administration matches."))
        values = {
            key: self.parsers[key](text) for key, text in zip(self.values, cells[1:], strict=False) if text
        }
        try:
            # Ids need no second look-up: they come from the lists above.
            return matches[0], dict(actions_assign.validate_values(self.actor, values))
        except Refused as refusal:
            raise _Problem(str(refusal)) from None

    def _id_by_name(self, ids_by_name: Mapping[str, int], text: str, kind: str) -> int:
        if _normalize(text) not in ids_by_name:
            raise _Problem(_("There is no %(kind)s “%(name)s”.") % {"kind": kind, "name": text})
        return ids_by_name[_normalize(text)]

    def _sector(self, text: str) -> str:
        letter = text.split(" ", 1)[0].upper()
        if text == CLEAR:
            return ""
        if letter not in SECTIONS:
            raise _Problem(_("“%s” is not a sector.") % text)
        return letter

    def _reason(self, text: str) -> str:
        if not (reason := resolve_reason(text)):
            raise _Problem(_("“%s” is not a reason.") % text)
        return reason

    def _members(self, text: str) -> list[int]:
        emails = [word.strip().lower() for word in text.replace(",", " ").split()]
        unknown = [email for email in emails if email not in self.people]
        if unknown:
            raise _Problem(_("Not a member: %s.") % ", ".join(unknown))
        return [self.people[email] for email in emails]


def _normalize(text: str) -> str:
    return " ".join(normalize_search(text).split())
