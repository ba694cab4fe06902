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
from koppel.kit.egress import AddressGuard
from koppel.kit.http import NOT_CONNECTED, HttpClient, NetworkFailure, origin_of
from koppel.kit.quarantine import Quarantined
from koppel.kit.secrets import SealBroken, Secret
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliveryState, Webhook, WebhookDelivery
from koppel.notifications.webhooks.endpoints import secrets_in_use, stop
from koppel.notifications.webhooks.signing import headers

BATCH = 8
TIMEOUT_SECONDS = 15
ANSWER_BYTES_MAX = 1 << 20
CLAIM_FOR = timedelta(minutes=2)
PAUSES = tuple(timedelta(minutes=one) for one in (1, 5, 30, 120, 300, 600, 840, 1200, 1440))
"""Between the attempts: some three days in all, then it has failed."""
RETRY_AFTER_SECONDS_MAX = 24 * 3600
STOP_AFTER = timedelta(days=3)
"""A webhook that accepted nothing for so long is switched off."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """What came of one attempt. `status` None: nothing came back. `reason` is a code of `webhooks.words`, '' when accepted."""

    delivery_id: int
    status: int | None
    reason: str
    text: str = ""
    milliseconds: int = 0
    retry_after_seconds: int = 0

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def send_due(organisation_id: int) -> int:
    """Send every message whose time has come; in quarantine none. How many were accepted. Opens its own transactions."""
    accepted = 0
    while quarantine.current() is None and (claimed := _claim(organisation_id)):
        webhook, deliveries = claimed
        try:
            answers = asyncio.run(_call(webhook, secrets_in_use(webhook), deliveries))
        except SealBroken as broken:
            log.error("vault_key_missing", webhook=webhook.pk, reason=str(broken))
            answers = [Answer(one.pk, None, "vault_key") for one in deliveries]
        with organisation_scope(organisation_id):
            answers = _put_back_stopped(organisation_id, answers)
            kept = {one.delivery_id for one in answers}
            _settle(webhook, [one for one in deliveries if one.pk in kept], answers)
        accepted += sum(one.accepted for one in answers)
    return accepted


def take_over(organisation_id: int) -> None:
    """What dead processes left waits again. In scope."""
    own = WebhookDelivery.objects.filter(organisation_id=organisation_id, state=DeliveryState.CLAIMED)
    own.filter(claimed_at__lt=timezone.now() - CLAIM_FOR).update(state=DeliveryState.WAITING)


def _claim(organisation_id: int) -> tuple[Webhook, list[WebhookDelivery]] | None:
    """Some that wait for one webhook, the oldest first."""
    with organisation_scope(organisation_id):
        due = WebhookDelivery.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now(),
            webhook__is_active=True,
        )  # fmt: skip
        first = due.order_by("due_at", "pk").first()
        if first is None:
            return None
        found = list(due.filter(webhook_id=first.webhook_id).order_by("due_at", "pk")[:BATCH])
        WebhookDelivery.objects.filter(organisation_id=organisation_id, pk__in=[one.pk for one in found]).update(
            state=DeliveryState.CLAIMED, claimed_at=timezone.now(), attempts=F("attempts") + 1
        )
        for one in found:
            one.attempts += 1
        return Webhook.objects.get(organisation_id=organisation_id, pk=first.webhook_id), found


def _put_back_stopped(organisation_id: int, answers: Sequence[Answer]) -> list[Answer]:
    """What a quarantine stopped on its way out waits as if it had not been tried. The other answers. In scope."""
    stopped = [one.delivery_id for one in answers if one.reason == quarantine.CODE]
    own = WebhookDelivery.objects.filter(organisation_id=organisation_id, pk__in=stopped, state=DeliveryState.CLAIMED)
    own.update(state=DeliveryState.WAITING, attempts=F("attempts") - 1)
    return [one for one in answers if one.delivery_id not in stopped]


async def _call(webhook: Webhook, keys: Sequence[Secret], deliveries: Sequence[WebhookDelivery]) -> list[Answer]:
    # What is not encrypted stays within the networks that were named; what is encrypted may also go out.
    guard = AddressGuard(settings.WEBHOOK_NETWORKS, public=webhook.url.startswith("https:"))
    async with HttpClient(timeout_seconds=TIMEOUT_SECONDS, guard=guard, body_bytes_max=ANSWER_BYTES_MAX) as http:
        return await asyncio.gather(*(_post(http, webhook.url, keys, one) for one in deliveries))


async def _post(http: HttpClient, url: str, keys: Sequence[Secret], one: WebhookDelivery) -> Answer:
    body, began = one.body.encode(), time.monotonic()
    signed = headers(one.message_id, int(time.time()), body, keys)
    try:
        answer = await http.send("POST", url, allowed_origins=[origin_of(url)], content=body, headers=signed)
    except Quarantined as stopped:
        return Answer(one.pk, None, stopped.code)
    except NetworkFailure as failure:
        return Answer(one.pk, None, failure.code, milliseconds=_since(began))
    except ValueError:  # an address that is none must not keep the other webhooks from theirs
        return Answer(one.pk, None, NOT_CONNECTED, milliseconds=_since(began))
    text = answer.body[:500].decode(errors="replace").replace("\0", "")
    after = answer.headers.get("retry-after", "")
    wait = min(int(after), RETRY_AFTER_SECONDS_MAX) if after.isdecimal() and len(after) < 10 else 0
    return Answer(one.pk, answer.status, _reason(answer.status), text, _since(began), wait)


def _settle(webhook: Webhook, deliveries: Sequence[WebhookDelivery], answers: Sequence[Answer]) -> None:
    if not answers:
        return
    now = timezone.now()
    # Held until this is stored, so that switching it off finds everything that waits.
    same = Webhook.objects.select_for_update(no_key=True).filter(organisation_id=webhook.organisation_id, pk=webhook.pk)
    today = same.first()
    if today is None:
        return
    own = WebhookDelivery.objects.filter(organisation_id=webhook.organisation_id, state=DeliveryState.CLAIMED)
    for one, answer in zip(deliveries, answers, strict=True):
        values: dict[str, Any] = {"status": answer.status, "reason": answer.reason, "answer": answer.text,
                  "milliseconds": answer.milliseconds}  # fmt: skip
        if answer.accepted:
            values |= {"state": DeliveryState.SENT, "sent_at": now}
        elif not today.is_active:
            values |= {"state": DeliveryState.FAILED, "reason": "switched_off"}
        elif _is_over(one):
            values |= {"state": DeliveryState.DROPPED, "reason": "healed"}
        elif one.attempts > len(PAUSES):
            values |= {"state": DeliveryState.FAILED}
        else:
            pause = max(PAUSES[one.attempts - 1], timedelta(seconds=answer.retry_after_seconds))
            values |= {"state": DeliveryState.WAITING, "due_at": now + pause}
        own.filter(pk=one.pk).update(**values)
    if today.is_active or any(one.accepted for one in answers):
        _judge(today, answers, now)


def _is_over(one: WebhookDelivery) -> bool:
    """It ended while this message was on its way, and the webhook is told so: what began must not arrive after that."""
    if one.happening_id is None or one.is_over:
        return False
    own = WebhookDelivery.objects.filter(organisation_id=one.organisation_id, webhook_id=one.webhook_id)
    return own.filter(happening_id=one.happening_id, is_over=True).exists()


def _judge(webhook: Webhook, answers: Sequence[Answer], now: datetime) -> None:
    """What the answers say of the webhook itself."""
    own = Webhook.objects.filter(organisation_id=webhook.organisation_id, pk=webhook.pk)
    if any(one.accepted for one in answers):
        own.update(failing_since=None, last_accepted_at=now)
        return
    if webhook.failing_since is None:
        own.update(failing_since=now)
        log.info("webhook_failing", webhook=webhook.pk, reason=answers[-1].reason[:200])
    # The others would fare no better now.
    WebhookDelivery.objects.filter(
        organisation_id=webhook.organisation_id, webhook=webhook, state=DeliveryState.WAITING, due_at__lte=now
    ).update(due_at=now + PAUSES[0])
    if any(one.status == HTTPStatus.GONE for one in answers):
        stop(webhook, "gone")
    elif webhook.failing_since is not None and now - webhook.failing_since > STOP_AFTER:
        stop(webhook, "silent")


def _reason(status: int) -> str:
    """3xx is not followed: a signed message goes where it was meant to."""
    if 200 <= status < 300:
        return ""
    return "redirects" if 300 <= status < 400 else "gone" if status == HTTPStatus.GONE else "refused"


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
