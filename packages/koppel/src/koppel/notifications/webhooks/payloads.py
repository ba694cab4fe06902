"""What a webhook is told: one message when an event is told to people, and one when it is over."""

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
from koppel.notifications.events.context import visible_context
from koppel.notifications.models import DeliveryState, Event, WebhookDelivery, WebhookEndpoint

TEST = "test"
"""The event of a message that a person asked for, to see whether it arrives."""


def enqueue_opened(event: Event) -> None:
    """One message to each webhook that wants to hear of it, in the caller's transaction."""
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
    """To those that were told that it began. Who was not yet reached need not hear of it at all."""
    deliveries = WebhookDelivery.objects.filter(organisation_id=organisation_id, event_id__in=event_ids)
    deliveries.filter(state=DeliveryState.WAITING).update(state=DeliveryState.DROPPED, reason="healed")
    notified = deliveries.filter(state__in=[DeliveryState.SENT, DeliveryState.CLAIMED], is_over=False)
    for event in Event.objects.filter(organisation_id=organisation_id, pk__in=event_ids):
        webhook_ids = set(notified.filter(event=event).values_list("webhook_id", flat=True))
        _enqueue(
            event, [webhook for webhook in _active_webhooks(organisation_id) if webhook.pk in webhook_ids], is_over=True
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


def test_message(webhook: WebhookEndpoint) -> dict[str, Any]:
    """Shaped like every other."""
    return {
        "type": TEST,
        "state": "told",
        "at": _isoformat(timezone.now()),
        "message": {code: f"Koppel → {webhook.name}" for code, _name in settings.LANGUAGES},
        "link": f"{settings.PUBLIC_URL}{webhook.get_absolute_url()}",
        "about": None,
        "administrations": [],
        "facts": {},
    }


def _enqueue(event: Event, webhooks: Iterable[WebhookEndpoint], *, is_over: bool = False) -> None:
    payloads: dict[tuple[int, ...], dict[str, Any] | None] = {}
    for webhook in webhooks:
        divisions = tuple(webhook.divisions)
        if divisions not in payloads:
            payloads[divisions] = _message(event, divisions, is_over=is_over)
        if (message := payloads[divisions]) is not None:
            enqueue_delivery(webhook, event.event_type, message, event=event, is_over=is_over)


def _message(event: Event, divisions: Collection[int], *, is_over: bool) -> dict[str, Any] | None:
    """None when all that it touches is for named people only, or nothing of these divisions (empty: of all)."""
    affected = {int(key) for key in event.administrations}
    if event.subject_kind == "administration" and event.subject_id is not None:
        affected.add(event.subject_id)
    visible = frozenset(unrestricted(event.organisation_id, affected, divisions))
    # What has moved to another division since is over as well, for who was told that it began: without names.
    has_moved = is_over and bool(divisions) and bool(unrestricted(event.organisation_id, affected, ()))
    if (affected or divisions) and not (visible or has_moved):
        return None
    facts = visible_context(event, visible)
    return {
        "type": event.event_type,
        "state": "over" if is_over else "told",
        "at": _isoformat(timezone.now()),
        "began_at": _isoformat(event.first_at),
        "message": _messages(event.event_type, facts),
        "link": f"{settings.PUBLIC_URL}{event.link or resolve_url(settings.LOGIN_REDIRECT_URL)}",
        "about": {"kind": event.subject_kind, "id": event.subject_id} if event.subject_kind else None,
        "administrations": [
            {"id": int(key), **context} for key, context in event.administrations.items() if int(key) in visible
        ],
        "facts": event.context,
    }


def _messages(event_type: str, facts: dict[str, Any]) -> dict[str, str]:
    messages = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            messages[code] = render_message(event_type, facts)
    return messages


def _active_webhooks(organisation_id: int) -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.filter(organisation_id=organisation_id, is_active=True))


def _is_subscribed(webhook: WebhookEndpoint, event_type: str) -> bool:
    return not webhook.events or event_type in webhook.events


def _isoformat(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
