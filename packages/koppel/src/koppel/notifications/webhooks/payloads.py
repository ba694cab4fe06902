"""Messages of webhooks: one when members are notified of an event, and one when it is closed."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.conf import settings
from django.shortcuts import resolve_url
from django.utils import timezone, translation

from koppel.audit.subjects import SubjectKind
from koppel.kit.database.json_fields import to_json
from koppel.notifications.audience.hooks import unrestricted
from koppel.notifications.event_types import render_message
from koppel.notifications.events.visible_context import visible_context
from koppel.notifications.models import Event, EventContext, WebhookEndpoint

TEST = "test"
"""The type of a test message."""


def test_payload(webhook: WebhookEndpoint) -> dict[str, Any]:
    """Return a test message, shaped like every other."""
    return {
        "type": TEST,
        "state": "opened",
        "timestamp": _isoformat(timezone.now()),
        "message": {code: f"Koppel → {webhook.name}" for code, _name in settings.LANGUAGES},
        "link": f"{settings.PUBLIC_URL}{webhook.get_absolute_url()}",
        "subject": None,
        "administrations": [],
        "context": {},
    }


def event_payload(event: Event, divisions: Collection[int], *, is_closing: bool) -> dict[str, Any] | None:
    """Return the message; None when all that the event touches is restricted, or outside these divisions
    (empty: all)."""
    affected = set(event.administrations)
    if event.subject_kind == SubjectKind.ADMINISTRATION and event.subject_id is not None:
        affected.add(event.subject_id)
    visible = frozenset(unrestricted(event.organisation_id, affected, divisions))
    # Of what moved to another division since, the end is sent as well
    # to who got the beginning: without names.
    has_moved = is_closing and bool(divisions) and bool(unrestricted(event.organisation_id, affected, ()))
    if (affected or divisions) and not (visible or has_moved):
        return None
    context = visible_context(event, visible)
    return {
        "type": event.event_type,
        "state": "closed" if is_closing else "opened",
        "timestamp": _isoformat(timezone.now()),
        "opened_at": _isoformat(event.first_seen_at),
        "message": _messages(event.event_type, context),
        "link": f"{settings.PUBLIC_URL}{event.link or resolve_url(settings.LOGIN_REDIRECT_URL)}",
        "subject": {"kind": event.subject_kind, "id": event.subject_id} if event.subject_kind else None,
        "administrations": [
            {"id": key, **to_json(details, EventContext)}
            for key, details in event.administrations.items()
            if key in visible
        ],
        "context": to_json(event.context, EventContext),
    }


def _messages(event_type: str, context: EventContext) -> dict[str, str]:
    messages = {}
    for code, _name in settings.LANGUAGES:
        with translation.override(code):
            messages[code] = render_message(event_type, context)
    return messages


def _isoformat(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
