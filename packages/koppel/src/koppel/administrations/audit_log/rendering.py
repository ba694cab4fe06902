"""Rendering of an audit entry for people: labelled fields, names instead of ids, formatted dates.

`detail_fields` declares the kind of object of each id. The stored details keep the ids, for programs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from koppel.administrations.audit_log.detail_fields import (
    COMPANY_FIELDS,
    COUNTS,
    LABELS,
    OMITTED_FIELDS,
    OMITTED_FIELDS_OF_ACTION,
    REMOVED_LABELS,
    SINGLE_VALUE_ACTIONS,
    SUBJECT_KINDS,
    ObjectKind,
    has_states_by_administration,
    kind_of,
)
from koppel.administrations.audit_log.reading import REDACTED
from koppel.administrations.models import Administration, Status
from koppel.audit.models import AuditEntry
from koppel.audit.queries import ChangedValue
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.models import Connection
from koppel.issues.issue_types import get_issue_type
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor, Role
from koppel.organisations.settings_schema import resource_label

EMPTY_VALUE = "–"
_CHOICES: Mapping[str, Mapping[str, Any]] = {
    "no_number_reason": REASONS,
    "role": dict(Role.choices),
    "sector": SECTIONS,
    "status": dict(Status.choices),
}


@dataclass(frozen=True)
class AuditRenderer:
    """Renderer of audit entries for one reader. Names are read once, for any number of entries."""

    actor: Actor

    def subject_name(self, entry: AuditEntry) -> str:
        """Return the subject's name at the time of the entry; if none was stored, its current name."""
        kind = SUBJECT_KINDS.get(entry.subject_kind)
        if entry.subject_name or entry.subject_id is None or kind is None:
            return entry.subject_name
        return self.name(kind, entry.subject_id)

    def changes(self, entry: AuditEntry) -> list[ChangedValue]:
        """Return the fields that changed, with both values; of an action on many, the administrations."""
        if entry.action == ConnectionAction.COMPANY_CHANGE_RESOLVED:
            return self._company_changes(entry.details)
        before, after = entry.details.get("before"), entry.details.get("after")
        if field := SINGLE_VALUE_ACTIONS.get(entry.action):
            return [
                ChangedValue(
                    key=self.label(field),
                    before=self.value(entry.action, field, before),
                    after=self.value(entry.action, field, after),
                )
            ]
        before, after = (state if isinstance(state, dict) else {} for state in (before, after))
        changes = [
            self._change(entry.action, key, before.get(key), after.get(key))
            for key in sorted({*before, *after})
        ]
        return [change for change in changes if change.before != change.after]

    def other_details(self, entry: AuditEntry) -> list[tuple[str, str]]:
        """Return the other details of the entry."""
        fields = {
            key: value
            for key, value in entry.details.items()
            if key
            not in {"before", "after", *OMITTED_FIELDS, *OMITTED_FIELDS_OF_ACTION.get(entry.action, ())}
        }
        return [(self.label(key), self.value(entry.action, key, value)) for key, value in fields.items()]

    def sentences_for(self, entry: AuditEntry, administration_id: int) -> list[str]:
        """Return a sentence for each thing that an action changed for this administration, also when it was
        one of many.
        """
        if not has_states_by_administration(entry.action):
            code = entry.details.get("issue")
            issue = [f"{self.label('issue')}: {self.value(entry.action, 'issue', code)}"] if code else []
            changes = [f"{change.key}: {change.before} → {change.after}" for change in self.changes(entry)]
            if "taken" in entry.details:
                changes.append(
                    f"{self.label('taken')}: {self.value(entry.action, 'taken', entry.details['taken'])}"
                )
            return [*issue, *changes]
        key, details = str(administration_id), entry.details
        if any(key in (details.get(side) or {}) for side in ("before", "after")):
            before, after = ((details.get(side) or {}).get(key) or {} for side in ("before", "after"))
            return self._differences(entry.action, before, after)
        parameters = {
            key: value for key, value in details.items() if key not in ("before", "after", "administrations")
        }
        return [
            f"{label}: {value}"
            for label, value in self.other_details(AuditEntry(action=entry.action, details=parameters))
        ]

    def label(self, field: str) -> str:
        return str(LABELS.get(field) or field.replace("_", " "))

    def name(self, kind: ObjectKind, subject_id: int) -> str:
        """Return the name of the object with this id: “removed” if erased, and none if the reader may not
        see it.
        """
        if kind is ObjectKind.ADMINISTRATION and subject_id in self._hidden:
            return REDACTED
        return self._names(kind).get(subject_id) or str(REMOVED_LABELS[kind])

    def value(self, action: str, field: str, value: Any) -> str:
        if isinstance(value, dict):
            return self._fields(action, field, value) or EMPTY_VALUE
        if isinstance(value, list | tuple):
            return ", ".join(self._item(action, field, item) for item in value) or EMPTY_VALUE
        if value is None or value == "":
            return EMPTY_VALUE
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if isinstance(value, int):
            return str(value) if field in COUNTS else self._item(action, field, value)
        return _text(field, str(value))

    def details(self, entry: AuditEntry) -> str:
        """Return all changes and details in one line, for a file."""
        changes = [f"{change.key}: {change.before} → {change.after}" for change in self.changes(entry)]
        return "; ".join([*changes, *(f"{label}: {value}" for label, value in self.other_details(entry))])

    def _change(self, action: str, key: str, before: Any, after: Any) -> ChangedValue:
        if not has_states_by_administration(action) or not key.isdecimal():
            return ChangedValue(
                key=self.label(key),
                before=self.value(action, key, before),
                after=self.value(action, key, after),
            )
        name = self.name(ObjectKind.ADMINISTRATION, int(key))
        return ChangedValue(
            key=name,
            before=self.value(action, "", _without_people(before)),
            after=self.value(action, "", after),
        )

    def _company_changes(self, details: Mapping[str, Any]) -> list[ChangedValue]:
        """Return the name, code or number that changed in the accounting system."""
        field = COMPANY_FIELDS.get(str(details.get("code")), "name")
        pairs = [(field, "old", "new"), ("number", "old_number", "new_number")]
        return [
            ChangedValue(
                key=self.label(name),
                before=self.value("", name, details[old]),
                after=self.value("", name, details[new]),
            )
            for name, old, new in pairs
            if old in details and new in details and details[old] != details[new]
        ]

    def _differences(self, action: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
        """Return each field of one administration before and after; people as added or removed."""
        was, now = _merge_columns(before), _merge_columns(after)
        people = self._people_changes(now.pop("people", None) or {})
        was.pop("people", None)
        fields = [
            f"{self.label(key)}: {self.value(action, key, was.get(key))} → "
            f"{self.value(action, key, now.get(key))}"
            for key in [*now, *(key for key in was if key not in now)]
            if was.get(key) != now.get(key)
        ]
        return [*([f"{self.label('people')}: {people}"] if people else []), *fields]

    def _fields(self, action: str, field: str, value: Mapping[str, Any]) -> str:
        """Return the fields that differ; `people` are assignments by id. Empty values are left out."""
        if field == "people":
            return self._people_changes(value)
        if field == "companies":  # by id, so that one of them can be erased
            return ", ".join(self.value(action, field, name) for name in value.values())
        flat = {key: item for key, item in _merge_columns(value).items() if item not in ([], {})}
        return "; ".join(f"{self.label(key)}: {self.value(action, key, item)}" for key, item in flat.items())

    def _people_changes(self, people: Any) -> str:
        """Return the people added or removed. A flag says whether the assignment is automatic; None:
        removed.
        """
        if not isinstance(people, dict):
            return self.value("", "people", people)
        people_changes = [
            (_("%(name)s removed") if flag is None else _("%(name)s added"))
            % {"name": self.name(ObjectKind.PERSON, int(key)) if key.isdecimal() else key}
            for key, flag in people.items()
        ]
        return ", ".join(sorted(people_changes))

    def _item(self, action: str, field: str, value: Any) -> str:
        kind = kind_of(action, field)
        is_id = isinstance(value, int) and not isinstance(value, bool)
        return (
            self.name(kind, value)
            if kind and is_id
            else str(value)
            if is_id
            else self.value(action, field, value)
        )

    def _names(self, kind: ObjectKind) -> Mapping[int, str]:
        return {
            ObjectKind.ADMINISTRATION: lambda: self._administrations,
            ObjectKind.PERSON: lambda: self._people,
            ObjectKind.DIVISION: lambda: self._divisions,
            ObjectKind.TEMPLATE: lambda: self._templates,
            ObjectKind.CONNECTION: lambda: self._connections,
        }[kind]()

    @cached_property
    def _divisions(self) -> dict[int, str]:
        return dict(Division.objects.for_actor(self.actor).values_list("pk", "name"))

    @cached_property
    def _templates(self) -> dict[int, str]:
        return dict(Template.objects.for_actor(self.actor).values_list("pk", "name"))

    @cached_property
    def _people(self) -> dict[int, str]:
        members = Membership.objects.for_actor(self.actor).select_related("user")
        return {member.pk: str(member.user) for member in members}

    @cached_property
    def _connections(self) -> dict[int, str]:
        return dict(Connection.objects.for_actor(self.actor).values_list("pk", "account"))

    @cached_property
    def _administrations(self) -> dict[int, str]:
        return dict(Administration.objects.visible_to(self.actor).values_list("pk", "name"))

    @cached_property
    def _hidden(self) -> frozenset[int]:
        existing = Administration.objects.for_actor(self.actor).filter(withdrawn_at=None)
        return frozenset(existing.values_list("pk", flat=True)) - self._administrations.keys()


def _merge_columns(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state with the fields of `columns` beside the others."""
    return {**{key: item for key, item in state.items() if key != "columns"}, **(state.get("columns") or {})}


def _without_people(state: Any) -> Any:
    """Return the state without people: the state after the action lists those whom it adds or removes."""
    if not isinstance(state, dict) or not isinstance(state.get("people"), dict):
        return state
    return {key: item for key, item in state.items() if key != "people"}


def _text(field: str, value: str) -> str:
    if field == "resources":
        return resource_label(value)
    if field == "issue":
        return str(get_issue_type(value).title)
    return str(_CHOICES.get(field, {}).get(value) or _format_time(value) or value)


def _format_time(value: str) -> str:
    """Format a day, or a time with its zone, for the reader's language; '' for any other text."""
    try:
        day, moment = parse_date(value), parse_datetime(value) if "T" in value else None
    except ValueError:
        return ""
    if moment and moment.tzinfo:
        return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")
    return date_format(day, "SHORT_DATE_FORMAT") if day else ""
