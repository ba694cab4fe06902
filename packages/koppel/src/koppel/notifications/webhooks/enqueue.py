"""Enqueue webhook deliveries of events: choose the webhooks, create a delivery for each and defer the job
that sends it.
"""

from collections.abc import Collection, Iterable
from itertools import groupby
from operator import attrgetter

import msgspec

from koppel.notifications.event_types import webhook_event_types
from koppel.notifications.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.message import (
    WebhookMessage,
    build_event_message,
    encode_message,
    new_message_id,
)
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX, first_attempt_at, lane_of
from koppel.notifications.webhooks.reasons import WebhookReason


def enqueue_opened(event: Event) -> None:
    """Enqueue a message for each webhook that subscribes to the event. In scope, in the caller's
    transaction.
    """
    if event.event_type not in webhook_event_types():
        return
    enabled = _enabled_webhooks(event.organisation_id)
    _enqueue(event, [webhook for webhook in enabled if _is_subscribed(webhook, event.event_type)])


def enqueue_closed(organisation_id: int, event_ids: Collection[int]) -> None:
    """Cancel the events' waiting messages, and enqueue a closing message for each webhook that received the
    opening one. In scope, in the caller's transaction.
    """
    deliveries = WebhookDelivery.objects.in_organisation(organisation_id).filter(event_id__in=event_ids)
    WEBHOOK_OUTBOX.cancel(deliveries, WebhookReason.RECOVERED)
    opening = deliveries.filter(state__in=[DeliveryState.SENT, DeliveryState.CLAIMED], is_closing=False)
    enabled = _enabled_webhooks(organisation_id)
    for event in Event.objects.in_organisation(organisation_id).filter(pk__in=event_ids):
        receivers = set(opening.filter(event=event).values_list("webhook_id", flat=True))
        _enqueue(event, [webhook for webhook in enabled if webhook.pk in receivers], is_closing=True)


def enqueue_message(
    webhook: WebhookEndpoint,
    message: WebhookMessage,
    *,
    event: Event | None = None,
    is_closing: bool = False,
) -> WebhookDelivery:
    """Create the delivery of a message to one webhook, and defer the job that sends it."""
    delivery = WebhookDelivery.objects.create(
        organisation_id=webhook.organisation_id,
        webhook=webhook,
        message_id=message.id,
        event_type=message.type,
        body=encode_message(message),
        event=event,
        is_closing=is_closing,
        due_at=first_attempt_at(webhook),
    )
    WEBHOOK_OUTBOX.enqueue(lane_of(webhook))
    return delivery


def _enqueue(event: Event, webhooks: Iterable[WebhookEndpoint], *, is_closing: bool = False) -> None:
    """Build one message for all webhooks of the same divisions; each webhook gets it under its own id."""
    by_divisions = attrgetter("divisions")
    for divisions, group in groupby(sorted(webhooks, key=by_divisions), key=by_divisions):
        message = build_event_message(event, divisions, is_closing=is_closing)
        if message is None:
            continue
        for webhook in group:
            own_message = msgspec.structs.replace(message, id=new_message_id())
            enqueue_message(webhook, own_message, event=event, is_closing=is_closing)


def _enabled_webhooks(organisation_id: int) -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.in_organisation(organisation_id).filter(is_enabled=True))


def _is_subscribed(webhook: WebhookEndpoint, event_type: str) -> bool:
    return not webhook.events or event_type in webhook.events
