"""Select the webhooks that get a message of an event, and queue their deliveries."""

import json
import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.utils import timezone

from koppel.notifications.event_types import webhook_event_types
from koppel.notifications.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.notifications.webhooks.payloads import event_payload
from koppel.notifications.webhooks.reasons import WebhookReason


def enqueue_opened(event: Event) -> None:
    """Create one message for each webhook that subscribes to the event, in the caller's transaction."""
    if event.event_type in webhook_event_types():
        _enqueue(
            event,
            [
                webhook
                for webhook in _active_webhooks(event.organisation_id)
                if _is_subscribed(webhook, event.event_type)
            ],
        )


def enqueue_closed(organisation_id: int, event_ids: Collection[int]) -> None:
    """Create messages for the webhooks that got the opening one, and drop what was not sent yet."""
    deliveries = WebhookDelivery.objects.in_organisation(organisation_id).filter(event_id__in=event_ids)
    deliveries.filter(state=DeliveryState.WAITING).update(
        state=DeliveryState.DROPPED, reason=WebhookReason.RECOVERED
    )
    notified = deliveries.filter(state__in=[DeliveryState.SENT, DeliveryState.CLAIMED], is_closing=False)
    for event in Event.objects.in_organisation(organisation_id).filter(pk__in=event_ids):
        webhook_ids = set(notified.filter(event=event).values_list("webhook_id", flat=True))
        _enqueue(
            event,
            [webhook for webhook in _active_webhooks(organisation_id) if webhook.pk in webhook_ids],
            is_closing=True,
        )


def enqueue_delivery(
    webhook: WebhookEndpoint, event_type: str, message: dict[str, Any], **more: Any
) -> WebhookDelivery:
    """Create a message, and a job that sends it."""
    message_id = f"msg_{uuid.uuid4().hex}"
    body = json.dumps({"id": message_id, **message}, ensure_ascii=False, separators=(",", ":"))
    delivery = WebhookDelivery.objects.create(
        organisation_id=webhook.organisation_id,
        webhook=webhook,
        message_id=message_id,
        event_type=event_type,
        body=body,
        due_at=first_attempt_at(webhook),
        **more,
    )
    WEBHOOK_OUTBOX.enqueue({"organisation_id": webhook.organisation_id, "webhook_id": webhook.pk})
    return delivery


def first_attempt_at(webhook: WebhookEndpoint) -> datetime:
    """Return when a message may be sent: now, or after the pause that the receiver asked for."""
    return max(timezone.now(), webhook.paused_until or timezone.now())


def _enqueue(event: Event, webhooks: Iterable[WebhookEndpoint], *, is_closing: bool = False) -> None:
    payloads: dict[tuple[int, ...], dict[str, Any] | None] = {}
    for webhook in webhooks:
        divisions = tuple(webhook.divisions)
        if divisions not in payloads:
            payloads[divisions] = event_payload(event, divisions, is_closing=is_closing)
        if (message := payloads[divisions]) is not None:
            enqueue_delivery(webhook, event.event_type, message, event=event, is_closing=is_closing)


def _active_webhooks(organisation_id: int) -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.in_organisation(organisation_id).filter(is_active=True))


def _is_subscribed(webhook: WebhookEndpoint, event_type: str) -> bool:
    return not webhook.events or event_type in webhook.events
