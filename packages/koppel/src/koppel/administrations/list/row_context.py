"""Data that the rows of one page need besides their own columns, read with one query each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from koppel.administrations.display_state import display_states
from koppel.administrations.hooks import SyncProgress, progress_of
from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.audit.subjects import SubjectKind
from koppel.issues.queries import count_open
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class RowContext:
    """Data of the rows besides their columns, by administration id."""

    states: Mapping[int, str]
    """Display states."""
    progress: Mapping[int, SyncProgress]
    issues: Mapping[int, int]
    """Numbers of open issues."""
    people: Mapping[int, Sequence[str]]
    """Names of the assigned members."""
    favourite_ids: frozenset[int]


def load_row_context(
    actor: Actor, administrations: Sequence[Administration], columns: Sequence[str]
) -> RowContext:
    """Load the data that the shown columns need."""
    ids = [administration.pk for administration in administrations]
    favourites = Favourite.objects.for_actor(actor).filter(
        membership_id=actor.membership_id, administration_id__in=ids
    )
    return RowContext(
        states=display_states(actor, administrations),
        progress=progress_of(actor.organisation_id, ids),
        issues=count_open(actor, SubjectKind.ADMINISTRATION, ids) if "issues" in columns else {},
        people=names_of_people(actor, ids) if "people" in columns else {},
        favourite_ids=frozenset(favourites.values_list("administration_id", flat=True)),
    )


def names_of_people(actor: Actor, ids: Sequence[int]) -> dict[int, list[str]]:
    """Return the names of the assigned members by administration, without automatic assignments."""
    assignments = (
        Assignment.objects.for_actor(actor)
        .filter(administration_id__in=ids, automatic=False)
        .select_related("membership__user")
    )
    names: dict[int, list[str]] = {}
    for assignment in assignments.order_by("membership__user__name"):
        names.setdefault(assignment.administration_id, []).append(str(assignment.membership.user))
    return names
