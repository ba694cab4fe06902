"""Who somebody is once they have proved it: the memberships they may act through, and the one they act through now."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.audit.models import Door
from koppel.kit.tenancy import installation_scope
from koppel.organisations.models import Membership
from koppel.organisations.policy import Actor, Role


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


def actor_of(user_id: int | None, organisation_id: int | None, from_address: str, door: Door) -> Actor | None:
    """Who this user is in the organisation chosen in the session, else in the first one. None: a member of none."""
    with installation_scope("sign-in"):
        found = list(live_memberships().filter(user_id=user_id or 0).order_by("organisation_id"))
    chosen = next((one for one in found if one.organisation_id == organisation_id), found[0] if found else None)
    return None if chosen is None else _actor(chosen, from_address, door)


def choices_of(user_id: int) -> list[Choice]:
    """The organisations that a person may act in, by name."""
    with installation_scope("sign-in"):
        found = live_memberships().filter(user_id=user_id).select_related("organisation").order_by("organisation__name")
        return [Choice(one.organisation_id, one.organisation.name, Role(one.role)) for one in found]


def _actor(membership: Membership, from_address: str, door: Door) -> Actor:
    return Actor(
        organisation_id=membership.organisation_id,
        membership_id=membership.pk,
        user_id=membership.user_id,
        name=str(membership.user),
        role=Role(membership.role),
        from_address=from_address,
        door=door,
    )
