"""The log of a webhook's deliveries: list them, redeliver them, and add a test message."""

from collections.abc import Collection

from django.db.models import Q

from koppel.kit import quarantine
from koppel.kit.web.token_buckets import TokenBuckets
from koppel.notifications.audit_actions import WebhookAction
from koppel.notifications.models import DeliveryState, WebhookDelivery
from koppel.notifications.webhooks.endpoint_state import require_enabled
from koppel.notifications.webhooks.endpoints import get_webhook, record_action
from koppel.notifications.webhooks.enqueue import enqueue_message
from koppel.notifications.webhooks.message import build_test_message
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX, first_attempt_at, lane_of
from koppel.organisations.roles import Actor

_tests = TokenBuckets(per_minute=30, burst=30)
"""Test messages and messages that are sent again, by organisation."""
SETTLED_STATES = (DeliveryState.FAILED, DeliveryState.DROPPED, DeliveryState.SENT)


def list_deliveries(
    actor: Actor, webhook_id: int, *, state: str = "", limit: int = 100
) -> list[WebhookDelivery]:
    """Return the webhook's deliveries, the newest first. Raises `NoSuchWebhook`."""
    webhook = get_webhook(actor, webhook_id)
    deliveries = WebhookDelivery.objects.for_actor(actor).filter(webhook=webhook)
    if state:
        deliveries = deliveries.filter(state=state)
    return list(deliveries.order_by("-created_at", "-pk")[:limit])


def send_test(actor: Actor, webhook_id: int) -> WebhookDelivery:
    """Enqueue a test message; the returned delivery shows the response within seconds. Raises `Refused`,
    `Quarantined` and `TooManyRequests`.
    """
    webhook = get_webhook(actor, webhook_id)
    quarantine.refuse()
    require_enabled(webhook)
    _tests.spend(actor.organisation_id)
    record_action(actor.audit, webhook, WebhookAction.TESTED)
    return enqueue_message(webhook, build_test_message(webhook))


def redeliver(actor: Actor, webhook_id: int, delivery_ids: Collection[int] | None = None) -> int:
    """Send these settled messages again under the ids they had; without ids all that failed.

    Returns the number of messages. Raises `Refused`, `Quarantined` and `TooManyRequests`.
    """
    webhook = get_webhook(actor, webhook_id)
    quarantine.refuse()
    require_enabled(webhook)
    _tests.spend(actor.organisation_id)
    condition = (
        Q(state=DeliveryState.FAILED)
        if delivery_ids is None
        else Q(pk__in=delivery_ids, state__in=SETTLED_STATES)
    )
    deliveries = WebhookDelivery.objects.for_actor(actor).filter(condition, webhook=webhook)
    count = WEBHOOK_OUTBOX.requeue(deliveries, due_at=first_attempt_at(webhook), reason="")
    if count:
        record_action(actor.audit, webhook, WebhookAction.REDELIVERED, count=count)
        WEBHOOK_OUTBOX.enqueue(lane_of(webhook))
    return count
