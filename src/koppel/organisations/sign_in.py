"""Who somebody is once they have proved it: the memberships they may act through, and the one they act through now."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.audit.models import Door
from koppel.kit.tenancy import installation_scope
from koppel.organisations.models import Membership
from koppel.organisations.policy import Actor, Role
from koppel.organisations.second_step import has_second_step


@dataclass(frozen=True)
class Choice:
    """An organisation that a person may switch to."""

    organisation_id: int
    name: str
    role: Role


def live_memberships() -> "QuerySet[Membership]":
    """Those that may act: not deactivated, not expired. Within the caller's scope."""
    live = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Membership.objects.filter(live, is_active=True, user__is_active=True).select_related("user")


def actor_of(
    user_id: int | None, organisation_id: int | None, from_address: str, door: Door, *, vouched_by: int | None = None
) -> Actor | None:
    """Who this user is in the organisation chosen in the session, else in the first one. None: a member of none.

    Whoever lets it act compares the organisation: it is another one when the membership in the chosen one has ended.
    `vouched_by`: the organisation whose identity provider opened the session. It then acts in no other."""
    with installation_scope("sign-in"):
        found = list(_of(user_id, vouched_by).select_related("organisation").order_by("organisation_id"))
        chosen = next((one for one in found if one.organisation_id == organisation_id), found[0] if found else None)
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
