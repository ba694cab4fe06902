"""Sends messages to webhooks: claimed, sent outside any transaction, settled. A killed process costs a second
delivery at most, which the receiver knows by its id."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus

import structlog
from django.conf import settings
from django.db.models.functions import Greatest
from django.utils import timezone

from koppel.kit import quarantine
from koppel.kit.database.threads import run_in_thread
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.http.client import NOT_CONNECTED, HttpClient, NetworkFailure, origin_of
from koppel.kit.http.egress import EgressPolicy
from koppel.kit.http.retry_after import requested_pause
from koppel.kit.jobs.outbox import BatchResult, Claim, take_turn
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.endpoints import disable, secrets_in_use
from koppel.notifications.webhooks.outbox import RETRY_SCHEDULE, WEBHOOK_OUTBOX
from koppel.notifications.webhooks.reasons import WebhookReason
from koppel.notifications.webhooks.signing import headers

TIMEOUT_SECONDS = 15
DISABLE_AFTER = timedelta(days=3)
"""A webhook that accepted nothing for so long is switched off."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class DeliveryResult:
    """The outcome of one attempt. `status` None: no response. `reason` is
    a code of `WebhookReason`, '' if accepted."""

    delivery_id: int
    status: int | None
    reason: str
    text: str = ""
    duration_ms: int = 0
    requested_pause_seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Batch:
    """Messages to one webhook, as they are leased. `keys` empty: its secret cannot be opened."""

    webhook: WebhookEndpoint
    keys: Sequence[Secret]
    deliveries: Sequence[WebhookDelivery]


async def send_due(organisation_id: int, webhook_id: int) -> int:
    """Send the webhook's messages that are due; in quarantine none. Returns how many
    were accepted. Opens its own transactions."""
    return await take_turn(
        WEBHOOK_OUTBOX, {"organisation_id": organisation_id, "webhook_id": webhook_id}, _deliver
    )


async def _deliver(claim: Claim) -> BatchResult:
    """Send a batch and store its outcome. Raises `Quarantined` when some of it was stopped."""
    batch = await run_in_thread(partial(_load, claim))
    if batch is None:
        return BatchResult()
    results = await _call(batch) if batch.keys else _unsealable(batch)
    stopped = [result.delivery_id for result in results if result.reason == quarantine.CODE]
    results = [result for result in results if result.delivery_id not in stopped]
    await run_in_thread(partial(_store_results, claim, batch, results))
    if stopped:
        raise Quarantined
    return BatchResult(delivered=sum(result.accepted for result in results))


def _load(claim: Claim) -> Batch | None:
    """Return the batch with the webhook's keys; None when the webhook was removed with its messages."""
    with organisation_scope(claim.organisation_id):
        webhooks = WebhookEndpoint.objects.in_organisation(claim.organisation_id).filter(
            pk=claim.lane["webhook_id"]
        )
        webhook = webhooks.first()
        if webhook is None:
            return None
        deliveries = list(claim.rows().order_by("due_at", "pk"))
    try:
        keys = secrets_in_use(webhook)
    except DecryptionError as error:
        log.error("vault_key_missing", webhook=webhook.pk, reason=str(error))
        keys = []
    return Batch(webhook, keys, deliveries)


def _unsealable(batch: Batch) -> list[DeliveryResult]:
    return [DeliveryResult(delivery.pk, None, WebhookReason.VAULT_KEY) for delivery in batch.deliveries]


async def _call(batch: Batch) -> list[DeliveryResult]:
    webhook, keys = batch.webhook, batch.keys
    # What is not encrypted stays within the networks that were named; what is encrypted may also go out.
    egress_policy = EgressPolicy(settings.WEBHOOK_NETWORKS, public=webhook.url.startswith("https:"))
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
    signed = headers(delivery.message_id, int(time.time()), body, keys)
    try:
        response = await http.send(
            "POST", url, allowed_origins=[origin_of(url)], content=body, headers=signed
        )
    except Quarantined as stopped:
        return DeliveryResult(delivery.pk, None, stopped.code)
    except NetworkFailure as failure:
        return DeliveryResult(delivery.pk, None, failure.code, duration_ms=_duration_ms_since(started))
    except ValueError:  # an address that is none must not keep the other webhooks from theirs
        return DeliveryResult(delivery.pk, None, NOT_CONNECTED, duration_ms=_duration_ms_since(started))
    text = response.body[:500].decode(errors="replace").replace("\0", "")
    pause = requested_pause(response.headers)
    return DeliveryResult(
        delivery.pk,
        response.status,
        _reason_for(response.status),
        text,
        _duration_ms_since(started),
        pause.seconds if pause else 0.0,
    )


def _store_results(claim: Claim, batch: Batch, results: Sequence[DeliveryResult]) -> None:
    if not results:
        return
    delivery_by_id = {delivery.pk: delivery for delivery in batch.deliveries}
    with organisation_scope(claim.organisation_id):
        # Held until this is stored, so that switching it off finds everything that waits.
        rows = WebhookEndpoint.objects.select_for_update(no_key=True)
        webhook = rows.filter(organisation_id=claim.organisation_id, pk=batch.webhook.pk).first()
        if webhook is None:
            return
        for result in results:
            _store_result(claim, webhook, delivery_by_id[result.delivery_id], result)
        if webhook.is_active or any(result.accepted for result in results):
            _update_endpoint_health(webhook, results, timezone.now())


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
    elif not webhook.is_active:
        claim.settle({**response, "state": DeliveryState.FAILED, "reason": WebhookReason.DISABLED}, ids=ids)
    elif _is_superseded(delivery):
        claim.settle({**response, "state": DeliveryState.DROPPED, "reason": WebhookReason.RECOVERED}, ids=ids)
    else:
        claim.retry(result.reason, ids=ids, seconds_min=result.requested_pause_seconds, values=response)


def _is_superseded(delivery: WebhookDelivery) -> bool:
    """Return whether the event's closing message exists: the opening one must not arrive after it."""
    if delivery.event_id is None or delivery.is_closing:
        return False
    endpoint_deliveries = WebhookDelivery.objects.in_organisation(delivery.organisation_id).filter(
        webhook_id=delivery.webhook_id
    )
    return endpoint_deliveries.filter(event_id=delivery.event_id, is_closing=True).exists()


def _update_endpoint_health(
    webhook: WebhookEndpoint, results: Sequence[DeliveryResult], now: datetime
) -> None:
    """Store what the answers say about the webhook itself, and disable it when it is gone or accepted nothing
    for days."""
    queryset = WebhookEndpoint.objects.in_organisation(webhook.organisation_id).filter(pk=webhook.pk)
    _store_requested_pause(webhook, results, now)
    if any(result.accepted for result in results):
        queryset.update(failing_since=None, last_accepted_at=now)
        return
    if webhook.failing_since is None:
        queryset.update(failing_since=now)
        log.info("webhook_failing", webhook=webhook.pk, reason=results[-1].reason[:200])
    # The others would fare no better now.
    WebhookDelivery.objects.in_organisation(webhook.organisation_id).filter(
        webhook=webhook, state=DeliveryState.WAITING, due_at__lte=now
    ).update(due_at=now + RETRY_SCHEDULE[0])
    if any(result.status == HTTPStatus.GONE for result in results):
        disable(webhook, WebhookReason.GONE)
    elif webhook.failing_since is not None and now - webhook.failing_since > DISABLE_AFTER:
        disable(webhook, WebhookReason.UNRESPONSIVE)


def _store_requested_pause(
    webhook: WebhookEndpoint, results: Sequence[DeliveryResult], now: datetime
) -> None:
    """Keep what waits for the webhook until the pause that an answer asked for is over."""
    pause = max(0.0 if result.accepted else result.requested_pause_seconds for result in results)
    if not pause:
        return
    until = now + timedelta(seconds=pause)
    WebhookEndpoint.objects.in_organisation(webhook.organisation_id).filter(pk=webhook.pk).update(
        paused_until=Greatest("paused_until", until)
    )
    WebhookDelivery.objects.in_organisation(webhook.organisation_id).filter(
        webhook=webhook, state=DeliveryState.WAITING, due_at__lt=until
    ).update(due_at=until)


def _reason_for(status: int) -> str:
    """Return the reason code of a status. 3xx is not followed: a
    signed message goes where it was meant to."""
    if 200 <= status < 300:
        return ""
    if status == HTTPStatus.GONE:
        return WebhookReason.GONE
    return WebhookReason.REDIRECTED if 300 <= status < 400 else WebhookReason.REFUSED


def _duration_ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
