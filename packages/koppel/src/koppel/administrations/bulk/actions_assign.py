"""The bulk action “Assign and set”: division, template, people to add and remove, number or reason, sector,
client number.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict, cast

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.access import require_assignable
from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.bulk import stored_values
from koppel.administrations.bulk.action_form import ActionForm, OptionField, RowField, RowsField
from koppel.administrations.bulk.actions import BarPanel, BulkAction, PlannedChange
from koppel.administrations.bulk.messages import COLUMNS, NameLookup
from koppel.administrations.bulk.skip_reasons import NUMBER_REASONS, CommonReason
from koppel.administrations.identity import services as identity
from koppel.administrations.models import Administration, BulkValues
from koppel.company_registers.numbers import NumberStatus, check_number
from koppel.company_registers.numbers.identity import is_identified
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SCHEME, SECTIONS
from koppel.kit.database.text import clean_text, has_control_characters
from koppel.kit.web.parameters import unknown_value
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

ASSIGN_KEYS = frozenset({"division", "template", "add", "remove"})
PEOPLE_KEYS = ("add", "remove")
TEXT_KEYS = ("number", "reason", "sector", "client_number")
DESCRIBED_COLUMNS = {
    "division": "division_id",
    "template": "template_id",
    "sector": "sector",
    "reason": "no_number_reason",
    "client_number": "client_number",
}
"""Columns of an administration by parameter, without the number: its display depends on the country."""
CLIENT_NUMBER_MAX = 60


class AssignParameters(TypedDict, total=False):
    """An absent key leaves the value unchanged; None removes it.

    `division` and `template` are ids, `add` and `remove` ids of memberships, `sector` a letter, `reason` a
    code of `REASONS`: why there is no `number`.
    """

    division: int | None
    template: int | None
    add: list[int]
    remove: list[int]
    number: str | None
    reason: str | None
    sector: str | None
    client_number: str | None


class BulkAssignForm(ActionForm):
    """The values that are the same for many administrations. Numbers are set with a CSV."""

    division = RowField(
        label=gettext_lazy("Division"),
        options=lambda choices: choices["divisions"],
        none_label=gettext_lazy("No division"),
    )
    template = RowField(
        label=gettext_lazy("Template"),
        options=lambda choices: choices["templates"],
        none_label=gettext_lazy("No template"),
    )
    add = RowsField(label=gettext_lazy("Add people"), options=lambda choices: choices["people"])
    remove = RowsField(label=gettext_lazy("Remove people"), options=lambda choices: choices["people"])
    sector = OptionField(
        label=gettext_lazy("Sector"),
        options=lambda _choices: [(letter, f"{letter} · {name}") for letter, name in SECTIONS.items()],
        none_label=gettext_lazy("No sector"),
    )
    option_help = {
        "division": "Id of the division, or 'none'.",
        "template": "Id of the template, or 'none'.",
        "add": "Id of a membership to add; may be repeated.",
        "remove": "Id of a membership to remove; may be repeated.",
        "sector": "Letter of the sector, or 'none'.",
    }


def validate_params(actor: Actor, params: AssignParameters) -> AssignParameters:
    """Validate the parameters of all administrations; at least one value must be given. Raises `Refused`, and
    `NoSuchChoice` for an unknown id.
    """
    values = validate_values(actor, params)
    require_assignable(
        actor,
        [division] if (division := values.get("division")) is not None else (),
        [template] if (template := values.get("template")) is not None else (),
        [*values.get("add", ()), *values.get("remove", ())],
    )
    if not values:
        raise Refused(_("Choose a division, template, user or sector first."))
    return values


def validate_values(actor: Actor, params: AssignParameters) -> AssignParameters:
    """Return the values with texts cleaned, '' for None, and without empty lists of people.

    Makes no queries, because a file has thousands of lines. Raises `Refused`.
    """
    values: dict[str, Any] = {**params}
    for people_key in PEOPLE_KEYS:
        if people := sorted(set(values.pop(people_key, ()))):
            values[people_key] = people
    for text_key in TEXT_KEYS:
        if text_key in values:
            values[text_key] = _clean_text(text_key, values[text_key])
    if ASSIGN_KEYS & values.keys():
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
    if values.get("sector") and values["sector"] not in SECTIONS:
        raise Refused(unknown_value("sector", values["sector"], SECTIONS).message)
    if "reason" in values and values["reason"] not in REASONS:
        raise Refused(unknown_value("reason", values["reason"], REASONS).message)
    if set(values.get("add", ())) & set(values.get("remove", ())):
        raise Refused(_("You cannot add and remove the same user."))
    return cast("AssignParameters", values)


def _clean_text(key: str, value: str | None) -> str:
    text = clean_text(value or "")
    if key == "client_number" and len(text) > CLIENT_NUMBER_MAX:
        raise Refused(_("A client number has at most %d characters.") % CLIENT_NUMBER_MAX)
    if has_control_characters(text):
        raise Refused(_("Write it in one line, without control characters."))
    return text


def describe_params(actor: Actor, params: AssignParameters) -> list[str]:
    """Return a sentence for each value but a number."""
    values: Mapping[str, Any] = params
    columns = {column: values[key] for key, column in DESCRIBED_COLUMNS.items() if key in values}
    added, removed = params.get("add", []), params.get("remove", [])
    people: dict[str, bool | None] = {str(member): None for member in (*added, *removed)}
    names = NameLookup(actor, [BulkValues(columns=columns, people=people)])
    lines = [f"{COLUMNS[column]}: {names.value(column, value)}" for column, value in columns.items()]
    for members, message in ((added, _("Added: %s")), (removed, _("Removed: %s"))):
        if members:
            lines.append(message % ", ".join(names.people.get(member, "–") for member in members))
    return lines


def plan(
    actor: Actor, administrations: Sequence[Administration], params_by_id: Mapping[int, AssignParameters]
) -> dict[int, PlannedChange]:
    changes_people = any(values.get("add") or values.get("remove") for values in params_by_id.values())
    people = stored_values.people_on(actor.organisation_id, params_by_id) if changes_people else {}
    restricted = changes_people and any(administration.restricted for administration in administrations)
    live_ids = stored_values.live_member_ids(actor.organisation_id) if restricted else frozenset()
    states = [
        BulkValues(
            columns={"division_id": item_values.get("division"), "template_id": item_values.get("template")}
        )
        for item_values in params_by_id.values()
    ]
    archived = stored_values.archived_ids(actor.organisation_id, states)
    changes = {
        administration.pk: _plan_one(
            administration,
            people.get(administration.pk, {}),
            params_by_id.get(administration.pk, {}),
            live_ids,
        )
        for administration in administrations
    }
    new = [
        (administration, str(changes[administration.pk].after.get("columns", {}).get("number") or ""))
        for administration in administrations
    ]
    conflicts = identity.differing_register_names(actor.organisation_id, [pair for pair in new if pair[1]])
    changes |= dict.fromkeys(conflicts, PlannedChange(CommonReason.OTHER_COMPANY))
    return {
        administration_id: PlannedChange(CommonReason.ARCHIVED)
        if _uses_archived(change.after, archived)
        else change
        for administration_id, change in changes.items()
    }


def execute(actor: Actor, changes: Mapping[int, BulkValues]) -> None:
    stored_values.write(actor.organisation_id, changes)
    identity.handle_bulk_change(
        actor.organisation_id,
        {administration_id: values.get("columns", {}) for administration_id, values in changes.items()},
    )


def _uses_archived(after: BulkValues, archived: Mapping[str, Collection[int]]) -> bool:
    """Return whether the division or template was archived since it was chosen: nothing new is put there."""
    return any(after.get("columns", {}).get(column) in ids for column, ids in archived.items())


def _plan_one(
    administration: Administration,
    people: stored_values.People,
    values: AssignParameters,
    live_ids: Collection[int],
) -> PlannedChange:
    columns: dict[str, Any] = {}
    parameters: Mapping[str, object] = values
    for key, column in (
        ("division", "division_id"),
        ("template", "template_id"),
        ("client_number", "client_number"),
    ):
        if key in parameters:
            columns[column] = parameters[key]
    if "sector" in values:
        columns |= {"sector": values["sector"], "sector_scheme": SCHEME if values["sector"] else ""}
    if "reason" in values and "number" not in values:
        if administration.number:
            return PlannedChange(CommonReason.HAS_NUMBER)
        columns["no_number_reason"] = values["reason"]
    if "number" in values:
        number_check = check_number(values["number"] or "", administration.country)
        if number_check.status is NumberStatus.INVALID:
            return PlannedChange(NUMBER_REASONS[number_check.note])
        columns |= {
            "number": number_check.number,
            "number_scheme": number_check.scheme,
            "number_note": str(number_check.note),
        }
        columns["no_number_reason"] = ""
    if _breaks_identity_rule(administration, columns):
        return PlannedChange(CommonReason.NEEDS_SECTOR)
    before = stored_values.read_columns(administration, columns)
    after = {name: value for name, value in columns.items() if before[name] != value}
    people_changes = _people_changes(people, values)
    if (
        administration.restricted
        and people_changes
        and stored_values.removes_last_active_member(people, people_changes, live_ids)
    ):
        return PlannedChange(CommonReason.LAST_MEMBER)
    if not after and not people_changes:
        return PlannedChange(CommonReason.UNCHANGED)
    return PlannedChange(
        before={
            "columns": {name: before[name] for name in after},
            "people": {str(member): people.get(member) for member in people_changes},
            **({"restricted": True} if administration.restricted and people_changes else {}),
        },
        after={"columns": after, "people": {str(member): flag for member, flag in people_changes.items()}},
    )


def _breaks_identity_rule(administration: Administration, columns: Mapping[str, Any]) -> bool:
    """Return whether the change would leave neither a number nor a reason with a sector.

    That is allowed only where the identity was incomplete before and no reason is given.
    """
    number, reason, sector = (
        columns.get(name, getattr(administration, name)) for name in ("number", "no_number_reason", "sector")
    )
    must_be_complete = "no_number_reason" in columns or identity.is_complete(administration)
    return must_be_complete and not is_identified(str(number or ""), str(reason or ""), str(sector or ""))


def _people_changes(people: stored_values.People, values: AssignParameters) -> dict[int, bool | None]:
    """Return the people to add (also those assigned automatically) and to remove."""
    people_changes: dict[int, bool | None] = {
        member: False for member in values.get("add", ()) if people.get(member) is not False
    }
    return people_changes | {member: None for member in values.get("remove", ()) if member in people}


ASSIGN = BulkAction(
    code="change",
    label=gettext_lazy("Assign and set"),
    icon="users",
    permission=Permission.CHANGE_ADMINISTRATIONS,
    audit_action=BulkAuditAction.ASSIGNED,
    choose_audit_action=lambda params: (
        BulkAuditAction.ASSIGNED if ASSIGN_KEYS & params.keys() else BulkAuditAction.CHANGED
    ),
    command="assign",
    command_help="Assign division, template, people and sector. People are added; `undo` reverts it for 24 "
    "hours.",
    parameters=AssignParameters,
    private_parameters=frozenset({"number"}),  # whether it is a person's depends on the country
    parameter_permissions=dict.fromkeys(ASSIGN_KEYS, Permission.IMPORT_ADMINISTRATIONS),
    plan=plan,
    execute=execute,
    validate=validate_params,
    describe=describe_params,
    form=BulkAssignForm,
    panels=(
        BarPanel(
            name="assign",
            label=gettext_lazy("Assign"),
            fields=("division", "template", "add", "remove"),
            permission=Permission.IMPORT_ADMINISTRATIONS,
            hint=gettext_lazy("Users are added. Division and template overwrite."),
            is_primary=True,
        ),
        BarPanel(
            name="sector",
            label=gettext_lazy("Set sector"),
            fields=("sector",),
            permission=Permission.CHANGE_ADMINISTRATIONS,
            hint=gettext_lazy("Numbers differ per administration; set them with CSV."),
            has_csv_link=True,
        ),
    ),
    reads_csv_values=True,
    is_undoable=True,
)
