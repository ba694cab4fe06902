"""The messages that webhooks receive: one when members are notified of an event, one when it is closed."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Literal

import msgspec
import structlog
from django.conf import settings
from django.shortcuts import resolve_url
from django.utils import timezone, translation

from koppel.audit.subjects import SubjectKind
from koppel.kit.web.sentences import values_in_english
from koppel.notifications.audience.hooks import unrestricted
from koppel.notifications.audience.visible_context import message_context, sum_counts
from koppel.notifications.event_types import get_event_type, render_message
from koppel.notifications.models import (
    Event,
    EventContext,
    EventFacts,
    IssueReference,
    WebhookDelivery,
    WebhookEndpoint,
)

TEST = "test"
"""The type of a test message."""

log = structlog.get_logger(__name__)


class MessageSubject(msgspec.Struct, frozen=True):
    """The object that an event is about."""

    kind: str
    id: int | None


class WebhookMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a webhook request. Times are ISO 8601 with an offset.

    `id` is the same in every attempt; `type` is the event's code. `message` holds its text by language.
    `administrations` holds those that the webhook may receive, each with `id`, `name` and facts.
    """

    id: str
    type: str
    state: Literal["opened", "closed"]
    timestamp: str
    opened_at: str = ""
    message: dict[str, str]
    link: str
    subject: MessageSubject | None
    administrations: list[EventContext]
    context: EventContext


def new_message_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


def build_test_message(webhook: WebhookEndpoint) -> WebhookMessage:
    """Return a test message with the fields of every other message."""
    return WebhookMessage(
        id=new_message_id(),
        type=TEST,
        state="opened",
        timestamp=_isoformat(timezone.now()),
        message={code: f"Koppel → {webhook.name}" for code, _name in settings.LANGUAGES},
        link=f"{settings.PUBLIC_URL}{webhook.get_absolute_url()}",
        subject=None,
        administrations=[],
        context={},
    )


def build_event_message(
    event: Event, divisions: Collection[int], *, is_closing: bool
) -> WebhookMessage | None:
    """Return the message about an event for webhooks of these divisions (empty: of the whole organisation).

    Returns None when all administrations of the event are restricted or in other divisions.
    """
    affected = set(event.administrations)
    if event.subject_kind == SubjectKind.ADMINISTRATION and event.subject_id is not None:
        affected.add(event.subject_id)
    visible = frozenset(unrestricted(event.organisation_id, affected, divisions))
    # A webhook that received the opening message also receives the closing one, without names, when the
    # administrations have moved to another division since.
    has_moved = is_closing and bool(divisions) and bool(unrestricted(event.organisation_id, affected, ()))
    is_needed = get_event_type(event.event_type).names_are_optional and not divisions
    if (affected or divisions) and not (visible or has_moved or is_needed):
        return None
    facts = {key: facts for key, facts in event.administrations.items() if key in visible}
    return WebhookMessage(
        id=new_message_id(),
        type=event.event_type,
        state="closed" if is_closing else "opened",
        timestamp=_isoformat(timezone.now()),
        opened_at=_isoformat(event.first_seen_at),
        message=_render_in_all_languages(event.event_type, message_context(event.context, facts)),
        link=f"{settings.PUBLIC_URL}{event.link or resolve_url(settings.LOGIN_REDIRECT_URL)}",
        subject=MessageSubject(event.subject_kind, event.subject_id) if event.subject_kind else None,
        administrations=[{"id": key, **_for_programs(context)} for key, context in facts.items()],
        context=_for_programs(event.context) | sum_counts(facts.values()),
    )


def limit_message(delivery: WebhookDelivery, divisions: Collection[int]) -> str | None:
    """Return the delivery's body with the administrations that the webhook may receive now; None when it may
    receive none of those that the message is about.

    An administration may have been restricted, or erased, since the message was written. Of a body that is no
    message nobody knows whom it names, so the webhook may receive none of it.
    """
    try:
        message = msgspec.json.decode(delivery.body, type=WebhookMessage)
    except msgspec.MsgspecError as error:
        log.error("webhook_message_unreadable", delivery=delivery.pk, error=str(error))
        return None
    facts = {int(str(entry["id"])): entry for entry in message.administrations}
    affected = set(facts)
    if message.subject and message.subject.kind == SubjectKind.ADMINISTRATION and message.subject.id:
        affected.add(message.subject.id)
    if not affected:
        return delivery.body
    # A closing message may concern administrations that have moved to another division; it names none.
    own_divisions = () if delivery.is_closing else divisions
    visible = set(unrestricted(delivery.organisation_id, affected, own_divisions))
    if affected == visible:
        return delivery.body
    is_needed = get_event_type(message.type).names_are_optional and not divisions
    if not visible and not is_needed:
        return None
    seen = {key: entry for key, entry in facts.items() if key in visible}
    event_facts = {
        key: value for key, value in message.context.items() if key not in sum_counts(facts.values())
    }
    named = {
        key: {fact: value for fact, value in entry.items() if fact != "id"} for key, entry in seen.items()
    }
    return encode_message(
        msgspec.structs.replace(
            message,
            administrations=list(seen.values()),
            context=event_facts | sum_counts(named.values()),
            message=_render_in_all_languages(message.type, message_context(event_facts, named)),
        )
    )


def encode_message(message: WebhookMessage) -> str:
    """Return the message as the JSON text that is signed and sent."""
    return msgspec.json.encode(message).decode()


def _render_in_all_languages(event_type: str, context: EventContext) -> dict[str, str]:
    messages = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            messages[code] = render_message(event_type, context)
    return messages


def _isoformat(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


def _for_programs(facts: EventFacts) -> EventContext:
    """Return facts with stored sentences in English."""
    issue = facts.get("issue")
    if not isinstance(issue, IssueReference):
        return values_in_english(facts)
    return values_in_english(facts) | {"issue": IssueReference(issue.code, values_in_english(issue.facts))}
