"""Many invitations at once, pasted or as CSV: `e-mail; name; role; divisions; access until`, a result per
line.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from pydantic import ValidationError as InputError

from koppel.kit.errors import refusal_text
from koppel.kit.tabular import reader
from koppel.kit.tabular.reader import FileRow, ReadLimits
from koppel.kit.web.parameters import day_of
from koppel.organisations.errors import Refused
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Division
from koppel.organisations.roles import Actor, Permission, Role

LINES_MAX = 1000
SPREADSHEET_DAY_ZERO = date(1899, 12, 30)
LIMITS = ReadLimits(size=1024 * 1024)
FIELDS = ("email", "name", "role", "divisions", "until")
HEADINGS = {
    "e mail": "email",
    "email": "email",
    "mail": "email",
    "e mail address": "email",
    "email address": "email",
    "e mailadres": "email",
    "emailadres": "email",
    "mailadres": "email",
    "address": "email",
    "adres": "email",
    "name": "name",
    "naam": "name",
    "full name": "name",
    "volledige naam": "name",
    "person": "name",
    "persoon": "name",
    "role": "role",
    "rol": "role",
    "division": "divisions",
    "divisions": "divisions",
    "afdeling": "divisions",
    "afdelingen": "divisions",
    "until": "until",
    "access until": "until",
    "last day": "until",
    "tot": "until",
    "t m": "until",
    "toegang tot": "until",
    "toegang tot en met": "until",
    "laatste dag": "until",
}


@dataclass(frozen=True, kw_only=True)
class InvitationRow:
    """A line and its result. `problem` is a sentence; '' when the person is (or would be) invited."""

    number: int
    email: str
    name: str = ""
    role: str = ""
    divisions: str = ""
    problem: str = ""
    invited: bool = False


def preview(actor: Actor, text: str) -> list[InvitationRow]:
    """Return what `invite_all` would do, line by line; nothing is sent. Raises `Refused`, `TableError`."""
    actor.require(Permission.MANAGE_PEOPLE)
    emails: set[str] = set()
    return [
        _reject_duplicate(_process_row(actor, number, cells, commit=False), emails)
        for number, cells in _validated_rows(text)
    ]


def invite_all(actor: Actor, text: str) -> list[InvitationRow]:
    """Invite the people in the lines; a line that fails is left out with its reason. Raises `Refused`,
    `TableError`.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    return [_process_row(actor, number, cells, commit=True) for number, cells in _validated_rows(text)]


def _validated_rows(text: str) -> list[tuple[int, list[str]]]:
    rows = list(_rows(text))
    if not rows:
        raise Refused(_("No line contains an e-mail address."))
    if len(rows) > LINES_MAX:
        raise Refused(_("At most %s lines at a time.") % LINES_MAX)
    return rows


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line in the order of `FIELDS`.

    A first line without an address holds headings. Without headings the address may be in any column, and the
    other columns follow in their order. Raises `Refused` for an unknown heading.
    """
    # No address has a delimiter in it, and a line may end after the
    # address: one line with more shows which it is.
    rows = [row for row in reader.read_rows(text, LIMITS, split_share=0) if not row.is_blank]
    if rows and "@" not in "".join(rows[0].cells):
        fields = _columns_by_heading(rows.pop(0).cells)
    else:
        fields = _columns_by_content(rows)
    for row in rows:
        cells = [cell.strip() for cell in row.cells]
        by_field = {field: cell for field, cell in zip(fields, cells, strict=False) if field}
        surplus = [cell for index, cell in enumerate(cells) if cell and not _field_at(fields, index)]
        yield row.number, [*(by_field.get(field, "") for field in FIELDS), "; ".join(surplus)]


def _columns_by_heading(cells: Sequence[str]) -> list[str]:
    columns = reader.heading_keys(cells, HEADINGS)
    unknown = [cell.strip() for cell, field in zip(cells, columns, strict=True) if cell.strip() and not field]
    if unknown:
        raise Refused(_("Unknown headings: %s.") % ", ".join(unknown)[:200])
    duplicates = [
        cell.strip() for cell, field in zip(cells, columns, strict=True) if field and columns.count(field) > 1
    ]
    if duplicates:
        raise Refused(_("Two columns have the same meaning: %s.") % ", ".join(duplicates)[:200])
    if "email" not in columns:
        raise Refused(_("No column has the heading “e-mail”."))
    return columns


def _columns_by_content(rows: Sequence[FileRow]) -> list[str]:
    address_counts = Counter(index for row in rows for index, cell in enumerate(row.cells) if "@" in cell)
    position = address_counts.most_common(1)[0][0] if address_counts else 0
    others = list(FIELDS[1:])
    return [*others[:position], FIELDS[0], *others[position:]]


def _field_at(fields: Sequence[str], index: int) -> str:
    return fields[index] if index < len(fields) else ""


def _process_row(actor: Actor, number: int, cells: list[str], *, commit: bool) -> InvitationRow:
    email, name, role_word, division_words, last_day, surplus = cells
    try:
        if surplus:
            raise Refused(_("The value “%s” is below no heading.") % surplus[:60])
        if "@" in name:
            raise Refused(
                _("“%s” is an address, not a name. Put each person on a separate line.") % name[:60]
            )
        role = _role(role_word)
        invitation_input = InvitationInput(
            email=email,
            name=name,
            role=role,
            divisions=_divisions(actor, division_words),
            until=_parse_end_of_access(last_day),
        )
        with transaction.atomic():
            invitations.invite(actor, invitation_input) if commit else invitations.validate_invitation(
                actor, invitation_input
            )
    except (Refused, InputError) as refusal:
        problem = refusal_text(refusal)
        return InvitationRow(
            number=number, email=email, name=name, role=role_word, divisions=division_words, problem=problem
        )
    return InvitationRow(
        number=number, email=email, name=name, role=str(role.label), divisions=division_words, invited=commit
    )


def _reject_duplicate(row: InvitationRow, emails: set[str]) -> InvitationRow:
    """Return the line with a problem if its address is on an earlier line."""
    if not row.problem and row.email.lower() in emails:
        return replace(row, problem=_("This address is already on an earlier line."))
    emails.add(row.email.lower())
    return row


def _role(word: str) -> Role:
    """Return the role of a key, or of its name in any language; '' is User. Raises `Refused`."""
    if not word:
        return Role.USER
    for language in ("en", "nl"):
        with translation.override(language):
            names = {str(role.label).lower(): role for role in Role}
        if (role := names.get(word.lower())) is not None:
            return role
    if word.lower() in Role.values:
        return Role(word.lower())
    raise Refused(_("“%s” is not a role.") % word)


def _divisions(actor: Actor, text: str) -> list[int]:
    names = [name.strip() for name in text.replace("|", "/").split("/") if name.strip()]
    divisions = Division.objects.for_actor(actor).filter(archived_at=None)
    ids_by_name = {name.lower(): division_id for division_id, name in divisions.values_list("pk", "name")}
    for name in names:
        if name.lower() not in ids_by_name:
            raise Refused(_("Division “%s” not found.") % name)
    return [ids_by_name[name.lower()] for name in names]


def _parse_end_of_access(text: str) -> datetime | None:
    """Return the end of that day. Raises `Refused`."""
    return parse_end_of_day(text) if text else None


def parse_end_of_day(text: str) -> datetime:
    """Return the last moment of a day in the installation's zone: `2027-03-31`, `31-03-2027`, `31.3.2027`,
    with midnight behind it too, and `46477` as spreadsheets store it. Raises `Refused`.
    """
    if (day := day_of(_iso_date(text.strip()))) is None:
        raise Refused(_("“%s” is not a date. Use the format 2027-03-31.") % text, field="until")
    return timezone.make_aware(datetime.combine(day, time.max))


def _iso_date(text: str) -> str:
    """Return a date in ISO order; other text as it is."""
    if re.fullmatch(r"[3-9][0-9]{4}(\.0+)?", text):
        return (SPREADSHEET_DAY_ZERO + timedelta(days=int(text[:5]))).isoformat()
    parts = re.split(r"[-./]", re.sub(r"[ T]00:00(:00(\.0+)?)?\Z", "", text))
    if len(parts) == 3 and len(parts[-1]) == 4:
        parts.reverse()
    return "-".join(part.zfill(2) for part in parts)
