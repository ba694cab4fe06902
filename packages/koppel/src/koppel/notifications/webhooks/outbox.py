"""The outbox of webhook messages. Each webhook has its own lane, so that a slow one delays no other."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from koppel.kit.jobs.outbox import Lane, Outbox
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint

BATCH_SIZE = 8
RETRY_SCHEDULE = tuple(timedelta(minutes=count) for count in (1, 5, 30, 120, 300, 600, 840, 1200, 1440))
"""The pauses between attempts, some three days in all. After the last attempt a message has failed."""


def _select_messages(due: "QuerySet[Any]") -> list[WebhookDelivery]:
    return list(due[:BATCH_SIZE])


WEBHOOK_OUTBOX = Outbox(
    task_name="notifications.send_webhooks",
    model=WebhookDelivery,
    lane_columns=("organisation_id", "webhook_id"),
    open_rows=Q(state__in=[DeliveryState.WAITING, DeliveryState.CLAIMED]),
    is_deliverable=Q(webhook__is_enabled=True)
    & (Q(webhook__paused_until=None) | Q(webhook__paused_until__lte=Now())),
    lease=timedelta(minutes=2),
    retry_seconds=lambda attempts: RETRY_SCHEDULE[attempts - 1].total_seconds(),
    attempts_max=len(RETRY_SCHEDULE) + 1,
    select_batch=_select_messages,
    waiting={"state": DeliveryState.WAITING},
    leased={"state": DeliveryState.CLAIMED},
    cancelled={"state": DeliveryState.DROPPED},
    failed={"state": DeliveryState.FAILED},
)


def first_attempt_at(webhook: WebhookEndpoint) -> datetime:
    """Return when a new message may be sent: now, or after the pause that the receiver requested."""
    return max(timezone.now(), webhook.paused_until or timezone.now())


def lane_of(webhook: WebhookEndpoint) -> Lane:
    return {"organisation_id": webhook.organisation_id, "webhook_id": webhook.pk}
