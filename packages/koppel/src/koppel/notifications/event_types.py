"""The types of events, with their texts.

An app declares its codes and their types in its `event_types` and registers them in its `wiring`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.issues.issue_types import IssueCode
from koppel.kit.hooks import Registry
from koppel.kit.web.sentences import fill
from koppel.notifications.models import EventFacts

StrOrPromise = str | Promise

UNKNOWN = _("New event (%(event)s).")


class EventCode(StrEnum):
    """Base of every app's event codes."""


class NotificationEvent(EventCode):
    """Events that this app opens itself."""

    ISSUE_RAISED = "issue_raised"
    DOMAIN_LAPSED = "domain_lapsed"
    DOMAIN_RECORD_MISSING = "domain_record_missing"
    NEW_SIGN_IN = "new_sign_in"
    MEMBERSHIP_BEGAN = "membership_began"
    SIGN_IN_LINKED = "sign_in_linked"
    SSO_REQUIRED = "sso_required"
    SSO_OPTIONAL = "sso_optional"
    WEBHOOK_DISABLED = "webhook_disabled"


class _UnknownEvent(EventCode):
    """The type of an event whose app is no longer installed."""

    UNKNOWN = ""


@dataclass(frozen=True)
class EventType:
    """The properties of all events of one type.

    Texts: `message`, with placeholders for the event's context (`%(name)s`); `plural_message`, used when the
    context's `count_key` is above one; `label`, the name in the table of preferences, where a type without a
    label is not listed. `localize(context)` returns further placeholders in the active language.

    `confirm_seconds`: members are notified only when the event is still open after this delay.
    `superseded_by`: event types that include this one, when open under the same key. `covers_issues`: codes
    of issues that need no notification of their own besides this event. `is_momentary`: the event is closed
    as soon as members are notified, so the next one is new. `is_private`: it concerns one person only, and is
    never sent to webhooks. `by_administration`: the settings of the affected administrations choose further
    recipients. `names_are_optional`: the message says enough without the affected administrations, so
    the responsible member and webhooks of the whole organisation receive it even if they may not see any.
    """

    code: EventCode
    message: StrOrPromise
    plural_message: StrOrPromise = ""
    label: StrOrPromise = ""
    count_key: str = "count"
    localize: Callable[[EventFacts], EventFacts] | None = None
    confirm_seconds: float = 0.0
    superseded_by: tuple[EventCode, ...] = ()
    covers_issues: tuple[IssueCode, ...] = ()
    is_momentary: bool = False
    is_private: bool = False
    by_administration: bool = False
    names_are_optional: bool = False


event_types = Registry[EventType]()
"""By the event's name."""


def get_event_type(event_type: str) -> EventType:
    return event_types.get(event_type) or EventType(_UnknownEvent.UNKNOWN, UNKNOWN)


def render_message(event_type: str, facts: EventFacts) -> str:
    """Return the event's text in the active language. Facts may be older than the text: a missing one shows
    as a dash.
    """
    definition = get_event_type(event_type)
    number = facts.get(definition.count_key)
    is_plural = isinstance(number, int) and number > 1
    message = definition.plural_message if is_plural and definition.plural_message else definition.message
    localized = definition.localize(facts) if definition.localize else {}
    return fill(message, {"event": event_type, **facts, **localized})


def webhook_event_types() -> dict[str, EventType]:
    """Return the event types that webhooks may receive."""
    return {
        name: definition
        for name, definition in event_types.items()
        if definition.label and not definition.is_private
    }


def audience_labels() -> dict[str, StrOrPromise]:
    """Return the labels of the events whose recipients the settings of administrations choose."""
    return {
        name: definition.label for name, definition in event_types.items() if definition.by_administration
    }


def covered_issue_codes() -> set[str]:
    """Return the codes of issues that have an event of their own."""
    return {code for definition in event_types.values() for code in definition.covers_issues}


def superseded_types(event_type: EventCode) -> list[EventCode]:
    """Return the event types that this one includes."""
    return [definition.code for definition in event_types.values() if event_type in definition.superseded_by]
