"""Messages of webhooks: one when members are notified of an event, and one when it is closed."""

import json
import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.shortcuts import resolve_url
from django.utils import timezone, translation

from koppel.kit.jobs import enqueue
from koppel.notifications.audience.hooks import unrestricted
from koppel.notifications.event_types import render_message, webhook_event_types
from koppel.notifications.events.visible_context import visible_context
from koppel.notifications.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint

TEST = "test"
"""The type of a test message."""


def enqueue_opened(event: Event) -> None:
    """One message to each webhook that subscribes to it, in the caller's transaction."""
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
    """To the webhooks that got the first message. What was not sent yet is dropped."""
    deliveries = WebhookDelivery.objects.filter(organisation_id=organisation_id, event_id__in=event_ids)
    deliveries.filter(state=DeliveryState.WAITING).update(state=DeliveryState.DROPPED, reason="recovered")
    notified = deliveries.filter(state__in=[DeliveryState.SENT, DeliveryState.CLAIMED], is_closing=False)
    for event in Event.objects.filter(organisation_id=organisation_id, pk__in=event_ids):
        webhook_ids = set(notified.filter(event=event).values_list("webhook_id", flat=True))
        _enqueue(
            event,
            [webhook for webhook in _active_webhooks(organisation_id) if webhook.pk in webhook_ids],
            is_closing=True,
        )


def enqueue_delivery(
    webhook: WebhookEndpoint, event_type: str, message: dict[str, Any], **more: Any
) -> WebhookDelivery:
    """The message waits, and a job that sends it."""
    message_id = f"msg_{uuid.uuid4().hex}"
    body = json.dumps({"id": message_id, **message}, ensure_ascii=False, separators=(",", ":"))
    delivery = WebhookDelivery.objects.create(
        organisation_id=webhook.organisation_id,
        webhook=webhook,
        message_id=message_id,
        event_type=event_type,
        body=body,
        **more,
    )
    enqueue("notifications.send_webhooks", organisation_id=webhook.organisation_id)
    return delivery


def build_test_message(webhook: WebhookEndpoint) -> dict[str, Any]:
    """Build a test message, shaped like every other."""
    return {
        "type": TEST,
        "state": "opened",
        "timestamp": _isoformat(timezone.now()),
        "message": {code: f"Koppel → {webhook.name}" for code, _name in settings.LANGUAGES},
        "link": f"{settings.PUBLIC_URL}{webhook.get_absolute_url()}",
        "subject": None,
        "administrations": [],
        "context": {},
    }


def _enqueue(event: Event, webhooks: Iterable[WebhookEndpoint], *, is_closing: bool = False) -> None:
    payloads: dict[tuple[int, ...], dict[str, Any] | None] = {}
    for webhook in webhooks:
        divisions = tuple(webhook.divisions)
        if divisions not in payloads:
            payloads[divisions] = _message(event, divisions, is_closing=is_closing)
        if (message := payloads[divisions]) is not None:
            enqueue_delivery(webhook, event.event_type, message, event=event, is_closing=is_closing)


def _message(event: Event, divisions: Collection[int], *, is_closing: bool) -> dict[str, Any] | None:
    """None when all that it touches is for named people only, or nothing of these divisions (empty: of all)."""
    affected = {int(key) for key in event.administrations}
    if event.subject_kind == "administration" and event.subject_id is not None:
        affected.add(event.subject_id)
    visible = frozenset(unrestricted(event.organisation_id, affected, divisions))
    # Of what moved to another division since, the end is sent as well to who got the beginning: without names.
    has_moved = is_closing and bool(divisions) and bool(unrestricted(event.organisation_id, affected, ()))
    if (affected or divisions) and not (visible or has_moved):
        return None
    context = visible_context(event, visible)
    return {
        "type": event.event_type,
        "state": "closed" if is_closing else "opened",
        "timestamp": _isoformat(timezone.now()),
        "opened_at": _isoformat(event.first_seen_at),
        "message": _messages(event.event_type, context),
        "link": f"{settings.PUBLIC_URL}{event.link or resolve_url(settings.LOGIN_REDIRECT_URL)}",
        "subject": {"kind": event.subject_kind, "id": event.subject_id} if event.subject_kind else None,
        "administrations": [
            {"id": int(key), **details} for key, details in event.administrations.items() if int(key) in visible
        ],
        "context": event.context,
    }


def _messages(event_type: str, context: dict[str, Any]) -> dict[str, str]:
    messages = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            messages[code] = render_message(event_type, context)
    return messages


def _active_webhooks(organisation_id: int) -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.filter(organisation_id=organisation_id, is_active=True))


def _is_subscribed(webhook: WebhookEndpoint, event_type: str) -> bool:
    return not webhook.events or event_type in webhook.events


def _isoformat(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
