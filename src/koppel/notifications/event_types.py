"""The words of every notice. A slice registers its own events when it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.organisations import settings_schema

Words = str | Promise

UNKNOWN = _("Something happened (%(event)s).")


@dataclass(frozen=True)
class Event:
    """`sentence` is filled with the notice's facts (`%(name)s`); `collective` when more than one administration is touched
    (`%(count)s`, `%(names)s`). `label` names it on the page of preferences; an event without one is not shown there.

    `counts`: the fact that says how many there are. `fill(facts)` adds facts whose words depend on the reader's language.
    `confirm_seconds`: trouble that is over by then was never told. `absorbs`: events with the same key that say less.
    `covers_issues`: issue codes for which this event tells people already. `repeats`: told, it is over; the next announcement
    with its key is news. `personal`: nobody's business but the person's; webhooks are not told. `by_administration`: the
    settings of the administrations that it touches say who is told."""

    sentence: Words
    collective: Words = ""
    label: Words = ""
    counts: str = "count"
    fill: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    confirm_seconds: float = 0.0
    absorbs: tuple[str, ...] = ()
    covers_issues: tuple[str, ...] = ()
    repeats: bool = False
    personal: bool = False
    by_administration: bool = False


_events: dict[str, Event] = {}


def register(event: str, sentence: Words, **more: Any) -> None:
    """`more` are the other fields of `Event`. Raises `ValueError` when two slices claim one event."""
    if event in _events and _events[event].sentence is not sentence:
        raise ValueError(f"The event {event!r} is registered twice.")
    entry = _events[event] = Event(sentence, **more)
    if entry.by_administration:
        settings_schema.register_event(event, entry.label)


def entry_of(event: str) -> Event:
    return _events.get(event) or Event(UNKNOWN)


def sentence_of(event: str, facts: Mapping[str, Any]) -> str:
    """In the language that is active. Facts may be older than the words: a missing one shows as a dash."""
    entry = entry_of(event)
    number = facts.get(entry.counts)
    several = isinstance(number, int) and number > 1
    words = entry.collective if several and entry.collective else entry.sentence
    filled = entry.fill(facts) if entry.fill else {}
    return str(words) % _Dashes({"event": event, **facts, **filled})


def events() -> Mapping[str, Event]:
    return dict(_events)


def events_of_webhooks() -> dict[str, Event]:
    """Those that an organisation's own programs may be told of."""
    return {name: entry for name, entry in _events.items() if entry.label and not entry.personal}


def covered_issues() -> set[str]:
    """Issue codes that have a notice of their own."""
    return {code for entry in _events.values() for code in entry.covers_issues}


def absorbed_by(event: str) -> list[str]:
    """Events that say more than this one."""
    return [name for name, entry in _events.items() if event in entry.absorbs]


class _Dashes(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"
