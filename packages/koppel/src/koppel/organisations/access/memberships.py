"""Which memberships may act, and what one organisation has to know of somebody's others."""

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.kit.tenancy import installation_scope
from koppel.organisations.models import Membership


def active_memberships() -> "QuerySet[Membership]":
    """Those that may act: not deactivated, not expired. Within the caller's scope."""
    live = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Membership.objects.filter(live, is_active=True, user__is_active=True).select_related("user")


def is_used_elsewhere(user_id: int, organisation_id: int) -> bool:
    """Whether the account, as seen from this organisation, serves another one as well."""
    with installation_scope("works elsewhere"):
        membership = active_memberships().filter(user_id=user_id, organisation_id=organisation_id).first()
        return membership is None or works_elsewhere(membership)


def works_elsewhere(membership: Membership) -> bool:
    """Whether what proves this person is another organisation's concern as well.

    It is where the person became a member by an act of their own: what another organisation, or its identity provider, says
    by itself of somebody must change nothing here. Nor does such a membership weaken any other one."""
    with installation_scope("works elsewhere"):
        other_memberships = active_memberships().filter(user_id=membership.user_id).exclude(pk=membership.pk)
        if membership.joined_at is not None:
            other_memberships = other_memberships.exclude(joined_at=None)
        return other_memberships.exists()
