"""The undo of bulk work: values return to what they were, unless they were changed since."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from koppel.administrations.bulk import stored_values
from koppel.administrations.bulk.actions import PlannedChange
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.bulk.stored_values import People
from koppel.administrations.models import Administration, BulkItem, BulkValues
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class RecordedChange:
    """The values of an item before the operation, and after it."""

    before: BulkValues
    after: BulkValues


def plan_reversals(
    actor: Actor, administrations: Mapping[int, Administration], items: Iterable[BulkItem]
) -> dict[int, PlannedChange]:
    """Plan the reversal of each administration that the actor may see."""
    changes = {
        item.administration_id: RecordedChange(item.before, item.after)
        for item in items
        if item.administration_id in administrations
    }
    people_by_id = stored_values.people_on(actor.organisation_id, changes)
    not_offered = stored_values.archived_ids(
        actor.organisation_id, [change.before for change in changes.values()]
    )
    is_any_restricted = any(administrations[administration_id].restricted for administration_id in changes)
    live_member_ids = (
        stored_values.live_member_ids(actor.organisation_id) if is_any_restricted else frozenset()
    )
    return {
        administration_id: plan_reversal(
            administrations[administration_id],
            people_by_id.get(administration_id, {}),
            change,
            live_member_ids,
            not_offered,
        )
        for administration_id, change in changes.items()
    }


def plan_reversal(
    administration: Administration,
    current_people: People,
    change: RecordedChange,
    live_member_ids: Collection[int],
    not_offered: Mapping[str, Collection[int]],
) -> PlannedChange:
    """Plan the reversal of one change; `changed_since` if not all of it can be reversed."""
    columns = _columns_to_restore(administration, change, not_offered)
    people = _people_to_restore(current_people, change)
    if administration.restricted and not _may_restore_people(current_people, change, people, live_member_ids):
        people = {}
    changed_count = len(change.after.get("columns", {})) + len(change.after.get("people", {}))
    if len(columns) + len(people) == changed_count:
        return PlannedChange(after={"columns": columns, "people": people})
    if not columns and not people:
        return PlannedChange(CommonReason.CHANGED_SINCE)
    return PlannedChange(CommonReason.CHANGED_SINCE, after={"columns": columns, "people": people})


def _columns_to_restore(
    administration: Administration, change: RecordedChange, not_offered: Mapping[str, Collection[int]]
) -> dict[str, Any]:
    """Return the earlier values of the columns that still have the value of the operation, except divisions
    and templates archived since.
    """
    before, after = change.before.get("columns", {}), change.after.get("columns", {})
    current = stored_values.read_columns(administration, after)
    return {
        name: before[name]
        for name in after
        if current[name] == after[name] and before[name] not in not_offered.get(name, ())
    }


def _people_to_restore(current_people: People, change: RecordedChange) -> dict[str, bool | None]:
    """Return the earlier assignments, by membership id, of the members whose assignment is still as the
    operation left it.
    """
    before, after = change.before.get("people", {}), change.after.get("people", {})
    return {member: before[member] for member in after if current_people.get(int(member)) == after[member]}


def _may_restore_people(
    current_people: People,
    change: RecordedChange,
    people: Mapping[str, bool | None],
    live_member_ids: Collection[int],
) -> bool:
    """Return whether a restricted administration was restricted before the operation too, and keeps an
    assigned member who may sign in.

    If it was restricted since, its members were chosen deliberately.
    """
    people_changes = {int(member): automatic for member, automatic in people.items()}
    return bool(change.before.get("restricted")) and not stored_values.removes_last_active_member(
        current_people, people_changes, live_member_ids
    )
