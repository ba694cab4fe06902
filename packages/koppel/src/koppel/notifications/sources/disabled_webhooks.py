"""Notify of a webhook that Koppel disabled."""

from django.utils.translation import gettext_lazy as _

from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import open_event
from koppel.notifications.models import EventFacts, WebhookEndpoint
from koppel.notifications.webhooks.reasons import reason_text


def notify_disabled(webhook: WebhookEndpoint) -> None:
    """Notify the member who created the webhook. In scope."""
    open_event(
        webhook.organisation_id,
        NotificationEvent.WEBHOOK_DISABLED,
        EventKey("webhook", webhook.pk),
        responsible=webhook.created_by_id,
        context={"name": webhook.name, "reason": webhook.disabled_reason},
        link=webhook.get_absolute_url(),
    )


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
