"""Memberships that may act, and a person's memberships in other organisations."""

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.kit.tenancy import installation_scope
from koppel.organisations.models import Membership


def active_memberships() -> "QuerySet[Membership]":
    """Return memberships that are neither deactivated nor expired. Within the caller's scope."""
    live = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return Membership.objects.filter(live, is_active=True, user__is_active=True).select_related("user")


def is_used_elsewhere(user_id: int, organisation_id: int) -> bool:
    """Return whether another organisation than this one uses the account as well."""
    with installation_scope("works elsewhere"):
        membership = active_memberships().filter(user_id=user_id, organisation_id=organisation_id).first()
        return membership is None or works_elsewhere(membership)


def works_elsewhere(membership: Membership) -> bool:
    """Return whether another organisation relies on this person's credentials as well.

    It does where the person became a member themselves: an organisation or identity provider that
    merely claims a person must change nothing here, nor weaken another membership.
    """
    with installation_scope("works elsewhere"):
        other_memberships = active_memberships().filter(user_id=membership.user_id).exclude(pk=membership.pk)
        if membership.joined_at is not None:
            other_memberships = other_memberships.exclude(joined_at=None)
        return other_memberships.exists()
