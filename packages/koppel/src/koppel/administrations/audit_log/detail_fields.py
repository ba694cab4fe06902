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
from koppel.organisations.audit_actions import DivisionAction, TemplateAction


class Kind(StrEnum):
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
    "client_number": _("Client number"),
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
    "template": _("Template"),
    "template_id": _("Template"),
    "to": _("Transferred to"),
    "until": _("Access until"),
    "url": _("Address"),
}

KINDS: Mapping[str, Kind] = {
    "add": Kind.PERSON,
    "added_members": Kind.PERSON,
    "assignee_id": Kind.PERSON,
    "administrations": Kind.ADMINISTRATION,
    "division": Kind.DIVISION,
    "division_id": Kind.DIVISION,
    "divisions": Kind.DIVISION,
    "member": Kind.PERSON,
    "people": Kind.PERSON,
    "predecessor": Kind.ADMINISTRATION,
    "remove": Kind.PERSON,
    "stand_in": Kind.PERSON,
    "template": Kind.TEMPLATE,
    "template_id": Kind.TEMPLATE,
}
"""What ids are in a field of this name, whatever the action."""

KINDS_OF_ACTION: Mapping[tuple[str, str], Kind] = {
    (DivisionAction.MERGED, "into"): Kind.DIVISION,
    (TemplateAction.MERGED, "into"): Kind.TEMPLATE,
}
"""Fields that mean different things by action."""

WHOLE_STATE: Mapping[str, str] = {
    AdministrationAction.UNRESTRICTED: "people",
    AdministrationAction.PREDECESSOR_SET: "predecessor",
    AdministrationAction.REASSIGNED: "people",
    AdministrationAction.RESTRICTED: "people",
    DivisionAction.MEMBERS_CHANGED: "people",
}
"""Actions whose `before` and `after` are no fields but the value itself, of this one."""

COUNTS = frozenset({"administrations", "companies"})
"""Fields that some actions fill with a count instead of a list of ids."""

UNSAID = frozenset({"per_item", "into_name"})
"""Fields of the machinery, or that repeat what another says."""

SUBJECT_KINDS: Mapping[str, Kind] = {
    SubjectKind.ADMINISTRATION: Kind.ADMINISTRATION,
    SubjectKind.CONNECTION: Kind.CONNECTION,
    SubjectKind.DIVISION: Kind.DIVISION,
    SubjectKind.PERSON: Kind.PERSON,
    SubjectKind.TEMPLATE: Kind.TEMPLATE,
}

REMOVED: Mapping[Kind, str | Promise] = {
    Kind.ADMINISTRATION: _("a removed administration"),
    Kind.PERSON: _("a removed user"),
    Kind.DIVISION: _("a removed division"),
    Kind.TEMPLATE: _("a removed template"),
    Kind.CONNECTION: _("a removed connection"),
}


def kind_of(action: str, field: str) -> Kind | None:
    return KINDS_OF_ACTION.get((action, field)) or KINDS.get(field)


def is_by_administration(action: str) -> bool:
    """Return whether `before` and `after` hold a state for each administration, by its id: actions on many at
    once do.
    """
    return action.startswith("administrations.")
