"""Why a bulk action leaves an administration as it is, and what it changes, in words."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.bulk.actions import Values, bulk_actions
from koppel.administrations.models import Status
from koppel.company_registers.numbers import mask_number
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.kit import quarantine
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor

REASON_LABELS: Mapping[str, str | Promise] = {
    "not_found": gettext_lazy("Does not exist, or you may not see it."),
    "unchanged": gettext_lazy("Is so already."),
    "client_left": gettext_lazy("The client left."),
    "being_imported": gettext_lazy("Is still being imported."),
    "deactivated": gettext_lazy("Is deactivated."),
    "archived": gettext_lazy("That division or template is archived."),
    "last_member": gettext_lazy("Restricted: somebody must stay named on it."),
    "not_allowed": gettext_lazy("Your role no longer allowed it."),
    "changed_since": gettext_lazy("Somebody changed it since."),
    "number_vat_number": gettext_lazy("This is a VAT number."),
    "number_branch_number": gettext_lazy("This is a branch number."),
    "number_rsin": gettext_lazy("This is an RSIN."),
    "number_format": gettext_lazy("Not a number of this country."),
    "has_number": gettext_lazy("It has a number, so it needs no reason."),
    "needs_sector": gettext_lazy("Without a number it needs a reason and a sector."),
    "other_company": gettext_lazy(
        "The register knows this number by another name. Confirm it on the page of this one."
    ),
    "number_dummy": gettext_lazy("This is a made-up number."),
    quarantine.CODE: quarantine.SENTENCE,
    "number_empty": gettext_lazy("The number is empty."),
}
"""Reasons that any action may give; an action has its own in `BulkAction.reasons`."""
COLUMNS: Mapping[str, str | Promise] = {
    "division_id": gettext_lazy("Division"),
    "template_id": gettext_lazy("Template"),
    "number": gettext_lazy("Number"),
    "no_number_reason": gettext_lazy("No number because"),
    "sector": gettext_lazy("Sector"),
    "client_number": gettext_lazy("Client number"),
    "status": gettext_lazy("Status"),
    "scheduled_deactivation_on": gettext_lazy("To be deactivated"),
    "deactivation_reason": gettext_lazy("Reason"),
}


class NameLookup:
    """Ids to names, looked up once for a page."""

    def __init__(self, actor: Actor, states: Iterable[Values]) -> None:
        people: set[int] = set()
        columns: dict[str, set[int]] = {"division_id": set(), "template_id": set()}
        for state in states:
            people |= {int(one) for one in state.get("people", {})}
            for name, ids in columns.items():
                ids.add(state.get("columns", {}).get(name) or 0)
        tenant = {"organisation_id": actor.organisation_id}
        members = Membership.objects.filter(**tenant, pk__in=people).select_related("user")
        self.people = {one.pk: str(one.user) for one in members}
        self.columns: dict[str, dict[Any, str]] = {
            "division_id": dict(
                Division.objects.filter(**tenant, pk__in=columns["division_id"]).values_list("pk", "name")
            ),
            "template_id": dict(
                Template.objects.filter(**tenant, pk__in=columns["template_id"]).values_list("pk", "name")
            ),
            "status": {value: str(label) for value, label in Status.choices},
            "sector": {key: str(name) for key, name in SECTIONS.items()},
            "no_number_reason": {key: str(label) for key, label in REASONS.items()},
        }

    def value(self, column: str, value: Any) -> str:
        if value in (None, ""):
            return "–"
        return self.columns.get(column, {}).get(value, str(value))


def describe_reason(reason_code: str) -> str:
    """Return the sentence of a reason code: one of all actions, or one of the `reasons` of a single action."""
    if not reason_code:
        return ""
    for labels in (REASON_LABELS, *(action.reasons for action in bulk_actions.values())):
        if reason_code in labels:
            return str(labels[reason_code])
    return _("It cannot be done here (%s).") % reason_code


def mask_values(values: Values, country: str) -> Values:
    """Mask the end of a person's number, so that the values may be shown and kept in the audit log."""
    columns = values.get("columns", {})
    if not columns.get("number"):
        return values
    return {**values, "columns": {**columns, "number": mask_number(columns["number"], country)}}


def mask_params(params: Values) -> Values:
    """Return the parameters that are the same for all items, without a number: whether it is a person's depends on the
    country of each administration."""
    return {key: value for key, value in params.items() if key != "number"}


def describe_changes(before: Values, after: Values, names: NameLookup) -> list[str]:
    """Return a sentence for each thing that changes."""
    lines = []
    earlier = before.get("columns", {})
    for column, value in after.get("columns", {}).items():
        if column in COLUMNS:
            lines.append(
                f"{COLUMNS[column]}: {names.value(column, earlier.get(column))} → {names.value(column, value)}"
            )
    people: Mapping[str, bool | None] = after.get("people", {})
    on = [names.people.get(int(one), "–") for one, flag in people.items() if flag is not None]
    off = [names.people.get(int(one), "–") for one, flag in people.items() if flag is None]
    if on:
        lines.append(_("Added: %s") % ", ".join(sorted(on)))
    if off:
        lines.append(_("Taken off: %s") % ", ".join(sorted(off)))
    return lines


def describe_params(actor: Actor, params: Values) -> Sequence[str]:
    """Return a sentence for each parameter that is the same for all items."""
    state = {
        "columns": {
            column: params[key]
            for key, column in (("division", "division_id"), ("template", "template_id"), ("sector", "sector"))
            if key in params
        },
        "people": {str(one): None for one in (*params.get("add", ()), *params.get("remove", ()))},
    }
    names = NameLookup(actor, [state])
    lines = [f"{COLUMNS[column]}: {names.value(column, value)}" for column, value in state["columns"].items()]
    for key, message in (("add", _("Added: %s")), ("remove", _("Taken off: %s"))):
        if people := [names.people.get(one, "–") for one in params.get(key, ())]:
            lines.append(message % ", ".join(people))
    if params.get("reason"):
        lines.append(f"{COLUMNS['deactivation_reason']}: {params['reason']}")
    if params.get("on"):
        lines.append(f"{COLUMNS['scheduled_deactivation_on']}: {params['on']}")
    return lines
