"""Who somebody is once they have proved it: the memberships they may act through, and the one they act through now."""

from dataclasses import dataclass

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from koppel.audit.models import Door
from koppel.kit.tenancy import installation_scope
from koppel.organisations.memberships import live_memberships
from koppel.organisations.models import Membership, User
from koppel.organisations.policy import Actor, Role
from koppel.organisations.second_step import has_second_step

JOINED_FIRST = (F("given_back_at").asc(nulls_first=True), F("joined_at").asc(nulls_last=True), "created_at", "pk")
"""Memberships that began, or began again, without an act of the person's own come after all others."""


@dataclass(frozen=True)
class Choice:
    """An organisation that a person may switch to."""

    organisation_id: int
    name: str
    role: Role


def actor_of(
    user_id: int | None, organisation_id: int | None, from_address: str, door: Door, *, vouched_by: int | None = None
) -> Actor | None:
    """Who this user is in the organisation chosen in the session, else in the one that the person chose last, else in the one
    joined first. None: a member of none.

    Whoever lets it act compares the organisation: it is another one when the membership in the chosen one has ended.
    `vouched_by`: the organisation whose identity provider opened the session. It then acts in no other."""
    with installation_scope("sign-in"):
        found = list(_of(user_id, vouched_by).select_related("organisation").order_by(*JOINED_FIRST))
        chosen = next((one for one in found if one.organisation_id == organisation_id), None) or _usual(found, door)
        if chosen is None:
            return None
        asks = chosen.organisation.requires_second_step and vouched_by is None
        lacks = asks and not has_second_step(chosen.user_id)
    return _actor(chosen, from_address, door, needs_second_step=lacks, may_switch=len(found) > 1)


def choices_of(user_id: int, *, only: int | None = None) -> list[Choice]:
    """The organisations that a person may act in, by name."""
    with installation_scope("sign-in"):
        found = _of(user_id, only).select_related("organisation").order_by("organisation__name", "pk")
        return [Choice(one.organisation_id, one.organisation.name, Role(one.role)) for one in found]


def choose(user_id: int, organisation_id: int) -> None:
    """The person wants to work there: an act of their own, which the next sign-in remembers. Never for a session that an
    identity provider opened."""
    User.objects.filter(pk=user_id).update(last_organisation=organisation_id)
    with installation_scope("organisation chosen"):
        chosen = Membership.objects.filter(user_id=user_id, organisation_id=organisation_id)
        chosen.filter(joined_at=None).update(joined_at=Now())
        chosen.exclude(given_back_at=None).update(given_back_at=None)


def _usual(found: list[Membership], door: Door) -> Membership | None:
    """Where somebody works who has not said so; `found` stands in the order of `JOINED_FIRST`. A click in a browser must not
    move the programs that act from the shell as the same person."""
    for membership in found if door is not Door.CLI else ():
        is_own_choice = membership.joined_at is not None and membership.given_back_at is None
        if is_own_choice and membership.organisation_id == membership.user.last_organisation:
            return membership
    return found[0] if found else None


def _of(user_id: int | None, only: int | None) -> "QuerySet[Membership]":
    found = live_memberships().filter(user_id=user_id or 0)
    return found if only is None else found.filter(organisation_id=only)


def _actor(
    membership: Membership, from_address: str, door: Door, *, needs_second_step: bool, may_switch: bool
) -> Actor:
    return Actor(
        organisation_id=membership.organisation_id,
        membership_id=membership.pk,
        user_id=membership.user_id,
        name=str(membership.user),
        role=Role(membership.role),
        from_address=from_address,
        door=door,
        needs_second_step=needs_second_step,
        may_switch=may_switch,
    )
