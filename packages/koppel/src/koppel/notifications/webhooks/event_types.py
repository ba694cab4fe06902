"""The event of a webhook that Koppel switched off."""

from django.utils.translation import gettext_lazy as _

from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.models import EventFacts
from koppel.notifications.webhooks.reasons import reason_text


def _localize(facts: EventFacts) -> EventFacts:
    return {"message": reason_text(str(facts.get("reason", "")))}


EVENT_TYPES = (
    EventType(
        NotificationEvent.WEBHOOK_DISABLED,
        _("The webhook %(name)s was switched off. %(message)s"),
        label=_("Webhook switched off"),
        localize=_localize,
        is_momentary=True,
    ),
)
