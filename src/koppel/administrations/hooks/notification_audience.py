"""Whom an administration's events concern: its responsible person, and the colleagues who see, star or share it."""

from collections.abc import Collection

from koppel.administrations.effective_settings import NOBODY, in_force
from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.administrations.scope import visible_to
from koppel.notifications.audience.hooks import (
    About,
    Audience,
    Reach,
    Subject,
    register_audience,
    register_named_instead,
    register_open,
    register_reach,
    register_subject,
)
from koppel.organisations.models import DivisionMember, Membership
from koppel.organisations.roles import Actor, Role


def register() -> None:
    register_reach(reach_of)
    register_open(open_among)
    register_audience(audience_of)
    register_named_instead(named_instead)
    register_subject("administration", describe)


def describe(organisation_id: int, administration_id: int) -> Subject:
    """Responsible is whom somebody chose for it, else who imported it, else the owner of its connection.

    Being assigned automatically at import makes nobody responsible."""
    own = Administration.objects.filter(organisation_id=organisation_id, pk=administration_id)
    one = own.select_related("connection").first()
    if one is None:
        return Subject()
    chosen = Assignment.objects.filter(
        organisation_id=organisation_id, administration=one, automatic=False, membership__is_active=True
    )
    first = chosen.order_by("pk").values_list("membership_id", flat=True).first()
    return Subject(one.name, first or one.imported_by_id or one.connection.owner_id, {one.pk: one.name})


def open_among(organisation_id: int, administration_ids: Collection[int], division_ids: Collection[int]) -> list[int]:
    """What is restricted is told to the people named on it, never to a program."""
    own = Administration.objects.filter(organisation_id=organisation_id, pk__in=administration_ids)
    if division_ids:
        own = own.filter(division_id__in=division_ids)
    return list(own.filter(restricted=False, withdrawn_at=None).values_list("pk", flat=True))


def reach_of(
    organisation_id: int, about: About, administration_ids: Collection[int], membership_ids: Collection[int]
) -> dict[int, Reach]:
    """Within what each of these people may see; a restricted administration concerns only those named on it."""
    touched = Administration.objects.filter(organisation_id=organisation_id)
    if administration_ids:
        touched = touched.filter(pk__in=administration_ids)
    elif about[0] == "connection" and about[1] is not None:
        touched = touched.filter(connection_id=about[1])
    else:
        return {}
    ids = list(touched.values_list("pk", flat=True))
    people = Membership.objects.filter(organisation_id=organisation_id, pk__in=membership_ids)
    return {one.pk: reach for one in people if (reach := _reach(one, ids)).seen}


def named_instead(
    organisation_id: int, membership_id: int, administration_ids: Collection[int]
) -> dict[int, int | None]:
    """Restricted ones on which this member is not named, each with the first who is and may sign in."""
    own = {"organisation_id": organisation_id}
    restricted = Administration.objects.filter(**own, pk__in=administration_ids, restricted=True)
    there = Assignment.objects.filter(**own, membership_id=membership_id).values("administration_id")
    found: dict[int, int | None] = dict.fromkeys(restricted.exclude(pk__in=there).values_list("pk", flat=True))
    named = Assignment.objects.filter(**own, administration__in=found).select_related("membership").order_by("-pk")
    found.update({one.administration_id: one.membership_id for one in named if one.membership.is_live})
    return found


def audience_of(organisation_id: int, event: str, administration_ids: Collection[int]) -> dict[int, Audience]:
    """Whom the settings in force name: those whom somebody chose for it, and the people of its division."""
    own = Administration.objects.filter(organisation_id=organisation_id, pk__in=administration_ids)
    found = list(own.select_related("template", "organisation"))
    told = {one.pk: in_force(one).notify.get(event) for one in found}
    chosen = Assignment.objects.filter(organisation_id=organisation_id, automatic=False)
    members: dict[int, set[int]] = {one.pk: set() for one in found}
    named = chosen.filter(administration__in=[key for key, to in told.items() if to in ("assigned", "division")])
    for administration, member in named.values_list("administration_id", "membership_id"):
        members[administration].add(member)
    by_division = {one.pk: one.division_id for one in found if told[one.pk] == "division" and not one.restricted}
    of_division: dict[int, set[int]] = {}
    people = DivisionMember.objects.filter(organisation_id=organisation_id, division__in=set(by_division.values()))
    for division, member in people.values_list("division_id", "membership_id"):
        of_division.setdefault(division, set()).add(member)
    for key, division_id in by_division.items():
        members[key] |= of_division.get(division_id or 0, set())
    return {key: Audience(told[key] == NOBODY, frozenset(those)) for key, those in members.items()}


def _reach(person: Membership, ids: list[int]) -> Reach:
    actor = Actor(person.organisation_id, person.pk, person.user_id, "", Role(person.role))
    seen = dict(visible_to(actor).filter(pk__in=ids).values_list("pk", "division_id"))
    own = {"organisation_id": person.organisation_id, "membership_id": person.pk}
    divisions = set(DivisionMember.objects.filter(**own).values_list("division_id", flat=True))
    stars = Favourite.objects.filter(**own, administration_id__in=seen).values_list("administration_id", flat=True)
    shared = frozenset(one for one, division in seen.items() if division in divisions)
    return Reach(frozenset(seen), shared, frozenset(stars))
