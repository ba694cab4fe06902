"""Notify the Administrators of an e-mail domain whose DNS record is missing."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.notifications.audience.recipients import active_members
from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.events.services import notify_members
from koppel.organisations.models import EmailDomain
from koppel.organisations.roles import Role

EVENT_TYPES = (
    EventType(
        NotificationEvent.DOMAIN_RECORD_MISSING,
        _(
            "The DNS record %(record)s is missing. Restore it: after two days without it, addresses of "
            "%(domain)s no longer lead to your identity provider."
        ),
        label=_("DNS record of an e-mail domain missing"),
        is_momentary=True,
    ),
    EventType(
        NotificationEvent.DOMAIN_LAPSED,
        _(
            "%(domain)s is no longer verified: its DNS record is missing. Addresses of this domain do not "
            "lead to your identity provider any more; your own sign-in address still works."
        ),
        label=_("E-mail domain no longer verified"),
        is_momentary=True,
    ),
)


def notify_record_missing(domain: EmailDomain) -> None:
    _notify(NotificationEvent.DOMAIN_RECORD_MISSING, domain)


def notify_lapsed(domain: EmailDomain) -> None:
    _notify(NotificationEvent.DOMAIN_LAPSED, domain)


def _notify(event: NotificationEvent, domain: EmailDomain) -> None:
    administrators = active_members(domain.organisation_id).filter(role=Role.ADMINISTRATOR)
    notify_members(
        domain.organisation_id,
        event,
        administrators.values_list("pk", flat=True),
        {"domain": str(domain), "record": domain.record_name},
        reverse("organisations:security") + "#email-domains",
    )
