"""Check that a company is still the one that a person confirmed: one guard for listings, descriptions,
sign-ins and runs.

If only the name or only the number changes, an issue is raised. If both change, the description is not stored
and no books are read until a person decides. The comparison is with the identity that a person confirmed, at
the import or for a later change, and not with the vendor's last one: so a new name today and a new number
tomorrow are noticed too.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections import hooks
from koppel.connections.health import add_timeline_event
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import RemoteCompany, TimelineKind
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.database.json_fields import MessageContext

OTHER_COMPANY_MESSAGE = _(
    "Is this the same company? Both the name and the registration number in the accounting "
    "system differ from what was confirmed. Syncing is stopped until you decide."
)
_STORE_CONFIRMED_SQL = """
UPDATE connections_remote_company company
   SET confirmed_name = confirmed.name, confirmed_number = confirmed.number, conflicting_name = '',
       conflicting_number = '', conflict_detected_at = NULL, conflict_rejected_at = NULL
  FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS confirmed(id, name, number)
 WHERE company.id = confirmed.id
"""
CONFLICT_FIELDS = ("conflicting_name", "conflicting_number", "conflict_detected_at", "conflict_rejected_at")
"""The fields of a `RemoteCompany` that hold its conflict."""


@dataclass(frozen=True, kw_only=True)
class ReferenceIdentity:
    """The confirmed identity of a company: its name ('' = unknown), and the numbers that a person entered or
    confirmed, first the one that the accounting system stated.
    """

    name: str
    numbers: tuple[str, ...]
    country: str = ""


@dataclass(frozen=True, kw_only=True)
class VendorIdentity:
    """The identity that the accounting system states."""

    name: str
    number: str
    country: str = ""


def normalize_for_comparison(text: str) -> str:
    """Normalise a text for comparison: without case, spaces, punctuation and differences in how accents are
    encoded.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(filter(_distinguishes, folded))


def _distinguishes(letter: str) -> bool:
    """Return whether a character counts: letters, digits, and marks that are vowels in scripts such as
    Devanagari.

    Accents and variation selectors do not.
    """
    is_mark = unicodedata.category(letter)[0] == "M" and not (
        "\u0300" <= letter <= "\u036f" or _is_selector(letter)
    )
    return letter.isalnum() or is_mark


def _is_selector(letter: str) -> bool:
    return "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"


def same_name(first: str, second: str) -> bool:
    """Return whether two names are the same.

    A legal form that only one of them has makes no difference; two different legal forms do.
    """
    if normalize_for_comparison(first) == normalize_for_comparison(second):
        return True
    first_short, second_short = (
        normalize_for_comparison(hooks.name_without_legal_form(text)) for text in (first, second)
    )
    return first_short == second_short and (
        first_short == normalize_for_comparison(first) or second_short == normalize_for_comparison(second)
    )


def same_number(first: str, second: str, *countries: str) -> bool:
    """Return whether two numbers are the same in one of the forms in which they are written in these
    countries.
    """
    forms = [
        {
            normalize_for_comparison(text),
            *(normalize_for_comparison(hooks.comparable_number(text, country)) for country in countries),
        }
        for text in (first, second)
    ]
    # Two texts of which nothing is left are no numbers, so they are not the same number.
    return bool((forms[0] & forms[1]) - {""})


def is_other_company(confirmed: ReferenceIdentity, described: VendorIdentity) -> bool:
    """Return whether name and number are both different.

    A confirmed name or number that the accounting system no longer states counts as different, so that
    removing one and changing the other is noticed; a number alone that is missing only raises an issue. A
    value that was never confirmed is no difference. Where the accounting system states neither, a person
    decides.
    """
    numbers = [number for number in confirmed.numbers if normalize_for_comparison(number)]
    if not normalize_for_comparison(described.number):
        # Only a number that the accounting system stated can go
        # missing there; the firm may have entered another.
        numbers = [number for number in confirmed.numbers[:1] if normalize_for_comparison(number)]
    if not numbers or not normalize_for_comparison(confirmed.name):
        return False
    countries = {confirmed.country, described.country}
    is_known = any(same_number(number, described.number, *countries) for number in numbers)
    return not is_known and not (
        normalize_for_comparison(described.name) and same_name(confirmed.name, described.name)
    )


def may_be_other_company(columns: Mapping[str, Any], described: VendorIdentity) -> bool:
    """Return whether the conflict must be updated, by a company's stored columns alone.

    Each run checks this.
    """
    confirmed = ReferenceIdentity(
        name=columns["confirmed_name"], numbers=(columns["confirmed_number"],), country=columns["country"]
    )
    return columns["conflict_detected_at"] is not None or is_other_company(confirmed, described)


def update_conflict(company: RemoteCompany, described: VendorIdentity, *, restart_open_run: bool) -> bool:
    """Block the administrations of a company in conflict, or release them when the conflict is over.

    Returns whether there is a conflict; then the caller must not store the description. The caller has locked
    `company`. `restart_open_run` is False when that run is the caller.
    """
    imported = company.administrations.filter(withdrawn_at=None)
    administrations = dict(imported.values_list("pk", "number"))
    if not administrations:
        return False
    confirmed = ReferenceIdentity(
        name=company.confirmed_name,
        numbers=(company.confirmed_number, *administrations.values()),
        country=company.country,
    )
    is_other = is_other_company(confirmed, described)
    if restart_open_run and (is_other or company.conflict_detected_at is not None):
        hooks.restart_runs(company.organisation_id, list(administrations))
    if is_other:
        _record_conflict(company, list(administrations), described)
        return True
    _store_first_description(company, described)
    if company.conflict_detected_at is not None:
        add_timeline_event(
            company.connection,
            TimelineKind.COMPANY_RESTORED,
            {"name": company.confirmed_name},
            companies=[company.pk],
        )
        end_conflict(company, list(administrations), requested_by="")
    return False


def confirm_identity(company: RemoteCompany, name: str, number: str) -> None:
    """Store the identity that a person confirms at the import. The caller saves."""
    company.confirmed_name = "" if name == company.external_id else name[:300]
    company.confirmed_number = number[:100]
    clear_conflict(company)


def store_confirmed_identities(companies: Sequence[RemoteCompany]) -> None:
    """Save what `confirm_identity` set, in one statement: `bulk_update` of 900 companies takes seconds."""
    values = [(company.pk, company.confirmed_name, company.confirmed_number) for company in companies]
    with connection.cursor() as cursor:
        cursor.execute(
            _STORE_CONFIRMED_SQL, [list(column) for column in zip(*values, strict=True)] or [[]] * 3
        )


def clear_identity(company: RemoteCompany) -> None:
    """Remove the confirmed identity, because the administration is erased: a new import confirms another. The
    caller saves.
    """
    if company.conflict_detected_at is not None:
        company.name, company.legal_name, company.number = company.conflicting_name, "", ""
    company.confirmed_name = company.confirmed_number = ""
    company.described_at = None
    clear_conflict(company)


def inherit_identity(company: RemoteCompany, before: RemoteCompany) -> None:
    """Copy the confirmed identity, and an unresolved conflict, from the same company of another connection.

    The caller saves, and updates the conflict.
    """
    for name in ("confirmed_name", "confirmed_number", *CONFLICT_FIELDS):
        setattr(company, name, getattr(before, name))


def clear_conflict(company: RemoteCompany) -> None:
    """Remove the conflict with another company. The caller saves."""
    company.conflicting_name = company.conflicting_number = ""
    company.conflict_detected_at = company.conflict_rejected_at = None


def end_conflict(company: RemoteCompany, administration_ids: Iterable[int], *, requested_by: str) -> None:
    """End the conflict and unblock the administrations: the company is the confirmed one, or a person decided
    so. The caller saves.
    """
    ids = list(administration_ids)
    clear_conflict(company)
    for administration_id in ids:
        resolve_issues(
            company.organisation_id,
            Subject(SubjectKind.ADMINISTRATION, administration_id),
            ConnectionIssue.OTHER_COMPANY,
            ConnectionIssue.OTHER_COMPANY_CONFIRMED,
        )
    hooks.unblock_administrations(company.organisation_id, ids, requested_by)


def conflict_context(company: RemoteCompany) -> MessageContext:
    """Return the context of issues and timeline events. A missing number is a dash."""
    return {
        "name": company.confirmed_name,
        "old": company.confirmed_name,
        "old_number": company.confirmed_number or "–",
        "new": company.conflicting_name,
        "new_number": company.conflicting_number or "–",
        "connection": company.connection_id,
    }


def _record_conflict(
    company: RemoteCompany, administration_ids: list[int], described: VendorIdentity
) -> None:
    """Store the conflicting identity, and block the administrations.

    A person's decision about the same identity stays.
    """
    conflict = VendorIdentity(name=described.name[:300], number=described.number[:100])
    stored = VendorIdentity(name=company.conflicting_name, number=company.conflicting_number)
    is_new = company.conflict_detected_at is None or stored != conflict
    company.conflicting_name, company.conflicting_number = conflict.name, conflict.number
    if is_new:
        company.conflict_detected_at, company.conflict_rejected_at = timezone.now(), None
        add_timeline_event(
            company.connection,
            TimelineKind.OTHER_COMPANY,
            conflict_context(company),
            companies=[company.pk],
        )
    code, other = ConnectionIssue.OTHER_COMPANY, ConnectionIssue.OTHER_COMPANY_CONFIRMED
    if company.conflict_rejected_at is not None:
        code, other = other, code
    for administration_id in administration_ids:
        subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
        resolve_issues(company.organisation_id, subject, other)
        raise_issue(company.organisation_id, code, subject, conflict_context(company))
    company.described_at = timezone.now()
    company.save(update_fields=["described_at", *CONFLICT_FIELDS])
    hooks.block_administrations(company.organisation_id, administration_ids, OTHER_COMPANY_MESSAGE)


def _store_first_description(company: RemoteCompany, described: VendorIdentity) -> None:
    """Confirm the identity in the first description, because the company was imported before it was
    described.
    """
    if not company.confirmed_name:
        company.confirmed_name, company.confirmed_number = described.name[:300], described.number[:100]
    is_first = not company.legal_name
    if is_first and not company.confirmed_number and same_name(company.confirmed_name, described.name):
        company.confirmed_number = described.number[:100]
