"""Reads and writes of the columns and people that bulk actions change, many rows at a time."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import connection

from koppel.administrations.models import Administration, Assignment, BulkValues
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.models import Division, Template

COLUMN_TYPES = {
    "division_id": "bigint",
    "template_id": "bigint",
    "number": "text",
    "number_scheme": "text",
    "number_note": "text",
    "no_number_reason": "text",
    "sector": "text",
    "sector_scheme": "text",
    "client_number": "text",
    "status": "text",
    "status_code": "text",
    "status_reason": "text",
    "deactivated_on": "date",
    "scheduled_deactivation_on": "date",
    "deactivation_reason": "text",
}
People = Mapping[int, bool]
"""The people assigned to an administration: membership id to whether the assignment is automatic."""


def people_on(organisation_id: int, administration_ids: Iterable[int]) -> dict[int, dict[int, bool]]:
    assignments = Assignment.objects.in_organisation(organisation_id).filter(
        administration_id__in=list(administration_ids)
    )
    people: dict[int, dict[int, bool]] = defaultdict(dict)
    for administration_id, member, automatic in assignments.values_list(
        "administration_id", "membership_id", "automatic"
    ):
        people[administration_id][member] = automatic
    return people


def read_columns(administration: Administration, columns: Iterable[str]) -> dict[str, Any]:
    """Read columns as JSON: dates in ISO form."""
    return {name: _to_json(getattr(administration, name)) for name in columns}


def live_member_ids(organisation_id: int) -> frozenset[int]:
    """Return the ids of memberships that may sign in."""
    return frozenset(
        active_memberships().filter(organisation_id=organisation_id).values_list("pk", flat=True)
    )


def archived_ids(organisation_id: int, states: Iterable[BulkValues]) -> Mapping[str, frozenset[int]]:
    """Return the archived ones among the divisions and templates in these states, by column."""
    ids_by_column = {}
    for column, model in (("division_id", Division), ("template_id", Template)):
        referenced_ids = {values.get("columns", {}).get(column) for values in states} - {None}
        queryset = model._default_manager.filter(organisation_id=organisation_id, pk__in=referenced_ids)
        ids_by_column[column] = frozenset(queryset.exclude(archived_at=None).values_list("pk", flat=True))
    return ids_by_column


def removes_last_active_member(
    people: People, people_changes: Mapping[int, bool | None], live_ids: Collection[int]
) -> bool:
    """Return whether after the changes no assigned member may sign in."""
    return not any(
        flag is not None and member in live_ids for member, flag in {**people, **people_changes}.items()
    )


def write(organisation_id: int, changes: Mapping[int, BulkValues]) -> None:
    """Set the columns and people of each administration to `changes`; one statement per column."""
    by_column: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for administration_id, values in changes.items():
        for name, value in values.get("columns", {}).items():
            by_column[name].append((administration_id, value))
    for name, pairs in by_column.items():
        _write_column(organisation_id, name, pairs)
    people_by_id = {
        administration_id: values.get("people", {}) for administration_id, values in changes.items()
    }
    _write_people(organisation_id, people_by_id)


def _to_json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


def _write_column(organisation_id: int, name: str, pairs: Sequence[tuple[int, Any]]) -> None:
    kind = COLUMN_TYPES[name]
    statement = f"""
        UPDATE administrations_administration one SET {name} = wanted.value
          FROM unnest(%s::bigint[], %s::{kind}[]) AS wanted(id, value)
         WHERE one.organisation_id = %s AND one.id = wanted.id
    """  # noqa: S608 - names of our own
    with connection.cursor() as cursor:
        cursor.execute(
            statement, [[row_id for row_id, _v in pairs], [value for _i, value in pairs], organisation_id]
        )


def _write_people(organisation_id: int, people_by_id: Mapping[int, Mapping[str, bool | None]]) -> None:
    triples = [
        (administration_id, int(member), automatic)
        for administration_id, people in people_by_id.items()
        for member, automatic in people.items()
    ]
    removed = [triple[:2] for triple in triples if triple[2] is None]
    added = [triple for triple in triples if triple[2] is not None]
    with connection.cursor() as cursor:
        if removed:
            cursor.execute(_REMOVE_PEOPLE, [*map(list, zip(*removed, strict=True)), organisation_id])
        if added:
            cursor.execute(_ADD_PEOPLE, [organisation_id, *map(list, zip(*added, strict=True))])


_REMOVE_PEOPLE = """
DELETE FROM administrations_assignment one USING unnest(%s::bigint[], %s::bigint[]) AS gone(administration,
  membership)
 WHERE one.administration_id = gone.administration AND one.membership_id = gone.membership
   AND one.organisation_id = %s
"""
_ADD_PEOPLE = """
INSERT INTO administrations_assignment (organisation_id, administration_id, membership_id, automatic)
SELECT %s, wanted.administration, wanted.membership, wanted.automatic
  FROM unnest(%s::bigint[], %s::bigint[], %s::boolean[]) AS wanted(administration, membership, automatic)
ON CONFLICT (organisation_id, administration_id, membership_id) DO UPDATE SET automatic = excluded.automatic
"""
