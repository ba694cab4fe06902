"""Reads of the audit log within what a member may see, and the erasure of a client from it. A restricted
administration that the member may not see has neither name nor values there, also in entries from before it
was restricted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from koppel.administrations.models import Administration
from koppel.audit.hooks import audit_actions
from koppel.audit.models import AuditEntry
from koppel.audit.queries import AuditFilter, entries_of
from koppel.audit.subjects import SubjectKind
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission

REDACTED = "…"


@dataclass(frozen=True)
class Redactor:
    """Redacts what the reader may not see: administrations and their companies by id, also under former
    names, and their present names wherever else they stand.
    """

    ids: frozenset[int]
    company_ids: frozenset[int]
    texts: frozenset[str]

    def hides(self, entry: AuditEntry) -> bool:
        return entry.subject_kind == SubjectKind.ADMINISTRATION and entry.subject_id in self.ids

    def redact(self, entry: AuditEntry) -> AuditEntry:
        """Redact hidden administrations in the entry, in memory."""
        if self.hides(entry):
            entry.subject_id, entry.subject_name, entry.details = None, REDACTED, {}
        elif self.ids:
            entry.details = {
                key: self._redact_value(
                    _without(value, self.company_ids)
                    if key == "companies"
                    else self._visible(entry.action, value)
                )
                for key, value in entry.details.items()
            }
        return entry

    def _visible(self, action: str, state: Any) -> Any:
        """Return `before` or `after` of an action on many without the hidden administrations. Deeper down the
        same number is a person's, or a division's.
        """
        if not action.startswith("administrations.") or not isinstance(state, Mapping):
            return state
        return _without(state, self.ids)

    def _redact_value(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._redact_value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._redact_value(item) for item in value]
        return REDACTED if isinstance(value, str) and value in self.texts else value


def _without(values: Any, ids: frozenset[int]) -> Any:
    """Return a mapping by id without these ids; anything else as it is."""
    if not isinstance(values, Mapping):
        return values
    return {key: value for key, value in values.items() if not (key.isdecimal() and int(key[:18]) in ids)}


def redactor_for(actor: Actor) -> Redactor:
    hidden = Administration.objects.restricted_from(actor)
    rows = list(
        hidden.values_list(
            "pk",
            "remote_company_id",
            "name",
            "number",
            "client_number",
            "remote_company__name",
            "remote_company__legal_name",
        )
    )
    return Redactor(
        frozenset(int(row[0]) for row in rows),
        frozenset(int(row[1]) for row in rows if row[1]),
        frozenset(str(text) for row in rows for text in row[2:] if text),
    )


def list_entries(actor: Actor, audit_filter: AuditFilter, redactor: Redactor) -> "QuerySet[AuditEntry]":
    """Find entries, newest first; pass each through `redactor.redact` before showing it.

    A search by name finds no redacted entry. Raises `UnknownParameter` for an unknown action or person.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    _require_known(actor, audit_filter)
    entries = entries_of(actor.organisation_id, audit_filter)
    if audit_filter.search_text and redactor.ids:
        is_redacted = Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id__in=redactor.ids)
        entries = entries.exclude(is_redacted & ~Q(actor_name__icontains=audit_filter.search_text))
    return entries


def _require_known(actor: Actor, audit_filter: AuditFilter) -> None:
    entries = AuditEntry.objects.filter(organisation_id=actor.organisation_id)
    if (
        audit_filter.action
        and audit_filter.action not in audit_actions
        and not entries.filter(action=audit_filter.action).exists()
    ):
        raise UnknownParameter([unknown_value("action", audit_filter.action, sorted(audit_actions))])
    if audit_filter.person is None:
        return
    members = Membership.objects.for_actor(actor).filter(user_id=audit_filter.person)
    if not members.exists() and not entries.filter(actor_id=audit_filter.person).exists():
        raise UnknownParameter([unknown_value("person", str(audit_filter.person))])


def existing_administrations(organisation_id: int, ids: Iterable[int]) -> set[int]:
    """Return the ids of these that the organisation has, those that are being erased too."""
    rows = Administration.objects.in_organisation(organisation_id).filter(pk__in=list(ids))
    return set(rows.values_list("pk", flat=True))


def anonymise_administration(organisation_id: int, administration_id: int) -> None:
    """Blank the texts that name this administration by the function of their owner; called before its row is
    deleted, because the names are read from it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_forget(%s, %s)", [organisation_id, administration_id])
