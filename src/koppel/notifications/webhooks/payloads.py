"""What a webhook is told: one message when a happening is told to people, and one when it is over."""

import json
import uuid
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone, translation

from koppel.notifications.audience.hooks import open_among
from koppel.notifications.event_types import events_of_webhooks, sentence_of
from koppel.notifications.events.context import facts_seen
from koppel.notifications.models import DeliveryState, Happening, Webhook, WebhookDelivery

TEST = "test"
"""The event of a message that a person asked for, to see whether it arrives."""


def tell_webhooks(happening: Happening) -> None:
    """One message to each webhook that wants to hear of it, in the caller's transaction."""
    if happening.event in events_of_webhooks():
        _put(happening, [one for one in _active(happening.organisation_id) if _wants(one, happening.event)])


def tell_webhooks_it_is_over(organisation_id: int, happening_ids: Collection[int]) -> None:
    """To those that were told that it began. Who was not yet reached need not hear of it at all."""
    own = WebhookDelivery.objects.filter(organisation_id=organisation_id, happening_id__in=happening_ids)
    own.filter(state=DeliveryState.WAITING).update(state=DeliveryState.DROPPED, reason="healed")
    told = own.filter(state__in=[DeliveryState.SENT, DeliveryState.CLAIMED], is_over=False)
    for happening in Happening.objects.filter(organisation_id=organisation_id, pk__in=happening_ids):
        hooks = set(told.filter(happening=happening).values_list("webhook_id", flat=True))
        _put(happening, [one for one in _active(organisation_id) if one.pk in hooks], is_over=True)


def queue(webhook: Webhook, event: str, message: dict[str, Any], **more: Any) -> WebhookDelivery:
    """The message waits, and a job that sends it."""
    from koppel.notifications.tasks import send_webhooks  # noqa: PLC0415 - tasks call services

    message_id = f"msg_{uuid.uuid4().hex}"
    body = json.dumps({"id": message_id, **message}, ensure_ascii=False, separators=(",", ":"))
    made = WebhookDelivery.objects.create(
        organisation_id=webhook.organisation_id, webhook=webhook, message_id=message_id, event=event, body=body, **more
    )
    send_webhooks.defer(organisation_id=webhook.organisation_id)
    return made


def test_message(webhook: Webhook) -> dict[str, Any]:
    """Shaped like every other."""
    return {
        "type": TEST,
        "state": "told",
        "at": _moment(timezone.now()),
        "sentence": {code: f"Koppel → {webhook.name}" for code, _name in settings.LANGUAGES},
        "link": f"{settings.PUBLIC_URL}/organisation/webhooks/{webhook.pk}/",
        "about": None,
        "administrations": [],
        "facts": {},
    }


def _put(happening: Happening, webhooks: Iterable[Webhook], *, is_over: bool = False) -> None:
    made: dict[tuple[int, ...], dict[str, Any] | None] = {}
    for one in webhooks:
        divisions = tuple(one.divisions)
        if divisions not in made:
            made[divisions] = _message(happening, divisions, is_over=is_over)
        if (message := made[divisions]) is not None:
            queue(one, happening.event, message, happening=happening, is_over=is_over)


def _message(happening: Happening, divisions: Collection[int], *, is_over: bool) -> dict[str, Any] | None:
    """None when all that it touches is for named people only, or nothing of these divisions (empty: of all)."""
    touched = {int(one) for one in happening.administrations}
    if happening.about_kind == "administration" and happening.about_id is not None:
        touched.add(happening.about_id)
    seen = open_among(happening.organisation_id, touched, divisions)
    # What has moved to another division since is over as well, for who was told that it began: without names.
    has_moved = is_over and bool(divisions) and bool(open_among(happening.organisation_id, touched))
    if (touched or divisions) and not (seen or has_moved):
        return None
    facts = facts_seen(happening, seen)
    return {
        "type": happening.event,
        "state": "over" if is_over else "told",
        "at": _moment(timezone.now()),
        "began_at": _moment(happening.first_at),
        "sentence": _sentences(happening.event, facts),
        "link": f"{settings.PUBLIC_URL}{happening.link or '/'}",
        "about": {"kind": happening.about_kind, "id": happening.about_id} if happening.about_kind else None,
        "administrations": [
            {"id": int(key), **own} for key, own in happening.administrations.items() if int(key) in seen
        ],
        "facts": happening.facts,
    }


def _sentences(event: str, facts: dict[str, Any]) -> dict[str, str]:
    found = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            found[code] = sentence_of(event, facts)
    return found


def _active(organisation_id: int) -> list[Webhook]:
    return list(Webhook.objects.filter(organisation_id=organisation_id, is_active=True))


def _wants(webhook: Webhook, event: str) -> bool:
    return not webhook.events or event in webhook.events


def _moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
