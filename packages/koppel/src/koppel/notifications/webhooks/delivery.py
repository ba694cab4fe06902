"""Sends what waits for webhooks: claimed, called outside any transaction, settled. A killed process costs a second delivery at
most, which the receiver knows by its id."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from koppel.kit import quarantine
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.http.client import NOT_CONNECTED, HttpClient, NetworkFailure, origin_of
from koppel.kit.http.egress import EgressPolicy
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.endpoints import disable, secrets_in_use
from koppel.notifications.webhooks.signing import headers

BATCH_SIZE = 8
TIMEOUT_SECONDS = 15
RESPONSE_BYTES_MAX = 1 << 20
CLAIM_TIMEOUT = timedelta(minutes=2)
RETRY_SCHEDULE = tuple(timedelta(minutes=count) for count in (1, 5, 30, 120, 300, 600, 840, 1200, 1440))
"""Between the attempts: some three days in all, then it has failed."""
RETRY_AFTER_SECONDS_MAX = 24 * 3600
DISABLE_AFTER = timedelta(days=3)
"""A webhook that accepted nothing for so long is switched off."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class DeliveryResult:
    """The outcome of one attempt. `status` None: no response. `reason` is a code of `webhooks.event_types`, '' if accepted."""

    delivery_id: int
    status: int | None
    reason: str
    text: str = ""
    duration_ms: int = 0
    retry_after_seconds: int = 0

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def send_due(organisation_id: int) -> int:
    """Send every message that is due; in quarantine none. Returns the number accepted. Opens its own transactions."""
    accepted = 0
    while quarantine.current() is None and (claimed := _claim(organisation_id)):
        webhook, deliveries = claimed
        try:
            results = asyncio.run(_call(webhook, secrets_in_use(webhook), deliveries))
        except DecryptionError as error:
            log.error("vault_key_missing", webhook=webhook.pk, reason=str(error))
            results = [DeliveryResult(delivery.pk, None, "vault_key") for delivery in deliveries]
        with organisation_scope(organisation_id):
            results = _put_back_stopped(organisation_id, results)
            kept = {result.delivery_id for result in results}
            _store_results(webhook, [delivery for delivery in deliveries if delivery.pk in kept], results)
        accepted += sum(result.accepted for result in results)
    return accepted


def requeue_stale_claims(organisation_id: int) -> None:
    """Requeue the deliveries that a dead process had claimed. In scope."""
    claimed_deliveries = WebhookDelivery.objects.filter(organisation_id=organisation_id, state=DeliveryState.CLAIMED)
    claimed_deliveries.filter(claimed_at__lt=timezone.now() - CLAIM_TIMEOUT).update(state=DeliveryState.WAITING)


def _claim(organisation_id: int) -> tuple[WebhookEndpoint, list[WebhookDelivery]] | None:
    """Claim a batch of the due deliveries of one webhook, the oldest first."""
    with organisation_scope(organisation_id):
        due = WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now(),
            webhook__is_active=True,
        )  # fmt: skip
        first = due.order_by("due_at", "pk").first()
        if first is None:
            return None
        batch = list(due.filter(webhook_id=first.webhook_id).order_by("due_at", "pk")[:BATCH_SIZE])
        WebhookDelivery.objects.filter(
            organisation_id=organisation_id, pk__in=[delivery.pk for delivery in batch]
        ).update(state=DeliveryState.CLAIMED, claimed_at=timezone.now(), attempts=F("attempts") + 1)
        for delivery in batch:
            delivery.attempts += 1
        return WebhookEndpoint.objects.get(organisation_id=organisation_id, pk=first.webhook_id), batch


def _put_back_stopped(organisation_id: int, results: Sequence[DeliveryResult]) -> list[DeliveryResult]:
    """Requeue what a quarantine stopped, as if it had not been tried. Returns the other results. In scope."""
    stopped = [result.delivery_id for result in results if result.reason == quarantine.CODE]
    claimed_deliveries = WebhookDelivery.objects.filter(
        organisation_id=organisation_id, pk__in=stopped, state=DeliveryState.CLAIMED
    )
    claimed_deliveries.update(state=DeliveryState.WAITING, attempts=F("attempts") - 1)
    return [result for result in results if result.delivery_id not in stopped]


async def _call(
    webhook: WebhookEndpoint, keys: Sequence[Secret], deliveries: Sequence[WebhookDelivery]
) -> list[DeliveryResult]:
    # What is not encrypted stays within the networks that were named; what is encrypted may also go out.
    egress_policy = EgressPolicy(settings.WEBHOOK_NETWORKS, public=webhook.url.startswith("https:"))
    async with HttpClient(
        timeout_seconds=TIMEOUT_SECONDS, egress_policy=egress_policy, body_bytes_max=RESPONSE_BYTES_MAX
    ) as http:
        return await asyncio.gather(*(_post(http, webhook.url, keys, delivery) for delivery in deliveries))


async def _post(http: HttpClient, url: str, keys: Sequence[Secret], delivery: WebhookDelivery) -> DeliveryResult:
    body, started = delivery.body.encode(), time.monotonic()
    signed = headers(delivery.message_id, int(time.time()), body, keys)
    try:
        response = await http.send("POST", url, allowed_origins=[origin_of(url)], content=body, headers=signed)
    except Quarantined as stopped:
        return DeliveryResult(delivery.pk, None, stopped.code)
    except NetworkFailure as failure:
        return DeliveryResult(delivery.pk, None, failure.code, duration_ms=_duration_ms_since(started))
    except ValueError:  # an address that is none must not keep the other webhooks from theirs
        return DeliveryResult(delivery.pk, None, NOT_CONNECTED, duration_ms=_duration_ms_since(started))
    text = response.body[:500].decode(errors="replace").replace("\0", "")
    retry_after = response.headers.get("retry-after", "")
    wait = min(int(retry_after), RETRY_AFTER_SECONDS_MAX) if retry_after.isdecimal() and len(retry_after) < 10 else 0
    return DeliveryResult(
        delivery.pk, response.status, _reason_for(response.status), text, _duration_ms_since(started), wait
    )


def _store_results(
    webhook: WebhookEndpoint, deliveries: Sequence[WebhookDelivery], results: Sequence[DeliveryResult]
) -> None:
    if not results:
        return
    now = timezone.now()
    # Held until this is stored, so that switching it off finds everything that waits.
    current_row = WebhookEndpoint.objects.select_for_update(no_key=True).filter(
        organisation_id=webhook.organisation_id, pk=webhook.pk
    )
    current = current_row.first()
    if current is None:
        return
    claimed_deliveries = WebhookDelivery.objects.filter(
        organisation_id=webhook.organisation_id, state=DeliveryState.CLAIMED
    )
    for delivery, result in zip(deliveries, results, strict=True):
        values: dict[str, Any] = {"response_status": result.status, "reason": result.reason, "response_body": result.text,
                  "duration_ms": result.duration_ms}  # fmt: skip
        if result.accepted:
            values |= {"state": DeliveryState.SENT, "sent_at": now}
        elif not current.is_active:
            values |= {"state": DeliveryState.FAILED, "reason": "disabled"}
        elif _is_superseded(delivery):
            values |= {"state": DeliveryState.DROPPED, "reason": "recovered"}
        elif delivery.attempts > len(RETRY_SCHEDULE):
            values |= {"state": DeliveryState.FAILED}
        else:
            pause = max(RETRY_SCHEDULE[delivery.attempts - 1], timedelta(seconds=result.retry_after_seconds))
            values |= {"state": DeliveryState.WAITING, "due_at": now + pause}
        claimed_deliveries.filter(pk=delivery.pk).update(**values)
    if current.is_active or any(result.accepted for result in results):
        _update_endpoint_health(current, results, now)


def _is_superseded(delivery: WebhookDelivery) -> bool:
    """Whether the closing message of its event is there already: the opening one must not arrive after it."""
    if delivery.event_id is None or delivery.is_closing:
        return False
    endpoint_deliveries = WebhookDelivery.objects.filter(
        organisation_id=delivery.organisation_id, webhook_id=delivery.webhook_id
    )
    return endpoint_deliveries.filter(event_id=delivery.event_id, is_closing=True).exists()


def _update_endpoint_health(webhook: WebhookEndpoint, results: Sequence[DeliveryResult], now: datetime) -> None:
    """What the answers say of the webhook itself."""
    queryset = WebhookEndpoint.objects.filter(organisation_id=webhook.organisation_id, pk=webhook.pk)
    if any(result.accepted for result in results):
        queryset.update(failing_since=None, last_accepted_at=now)
        return
    if webhook.failing_since is None:
        queryset.update(failing_since=now)
        log.info("webhook_failing", webhook=webhook.pk, reason=results[-1].reason[:200])
    # The others would fare no better now.
    WebhookDelivery.objects.filter(
        organisation_id=webhook.organisation_id, webhook=webhook, state=DeliveryState.WAITING, due_at__lte=now
    ).update(due_at=now + RETRY_SCHEDULE[0])
    if any(result.status == HTTPStatus.GONE for result in results):
        disable(webhook, "gone")
    elif webhook.failing_since is not None and now - webhook.failing_since > DISABLE_AFTER:
        disable(webhook, "unresponsive")


def _reason_for(status: int) -> str:
    """3xx is not followed: a signed message goes where it was meant to."""
    if 200 <= status < 300:
        return ""
    return "redirected" if 300 <= status < 400 else "gone" if status == HTTPStatus.GONE else "refused"


def _duration_ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
