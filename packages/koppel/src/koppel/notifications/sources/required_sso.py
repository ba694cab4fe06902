"""Notify the Administrators when single sign-on becomes required, or no longer is."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.notifications.audience.recipients import active_members
from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.events.services import notify_members
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Role

EVENT_TYPES = (
    EventType(
        NotificationEvent.SSO_REQUIRED,
        _("%(person)s made single sign-on required: passwords and passkeys no longer open %(organisation)s."),
        label=_("Single sign-on became required"),
        is_momentary=True,
    ),
    EventType(
        NotificationEvent.SSO_OPTIONAL,
        _(
            "%(person)s ended the requirement of single sign-on: passwords and passkeys open "
            "%(organisation)s again."
        ),
        label=_("Single sign-on no longer required"),
        is_momentary=True,
    ),
)


def notify_requirement(organisation: Organisation, person: str) -> None:
    """Notify all Administrators. In scope."""
    event = NotificationEvent.SSO_REQUIRED if organisation.requires_sso else NotificationEvent.SSO_OPTIONAL
    administrators = active_members(organisation.pk).filter(role=Role.ADMINISTRATOR)
    notify_members(
        organisation.pk,
        event,
        administrators.values_list("pk", flat=True),
        {"organisation": organisation.name, "person": person},
        reverse("organisations:security") + "#sso",
    )
