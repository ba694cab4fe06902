"""Notify a person whose account became a member of another organisation, or was linked to an identity
provider, in case an impostor did it.
"""

from collections.abc import Mapping

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.events.services import notify_members
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.models import IdentityProvider, Membership, Organisation

EVENT_TYPES = (
    EventType(
        NotificationEvent.MEMBERSHIP_BEGAN,
        _(
            "Your account is now a member of %(organisation)s. If you did not accept this, contact "
            "one of its Administrators and change your password."
        ),
        label=_("Membership of an organisation"),
        is_momentary=True,
        is_private=True,
    ),
    EventType(
        NotificationEvent.SIGN_IN_LINKED,
        _(
            "%(provider)s can now sign you in to %(organisation)s. If you did not link it, contact "
            "an Administrator of %(organisation)s."
        ),
        label=_("Single sign-on linked"),
        is_momentary=True,
        is_private=True,
    ),
)


def notify_membership(membership: Membership) -> None:
    _notify(NotificationEvent.MEMBERSHIP_BEGAN, membership, {})


def notify_sign_in_linked(membership: Membership, provider: IdentityProvider) -> None:
    _notify(NotificationEvent.SIGN_IN_LINKED, membership, {"provider": provider.name})


def _notify(event: NotificationEvent, membership: Membership, facts: Mapping[str, str]) -> None:
    """Notify the person in every organisation, because they may never visit the one that made the change."""
    name = Organisation.objects.get(pk=membership.organisation_id).name
    with installation_scope("account changed"):
        memberships = list(
            active_memberships().filter(user_id=membership.user_id).values_list("organisation_id", "pk")
        )
    for organisation_id, membership_id in memberships:
        with organisation_scope(organisation_id):
            notify_members(
                organisation_id,
                event,
                [membership_id],
                {"organisation": name, **facts},
                reverse("account:organisations"),
            )
