"""Send claimed messages to their webhook, outside any transaction, and settle them.

When the process is killed after sending, the message is sent a second time, under the same id.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus

import structlog
from django.utils import timezone

from koppel.kit import quarantine
from koppel.kit.database.threads import run_in_thread
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.http.client import NOT_CONNECTED, HttpClient, NetworkFailure, origin_of
from koppel.kit.http.egress import EgressPolicy
from koppel.kit.http.retry_after import requested_pause
from koppel.kit.jobs.outbox import BatchResult, Claim
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.endpoint_state import record_failure, record_pause, record_success
from koppel.notifications.webhooks.endpoints import secrets_in_use
from koppel.notifications.webhooks.message import limit_message
from koppel.notifications.webhooks.networks import webhook_networks
from koppel.notifications.webhooks.reasons import WebhookReason
from koppel.notifications.webhooks.signing import signed_headers

TIMEOUT_SECONDS = 15

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class DeliveryResult:
    """The outcome of one attempt. `status` None: no response. `reason` is a code of `WebhookReason`, '' when
    the message was accepted.
    """

    delivery_id: int
    status: int | None
    reason: str
    text: str = ""
    duration_ms: int = 0
    requested_pause_seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, kw_only=True)
class WebhookBatch:
    """The leased messages to one webhook. `keys` empty: its secret cannot be decrypted."""

    webhook: WebhookEndpoint
    keys: Sequence[Secret]
    deliveries: Sequence[WebhookDelivery]


async def deliver(claim: Claim) -> BatchResult:
    """Send the messages of a claim to their webhook and store the outcome.

    Opens its own transactions. Raises `Quarantined` when a quarantine stopped some of the messages.
    """
    batch = await run_in_thread(partial(_load_batch, claim))
    if batch is None:
        return BatchResult()
    results = await _send_batch(batch) if batch.keys else _undecryptable_results(batch)
    stopped = [result.delivery_id for result in results if result.reason == quarantine.CODE]
    results = [result for result in results if result.delivery_id not in stopped]
    await run_in_thread(partial(_store_results, claim, batch, results))
    if stopped:
        raise Quarantined
    return BatchResult(delivered=sum(result.accepted for result in results))


def _load_batch(claim: Claim) -> WebhookBatch | None:
    """Return the batch with the webhook's keys; None when no message is left, or the webhook was
    removed with its messages.
    """
    with organisation_scope(claim.organisation_id):
        webhooks = WebhookEndpoint.objects.in_organisation(claim.organisation_id).filter(
            pk=claim.lane["webhook_id"]
        )
        webhook = webhooks.first()
        if webhook is None:
            return None
        deliveries = _limit_deliveries(claim, webhook)
        if not deliveries:
            return None
    try:
        keys = secrets_in_use(webhook)
    except DecryptionError as error:
        log.error("vault_key_missing", webhook=webhook.pk, reason=str(error))
        keys = []
    return WebhookBatch(webhook=webhook, keys=keys, deliveries=deliveries)


def _limit_deliveries(claim: Claim, webhook: WebhookEndpoint) -> list[WebhookDelivery]:
    """Store the messages with what the webhook may receive now, and drop those of which nothing is left."""
    deliveries: list[WebhookDelivery] = []
    for delivery in claim.rows().order_by("due_at", "pk"):
        body = limit_message(delivery, webhook.divisions)
        if body is None:
            reason = {"state": DeliveryState.DROPPED, "reason": WebhookReason.NOT_VISIBLE}
            claim.settle(reason, ids=[delivery.pk])
            continue
        if body != delivery.body:
            delivery.body = body
            delivery.save(update_fields=["body"])
        deliveries.append(delivery)
    return deliveries


def _undecryptable_results(batch: WebhookBatch) -> list[DeliveryResult]:
    return [
        DeliveryResult(delivery_id=delivery.pk, status=None, reason=WebhookReason.VAULT_KEY)
        for delivery in batch.deliveries
    ]


async def _send_batch(batch: WebhookBatch) -> list[DeliveryResult]:
    webhook, keys = batch.webhook, batch.keys
    # Plain HTTP is allowed only within the configured networks, HTTPS also to public addresses.
    egress_policy = EgressPolicy(
        webhook_networks(webhook.organisation_id), public=webhook.url.startswith("https:")
    )
    async with HttpClient(
        timeout_seconds=TIMEOUT_SECONDS, egress_policy=egress_policy, status_only=True
    ) as http:
        return await asyncio.gather(
            *(_post(http, webhook.url, keys, delivery) for delivery in batch.deliveries)
        )


async def _post(
    http: HttpClient, url: str, keys: Sequence[Secret], delivery: WebhookDelivery
) -> DeliveryResult:
    body, started = delivery.body.encode(), time.monotonic()
    headers = signed_headers(delivery.message_id, int(time.time()), body, keys)
    try:
        response = await http.send(
            "POST", url, allowed_origins=[origin_of(url)], content=body, headers=headers
        )
    except Quarantined as stopped:
        return DeliveryResult(delivery_id=delivery.pk, status=None, reason=stopped.code)
    except NetworkFailure as failure:
        return DeliveryResult(
            delivery_id=delivery.pk, status=None, reason=failure.code, duration_ms=_duration_ms_since(started)
        )
    except ValueError:  # an invalid address must not stop the other messages
        return DeliveryResult(
            delivery_id=delivery.pk,
            status=None,
            reason=NOT_CONNECTED,
            duration_ms=_duration_ms_since(started),
        )
    pause = requested_pause(response.headers)
    return DeliveryResult(
        delivery_id=delivery.pk,
        status=response.status,
        reason=_reason_for(response.status),
        text=response.body[:500].decode(errors="replace").replace("\0", ""),
        duration_ms=_duration_ms_since(started),
        requested_pause_seconds=pause.seconds if pause else 0.0,
    )


def _store_results(claim: Claim, batch: WebhookBatch, results: Sequence[DeliveryResult]) -> None:
    if not results:
        return
    delivery_by_id = {delivery.pk: delivery for delivery in batch.deliveries}
    with organisation_scope(claim.organisation_id):
        # Locked until the results are stored: disabling the webhook then finds all waiting messages.
        rows = WebhookEndpoint.objects.select_for_update(no_key=True)
        webhook = rows.filter(organisation_id=claim.organisation_id, pk=batch.webhook.pk).first()
        if webhook is None:
            return
        for result in results:
            _store_result(claim, webhook, delivery_by_id[result.delivery_id], result)
        pause = max(0.0 if result.accepted else result.requested_pause_seconds for result in results)
        if pause:
            record_pause(webhook, timezone.now() + timedelta(seconds=pause))
        if any(result.accepted for result in results):
            record_success(webhook, timezone.now())
        elif webhook.is_enabled:
            record_failure(webhook, _batch_reason(results), timezone.now())


def _batch_reason(results: Sequence[DeliveryResult]) -> str:
    """Return the reason that says most about the webhook: that it is gone, else that of the last message."""
    reasons = [result.reason for result in results]
    return WebhookReason.GONE if WebhookReason.GONE in reasons else reasons[-1]


def _store_result(
    claim: Claim, webhook: WebhookEndpoint, delivery: WebhookDelivery, result: DeliveryResult
) -> None:
    ids = [delivery.pk]
    response = {
        "response_status": result.status,
        "reason": result.reason,
        "response_body": result.text,
        "duration_ms": result.duration_ms,
    }
    if result.accepted:
        claim.settle({**response, "state": DeliveryState.SENT, "sent_at": timezone.now()}, ids=ids)
    elif not webhook.is_enabled:
        claim.settle({**response, "state": DeliveryState.FAILED, "reason": WebhookReason.DISABLED}, ids=ids)
    elif _is_superseded(delivery):
        claim.settle({**response, "state": DeliveryState.DROPPED, "reason": WebhookReason.RECOVERED}, ids=ids)
    else:
        claim.retry(result.reason, ids=ids, seconds_min=result.requested_pause_seconds, values=response)


def _is_superseded(delivery: WebhookDelivery) -> bool:
    """Return whether the event's closing message exists. The opening one must not arrive after it."""
    if delivery.event_id is None or delivery.is_closing:
        return False
    endpoint_deliveries = WebhookDelivery.objects.in_organisation(delivery.organisation_id).filter(
        webhook_id=delivery.webhook_id
    )
    return endpoint_deliveries.filter(event_id=delivery.event_id, is_closing=True).exists()


def _reason_for(status: int) -> str:
    """Return the reason code of an HTTP status. Redirects are refused: a signed message is sent only to the
    configured address.
    """
    if 200 <= status < 300:
        return ""
    if status == HTTPStatus.GONE:
        return WebhookReason.GONE
    return WebhookReason.REDIRECTED if 300 <= status < 400 else WebhookReason.REFUSED


def _duration_ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
