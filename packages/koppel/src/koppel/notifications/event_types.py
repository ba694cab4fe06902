"""The words of every event. An app registers its own in its `wiring`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.kit.hooks import Registry

StrOrPromise = str | Promise

UNKNOWN = _("Something happened (%(event)s).")


@dataclass(frozen=True)
class EventType:
    """`message` is filled with the notice's facts (`%(name)s`); `plural_message` when more than one
    administration is touched (`%(count)s`, `%(names)s`). `label` names it on the page of preferences; an event
    without one is not shown there.

    `count_key`: the fact that says how many there are. `localize(facts)` adds facts whose words depend on the
    reader's language. `confirm_seconds`: trouble that is over by then was never told. `supersedes`: events with
    the same key that say less. `covers_issues`: issue codes for which this event tells people already.
    `is_momentary`: told, it is over; the next announcement with its key is news. `is_private`: nobody's business
    but the person's; webhooks are not told. `by_administration`: the settings of the administrations that it
    touches say who is told."""

    message: StrOrPromise
    plural_message: StrOrPromise = ""
    label: StrOrPromise = ""
    count_key: str = "count"
    localize: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    confirm_seconds: float = 0.0
    supersedes: tuple[str, ...] = ()
    covers_issues: tuple[str, ...] = ()
    is_momentary: bool = False
    is_private: bool = False
    by_administration: bool = False


event_types = Registry[EventType]()
"""By the event's name."""


def get_event_type(event_type: str) -> EventType:
    return event_types.get(event_type) or EventType(UNKNOWN)


def render_message(event_type: str, facts: Mapping[str, Any]) -> str:
    """Return the event's text in the active language. Facts may be older than the text: a missing one shows
    as a dash."""
    definition = get_event_type(event_type)
    number = facts.get(definition.count_key)
    is_plural = isinstance(number, int) and number > 1
    message = definition.plural_message if is_plural and definition.plural_message else definition.message
    localized = definition.localize(facts) if definition.localize else {}
    return str(message) % _DashForMissing({"event": event_type, **facts, **localized})


def webhook_event_types() -> dict[str, EventType]:
    """Return the event types that webhooks may receive."""
    return {
        name: definition for name, definition in event_types.items() if definition.label and not definition.is_private
    }


def audience_labels() -> dict[str, StrOrPromise]:
    """Return the labels of the events whose recipients the settings of administrations choose."""
    return {name: definition.label for name, definition in event_types.items() if definition.by_administration}


def covered_issue_codes() -> set[str]:
    """Return the codes of issues that have an event of their own."""
    return {code for definition in event_types.values() for code in definition.covers_issues}


def superseding_types(event_type: str) -> list[str]:
    """Return the event types that include this one."""
    return [name for name, definition in event_types.items() if event_type in definition.supersedes]


class _DashForMissing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"
