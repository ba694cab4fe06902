"""The log of a webhook's deliveries: list them, redeliver them, and add a test message."""

from collections.abc import Collection
from datetime import timedelta
from math import ceil

from django.db.models import Q
from django.utils import timezone

from koppel.audit.models import AuditEntry
from koppel.kit import quarantine
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.kit.web.token_buckets import TooManyRequests
from koppel.notifications.audit_actions import WebhookAction
from koppel.notifications.models import DeliveryState, WebhookDelivery
from koppel.notifications.webhooks.endpoint_state import require_enabled
from koppel.notifications.webhooks.endpoints import get_webhook, record_action
from koppel.notifications.webhooks.enqueue import enqueue_message
from koppel.notifications.webhooks.message import build_test_message, limit_message
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX, first_attempt_at, lane_of
from koppel.organisations.roles import Actor

TESTS_PER_MINUTE = 30
"""Test messages and times that messages were sent again, of an organisation over all processes."""
SETTLED_STATES = (DeliveryState.FAILED, DeliveryState.DROPPED, DeliveryState.SENT)


def list_deliveries(
    actor: Actor, webhook_id: int, *, state: str = "", limit: int = 100
) -> list[WebhookDelivery]:
    """Return the webhook's deliveries, the newest first, with what the webhook may receive now as their body;
    '' for none. Raises `NoSuchWebhook`.
    """
    webhook = get_webhook(actor, webhook_id)
    deliveries = WebhookDelivery.objects.for_actor(actor).filter(webhook=webhook)
    if state:
        deliveries = deliveries.filter(state=state)
    newest = list(deliveries.order_by("-created_at", "-pk")[:limit])
    for delivery in newest:
        delivery.body = limit_message(delivery, webhook.divisions) or ""
    return newest


def send_test(actor: Actor, webhook_id: int) -> WebhookDelivery:
    """Enqueue a test message; the returned delivery shows the response within seconds. Raises `Refused`,
    `Quarantined` and `TooManyRequests`.
    """
    webhook = get_webhook(actor, webhook_id)
    quarantine.refuse()
    require_enabled(webhook)
    _require_may_test(actor.organisation_id)
    record_action(actor.audit, webhook, WebhookAction.TESTED)
    return enqueue_message(webhook, build_test_message(webhook))


def redeliver(actor: Actor, webhook_id: int, delivery_ids: Collection[int] | None = None) -> int:
    """Send these settled messages again under the ids they had; without ids all that failed.

    Returns the number of messages. Raises `Refused`, `Quarantined` and `TooManyRequests`.
    """
    webhook = get_webhook(actor, webhook_id)
    quarantine.refuse()
    require_enabled(webhook)
    _require_may_test(actor.organisation_id)
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


def _require_may_test(organisation_id: int) -> None:
    """Refuse one test too many, by what the audit log has. Raises `TooManyRequests`."""
    lock_until_commit(LockName.WEBHOOK_TESTS, organisation_id)
    since = timezone.now() - timedelta(minutes=1)
    actions = (WebhookAction.TESTED, WebhookAction.REDELIVERED)
    tests = AuditEntry.objects.filter(organisation_id=organisation_id, at__gt=since, action__in=actions)
    times = list(tests.order_by("-at").values_list("at", flat=True)[:TESTS_PER_MINUTE])
    if len(times) == TESTS_PER_MINUTE:
        raise TooManyRequests(max(1, ceil((times[-1] - since).total_seconds())))
