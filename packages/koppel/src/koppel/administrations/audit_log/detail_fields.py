"""Labels of the fields in the details of audit entries, and the kind of object of each id.

Ids of people, divisions, templates and administrations all count from one, so the field decides the kind;
where a field is used for several kinds, the action decides too.
"""

from collections.abc import Mapping
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.audit_actions import AdministrationAction
from koppel.audit.subjects import SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.issue_types import ConnectionIssue
from koppel.organisations.audit_actions import DivisionAction, TemplateAction


class ObjectKind(StrEnum):
    """The kind of object that an id refers to."""

    ADMINISTRATION = "administration"
    PERSON = "person"
    DIVISION = "division"
    TEMPLATE = "template"
    CONNECTION = "connection"


LABELS: Mapping[str, str | Promise] = {
    "account": _("Signed in as"),
    "action": _("Action"),
    "add": _("People added"),
    "added_members": _("People added"),
    "administrations": _("Administrations"),
    "archived": _("archived"),
    "assignee_id": _("Assigned to"),
    "away_until": _("Away until"),
    "backup_of": _("Backup of"),
    "client_number": _("Client number"),
    "code": _("Code"),
    "confirmed_name": _("Name in the register, confirmed as the same company"),
    "confirmed_number": _("Number, confirmed as the same company"),
    "count": _("Count"),
    "scheduled_deactivation_on": _("To be deactivated"),
    "deactivated_on": _("Deactivated on"),
    "deactivation_reason": _("Reason"),
    "dismissed_at": _("Dismissed"),
    "division": _("Division"),
    "division_id": _("Division"),
    "divisions": _("Divisions"),
    "events": _("Events"),
    "expires_at": _("Valid until"),
    "filter": _("Filtered by"),
    "fiscal_years_back": _("Fiscal years before the current one"),
    "format": _("Format"),
    "full_comparison_weekday": _("Weekly full check on"),
    "import": _("Import number"),
    "into": _("Merged into"),
    "into_name": _("Name"),
    "is_active": _("Active"),
    "issue": _("Issue"),
    "member": _("Person"),
    "name": _("Name"),
    "no_number_reason": _("Reason for no number"),
    "number": _("COC number"),
    "owner": _("Owner"),
    "people": _("People"),
    "person": _("Person"),
    "predecessor": _("Predecessor"),
    "read_only": _("Read only"),
    "reason": _("Reason"),
    "remove": _("People removed"),
    "resources": _("Resources"),
    "restricted": _("Restricted"),
    "role": _("Role"),
    "rows": _("Rows"),
    "schedule": _("Schedule"),
    "sector": _("Sector"),
    "sessions_ended": _("Sessions ended"),
    "snoozed_until": _("Snoozed until"),
    "stand_in": _("Substitute"),
    "status": _("Status"),
    "taken": _("Applied"),
    "template": _("Template"),
    "template_id": _("Template"),
    "to": _("Transferred to"),
    "until": _("Access until"),
    "url": _("Address"),
}

KINDS: Mapping[str, ObjectKind] = {
    "add": ObjectKind.PERSON,
    "added_members": ObjectKind.PERSON,
    "assignee_id": ObjectKind.PERSON,
    "administrations": ObjectKind.ADMINISTRATION,
    "division": ObjectKind.DIVISION,
    "division_id": ObjectKind.DIVISION,
    "divisions": ObjectKind.DIVISION,
    "member": ObjectKind.PERSON,
    "people": ObjectKind.PERSON,
    "predecessor": ObjectKind.ADMINISTRATION,
    "remove": ObjectKind.PERSON,
    "stand_in": ObjectKind.PERSON,
    "template": ObjectKind.TEMPLATE,
    "template_id": ObjectKind.TEMPLATE,
}
"""The kind of the ids in a field of this name, whatever the action."""

KINDS_OF_ACTION: Mapping[tuple[str, str], ObjectKind] = {
    (DivisionAction.MERGED, "into"): ObjectKind.DIVISION,
    (TemplateAction.MERGED, "into"): ObjectKind.TEMPLATE,
}
"""Fields that mean different things by action."""

SINGLE_VALUE_ACTIONS: Mapping[str, str] = {
    AdministrationAction.UNRESTRICTED: "people",
    AdministrationAction.PREDECESSOR_SET: "predecessor",
    AdministrationAction.REASSIGNED: "people",
    AdministrationAction.RESTRICTED: "people",
    DivisionAction.MEMBERS_CHANGED: "people",
}
"""Actions whose `before` and `after` are the values of one field, with the name of that field."""

COUNTS = frozenset({"administrations", "companies"})
"""Fields that some actions fill with a count instead of a list of ids."""

OMITTED_FIELDS = frozenset({"into_name"})
"""Fields that mean nothing to people, or repeat another field."""

OMITTED_FIELDS_OF_ACTION: Mapping[str, frozenset[str]] = {
    ConnectionAction.COMPANY_CHANGE_RESOLVED: frozenset({"code", "old", "new", "old_number", "new_number"}),
}
"""Fields that the changes of the entry already show."""

COMPANY_FIELDS: Mapping[str, str] = {
    ConnectionIssue.COMPANY_CODE_CHANGED: "code",
    ConnectionIssue.COMPANY_NUMBER_CHANGED: "number",
    ConnectionIssue.COMPANY_NUMBER_MISSING: "number",
}
"""The field of a company that an issue is about; the name, of all others."""

SUBJECT_KINDS: Mapping[str, ObjectKind] = {
    SubjectKind.ADMINISTRATION: ObjectKind.ADMINISTRATION,
    SubjectKind.CONNECTION: ObjectKind.CONNECTION,
    SubjectKind.DIVISION: ObjectKind.DIVISION,
    SubjectKind.PERSON: ObjectKind.PERSON,
    SubjectKind.TEMPLATE: ObjectKind.TEMPLATE,
}

REMOVED_LABELS: Mapping[ObjectKind, str | Promise] = {
    ObjectKind.ADMINISTRATION: _("a removed administration"),
    ObjectKind.PERSON: _("a removed user"),
    ObjectKind.DIVISION: _("a removed division"),
    ObjectKind.TEMPLATE: _("a removed template"),
    ObjectKind.CONNECTION: _("a removed connection"),
}


def kind_of(action: str, field: str) -> ObjectKind | None:
    return KINDS_OF_ACTION.get((action, field)) or KINDS.get(field)


def has_states_by_administration(action: str) -> bool:
    """Return whether `before` and `after` hold a state for each administration, by id, as in
    entries of bulk actions.
    """
    return action.startswith("administrations.")
