"""The bulk acts on favourites. They are the actor's own and nobody else's, so they leave no trace in the trail."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext_lazy

from koppel.administrations.bulk.actions import Act, Values, Verdict, register_act
from koppel.administrations.models import Administration, Favourite
from koppel.organisations.roles import Actor, Permission


def _starred(actor: Actor, ids: Sequence[int]) -> set[int]:
    own = Favourite.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    return set(own.filter(administration_id__in=ids).values_list("administration_id", flat=True))


def judge_star(actor: Actor, found: Sequence[Administration], asked: Mapping[int, Values]) -> dict[int, Verdict]:
    starred = _starred(actor, list(asked))
    return {one.pk: Verdict("same") if one.pk in starred else Verdict() for one in found}


def judge_unstar(actor: Actor, found: Sequence[Administration], asked: Mapping[int, Values]) -> dict[int, Verdict]:
    starred = _starred(actor, list(asked))
    return {one.pk: Verdict() if one.pk in starred else Verdict("same") for one in found}


def star(actor: Actor, wanted: Mapping[int, Values]) -> None:
    own = {"organisation_id": actor.organisation_id, "membership_id": actor.membership_id}
    Favourite.objects.bulk_create(
        [Favourite(**own, administration_id=one) for one in wanted], ignore_conflicts=True, batch_size=2000
    )


def unstar(actor: Actor, wanted: Mapping[int, Values]) -> None:
    own = Favourite.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    own.filter(administration_id__in=list(wanted)).delete()


register_act(
    Act(
        key="star",
        label=gettext_lazy("Add to favourites"),
        permission=Permission.SEE,
        audit="",
        check=lambda actor, asked: {},
        judge=judge_star,
        perform=star,
    )
)
register_act(
    Act(
        key="unstar",
        label=gettext_lazy("Remove from favourites"),
        permission=Permission.SEE,
        audit="",
        check=lambda actor, asked: {},
        judge=judge_unstar,
        perform=unstar,
    )
)
