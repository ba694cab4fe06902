"""The bulk action “Assign and set”: division, template, people to add and remove, number or reason, sector,
client number.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.access import require_assignable
from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.bulk import stored_values
from koppel.administrations.bulk.actions import BulkAction, PlannedChange, RawParameters
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.identity import services as identity
from koppel.administrations.models import Administration, BulkParameters, BulkValues
from koppel.company_registers.numbers import NumberStatus, check_number
from koppel.company_registers.numbers.identity import is_identified
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SCHEME, SECTIONS
from koppel.kit.database.json_fields import to_shape
from koppel.kit.database.text import clean_text, has_control_characters
from koppel.kit.web.parameters import unknown_value
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

ASSIGN_KEYS = frozenset({"division", "template", "add", "remove"})
SET_KEYS = frozenset({"number", "reason", "sector", "client_number"})
CLIENT_NUMBER_MAX = 60


def validate_item(actor: Actor, params: RawParameters) -> BulkParameters:
    """Validate as `validate_values` does. Raises `NoSuchChoice` for an unknown id."""
    values = validate_values(actor, params)
    require_assignable(
        actor,
        [division] if (division := values.get("division")) is not None else (),
        [template] if (template := values.get("template")) is not None else (),
        [*values.get("add", ()), *values.get("remove", ())],
    )
    return values


def validate_values(actor: Actor, params: RawParameters) -> BulkParameters:
    """Return the given values of `ASSIGN_KEYS` and `SET_KEYS`; None removes a division or a template.

    Makes no queries, because a file has thousands of lines. Raises `Refused`.
    """
    values = {key: _parse_value(key, params[key]) for key in (*ASSIGN_KEYS, *SET_KEYS) if key in params}
    values = {key: value for key, value in values.items() if value not in ([], ())}
    if ASSIGN_KEYS & values.keys():
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
    if "sector" in values and values["sector"] not in ("", *SECTIONS):
        raise Refused(unknown_value("sector", values["sector"], SECTIONS).message)
    if "reason" in values and values["reason"] not in REASONS:
        raise Refused(unknown_value("reason", values["reason"], REASONS).message)
    if set(values.get("add", ())) & set(values.get("remove", ())):
        raise Refused(_("You cannot add and remove the same user."))
    return to_shape(values, BulkParameters)


def _parse_value(key: str, value: Any) -> Any:
    """Parse a value that a program sent: an id, ids or a text, as its key requires. Raises `Refused`."""
    if (
        key in ("add", "remove")
        and isinstance(value, list | tuple | set | frozenset)
        and all(map(_is_id, value))
    ):
        return sorted(set(value))
    if key in ("division", "template") and (value is None or _is_id(value)):
        return value
    if key in SET_KEYS and (value is None or isinstance(value, str)):
        text = clean_text(value or "")
        if key == "client_number" and len(text) > CLIENT_NUMBER_MAX:
            raise Refused(_("A client number has at most %d characters.") % CLIENT_NUMBER_MAX)
        if has_control_characters(text):
            raise Refused(_("Write it in one line, without control characters."))
        return text
    raise Refused(_("The value of “%s” is not valid.") % key)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def validate_params(actor: Actor, params: RawParameters) -> BulkParameters:
    """Validate the parameters of all administrations; at least one value must be given."""
    values = validate_item(actor, params)
    if not values and not params.get("per_item"):
        raise Refused(_("Choose a division, template, user or sector first."))
    return values


def plan(
    actor: Actor, administrations: Sequence[Administration], params_by_id: Mapping[int, BulkParameters]
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
    values: BulkParameters,
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
        number_check = check_number(values["number"], administration.country)
        if number_check.status is NumberStatus.INVALID:
            return PlannedChange(CommonReason(f"number_{number_check.note}"))
        columns |= {
            "number": number_check.number,
            "number_scheme": number_check.scheme,
            "number_note": number_check.note,
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


def _people_changes(people: stored_values.People, values: BulkParameters) -> dict[int, bool | None]:
    """Return the people to add (also those assigned automatically) and to remove."""
    people_changes: dict[int, bool | None] = {
        member: False for member in values.get("add", ()) if people.get(member) is not False
    }
    return people_changes | {member: None for member in values.get("remove", ()) if member in people}


ACTIONS = (
    BulkAction(
        key="change",
        label=gettext_lazy("Assign and set"),
        permission=Permission.CHANGE_ADMINISTRATIONS,
        audit_action=BulkAuditAction.ASSIGNED,
        choose_audit_action=lambda params: (
            BulkAuditAction.ASSIGNED if ASSIGN_KEYS & params.keys() else BulkAuditAction.CHANGED
        ),
        validate=validate_params,
        plan=plan,
        execute=execute,
        is_undoable=True,
        parameters=ASSIGN_KEYS | SET_KEYS,
    ),
)
