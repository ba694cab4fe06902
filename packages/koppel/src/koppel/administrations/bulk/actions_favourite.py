"""The bulk actions on favourites. Those are the actor's own, so the audit log has no entries about them."""

from collections.abc import Mapping, Sequence
from functools import partial

from django.utils.translation import gettext_lazy

from koppel.administrations.bulk.actions import BulkAction, NoParameters, PlannedChange
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.models import Administration, BulkValues, Favourite
from koppel.organisations.roles import Actor, Permission


def _favourite_ids(actor: Actor, ids: Sequence[int]) -> set[int]:
    favourites = Favourite.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return set(favourites.filter(administration_id__in=ids).values_list("administration_id", flat=True))


def _plan(
    actor: Actor,
    administrations: Sequence[Administration],
    params_by_id: Mapping[int, NoParameters],
    *,
    is_favourite: bool,
) -> dict[int, PlannedChange]:
    """Plan a change for each administration that is not in the state `is_favourite` yet."""
    favourites = _favourite_ids(actor, list(params_by_id))
    return {
        administration.pk: PlannedChange(CommonReason.UNCHANGED)
        if (administration.pk in favourites) == is_favourite
        else PlannedChange()
        for administration in administrations
    }


def execute_favourite(actor: Actor, changes: Mapping[int, BulkValues]) -> None:
    owner = {"organisation_id": actor.organisation_id, "membership_id": actor.membership_id}
    Favourite.objects.bulk_create(
        [Favourite(**owner, administration_id=administration) for administration in changes],
        ignore_conflicts=True,
        batch_size=2000,
    )


def execute_unfavourite(actor: Actor, changes: Mapping[int, BulkValues]) -> None:
    favourites = Favourite.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    favourites.filter(administration_id__in=list(changes)).delete()


ADD_FAVOURITE = BulkAction(
    code="add_favourite",
    label=gettext_lazy("Add to favourites"),
    icon="star",
    permission=Permission.VIEW,
    audit_action=None,
    command="favourite",
    command_help="Add administrations to your favourites.",
    parameters=NoParameters,
    plan=partial(_plan, is_favourite=True),
    execute=execute_favourite,
    has_preview=False,
)
REMOVE_FAVOURITE = BulkAction(
    code="remove_favourite",
    label=gettext_lazy("Remove from favourites"),
    icon="x",
    permission=Permission.VIEW,
    audit_action=None,
    command="unfavourite",
    command_help="Remove administrations from your favourites.",
    parameters=NoParameters,
    plan=partial(_plan, is_favourite=False),
    execute=execute_unfavourite,
    has_preview=False,
)
