"""The words of every notice. A slice registers its own events when it starts."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise

_events: dict[str, Words] = {}
UNKNOWN = _("Something happened (%(event)s).")


def register(event: str, sentence: Words) -> None:
    """`sentence` is filled with the notice's facts (`%(name)s`). Raises `ValueError` when claimed twice."""
    if event in _events and _events[event] is not sentence:
        raise ValueError(f"The event {event!r} is registered twice.")
    _events[event] = sentence


def sentence_of(event: str) -> str:
    return str(_events.get(event, UNKNOWN))


def events() -> Mapping[str, Words]:
    return dict(_events)
