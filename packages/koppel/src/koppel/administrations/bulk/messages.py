"""Sentences about bulk work: the reason why an administration is unchanged, and the changes of others."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from koppel.administrations.bulk.actions import bulk_actions
from koppel.administrations.bulk.skip_reasons import BulkReason, CommonReason
from koppel.administrations.models import BulkItem, BulkOperation, BulkValues, ItemState, Status
from koppel.company_registers.numbers import mask_number
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.kit.web.sentences import shorten_list
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor

COLUMNS: Mapping[str, str | Promise] = {
    "division_id": gettext_lazy("Division"),
    "template_id": gettext_lazy("Template"),
    "number": gettext_lazy("Number"),
    "no_number_reason": gettext_lazy("Reason for no number"),
    "sector": gettext_lazy("Sector"),
    "client_number": gettext_lazy("Client number"),
    "status": gettext_lazy("Status"),
    "scheduled_deactivation_on": gettext_lazy("To be deactivated"),
    "deactivation_reason": gettext_lazy("Reason"),
}


class NameLookup:
    """Ids to names, looked up once for a page."""

    def __init__(self, actor: Actor, states: Iterable[BulkValues]) -> None:
        people: set[int] = set()
        columns: dict[str, set[int]] = {"division_id": set(), "template_id": set()}
        for state in states:
            people |= {int(member_id) for member_id in state.get("people", {})}
            for name, ids in columns.items():
                ids.add(int(state.get("columns", {}).get(name) or 0))
        members = Membership.objects.for_actor(actor).filter(pk__in=people).select_related("user")
        self.people = {member.pk: str(member.user) for member in members}
        self.columns: dict[str, dict[Any, str]] = {
            "division_id": dict(
                Division.objects.for_actor(actor)
                .filter(pk__in=columns["division_id"])
                .values_list("pk", "name")
            ),
            "template_id": dict(
                Template.objects.for_actor(actor)
                .filter(pk__in=columns["template_id"])
                .values_list("pk", "name")
            ),
            "status": {value: str(label) for value, label in Status.choices},
            "sector": {key: str(name) for key, name in SECTIONS.items()},
            "no_number_reason": {key: str(label) for key, label in REASONS.items()},
        }

    def value(self, column: str, value: Any) -> str:
        if value in (None, ""):
            return "–"
        return self.columns.get(column, {}).get(value, str(value))


def describe_problems(problems: Sequence[tuple[int, str, str]], count_max: int) -> str:
    """Return the first problems of a file's lines, and how many more there are."""
    lines = [
        _("line %(number)d: %(problem)s") % {"number": number, "problem": problem}
        for number, _text, problem in problems
    ]
    return shorten_list(lines, count_max)


def describe_reason(reason_code: str) -> str:
    """Return the sentence of a reason code: one of all actions, or one of the `reasons` of a single
    action.
    """
    if not reason_code:
        return ""
    reason_enums: list[type[BulkReason]] = [
        CommonReason,
        *(action.reasons for action in bulk_actions.values()),
    ]
    for reasons in reason_enums:
        if reason_code in reasons.values:
            return str(reasons(reason_code).label)
    return _("Not possible here (%s).") % reason_code


def list_skip_reasons(operation: BulkOperation) -> list[str]:
    """Return why items of the operation were skipped, each reason once."""
    items = BulkItem.objects.in_organisation(operation.organisation_id).filter(
        operation=operation, state=ItemState.SKIPPED
    )
    codes = items.order_by("reason_code").values_list("reason_code", flat=True).distinct()
    return [describe_reason(code) for code in codes if code]


def mask_values(values: BulkValues, country: str) -> BulkValues:
    """Mask the end of a person's number, so that the values may be shown and kept in the audit log."""
    columns = values.get("columns", {})
    if not columns.get("number"):
        return values
    return {**values, "columns": {**columns, "number": mask_number(str(columns["number"]), country)}}


def describe_changes(before: BulkValues, after: BulkValues, names: NameLookup) -> list[str]:
    """Return a sentence for each thing that changes."""
    lines = []
    earlier = before.get("columns", {})
    for column, value in after.get("columns", {}).items():
        if column in COLUMNS:
            lines.append(
                f"{COLUMNS[column]}: {names.value(column, earlier.get(column))} → "
                f"{names.value(column, value)}"
            )
    people: Mapping[str, bool | None] = after.get("people", {})
    on = [names.people.get(int(member_id), "–") for member_id, flag in people.items() if flag is not None]
    off = [names.people.get(int(member_id), "–") for member_id, flag in people.items() if flag is None]
    if on:
        lines.append(_("Added: %s") % ", ".join(sorted(on)))
    if off:
        lines.append(_("Removed: %s") % ", ".join(sorted(off)))
    return lines


def describe_assignments(actor: Actor, operation_id: int) -> str:
    """Return what the operation assigned, and to how many administrations; '' for nothing."""
    items = BulkItem.objects.for_actor(actor).filter(operation_id=operation_id, state=ItemState.CHANGED)
    counts: Counter[str] = Counter()
    for values in items.values_list("after", flat=True):
        counts.update(values.get("columns", {}).keys())
        counts.update(["people"] if values.get("people") else [])
    labels = {
        "people": ngettext_lazy(
            "users to %(count)d administration", "users to %(count)d administrations", "count"
        ),
        "division_id": ngettext_lazy(
            "a division to %(count)d administration", "a division to %(count)d administrations", "count"
        ),
        "template_id": ngettext_lazy(
            "a template to %(count)d administration", "a template to %(count)d administrations", "count"
        ),
    }
    parts = [label % {"count": counts[key]} for key, label in labels.items() if counts[key]]
    return _("Assigned: %s.") % "; ".join(parts) if parts else ""
