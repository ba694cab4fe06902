"""Sentences that are stored in no language and rendered in the reader's, and sentences that list lines.

A sentence is stored as its English text, which is the key of its translation; one with values as JSON, the
text with its placeholders beside the values.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext, override

LISTED_MAX = 8
"""The number of lines of a file that a sentence lists."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
TRANSLATED_VALUES = ("reason", "resource")
"""Values that are stored sentences or marked texts themselves."""


class _StoredSentence(msgspec.Struct, forbid_unknown_fields=True):
    sentence: str
    values: dict[str, str | int]


def stored_sentence(sentence: str, **values: str | int) -> str:
    """Return a sentence as it is stored; `sentence` is marked with `gettext_noop` where it is written, with
    placeholders such as `%(status)s`. One that is stored already stays as it is.
    """
    return msgspec.json.encode(_StoredSentence(sentence, values)).decode() if values else sentence


def render_sentence(stored: str) -> str:
    """Render a stored sentence in the active language; in English where it has no translation."""
    if not stored:
        return ""
    parts = _parts_of(stored)
    return fill(gettext(parts.sentence), parts.values) if parts else gettext(stored)


def in_english(stored: str) -> str:
    """Render a stored sentence for logs and programs."""
    with override("en"):
        return render_sentence(stored)


def values_in_english(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values for programs: stored sentences among them in English."""
    return {
        name: in_english(value) if isinstance(value, str) and _parts_of(value) else value
        for name, value in values.items()
    }


def _parts_of(stored: str) -> _StoredSentence | None:
    """Return the sentence and its values; None when it has no values."""
    if not stored.startswith('{"sentence":'):
        return None
    try:
        return msgspec.json.decode(stored, type=_StoredSentence)
    except (msgspec.DecodeError, ValueError):
        return None


def fill(template: str | Promise, values: Mapping[str, Any]) -> str:
    """Fill values into a sentence in the active language: `%(name)s`, and a dash for a missing one.

    A `reason` is a stored sentence, a `resource` is translated and a day formatted. No second full stop
    follows a name such as `B.V.`
    """
    localized = {name: _localize(name, value) for name, value in values.items()}
    filled: str = template % _DashForMissing(localized)  # type: ignore[operator, unused-ignore]
    return with_single_stops(filled)


def with_single_stops(text: str) -> str:
    """Return a sentence without a second full stop after a name such as `B.V.`"""
    return re.sub(r"(?<!\.)\.\.(?=\s|$)", ".", text)


def shorten_list(lines: Sequence[str], count_max: int = LISTED_MAX) -> str:
    """Return the first lines, and how many more there are."""
    text, more = "; ".join(lines[:count_max]), len(lines) - count_max
    if more <= 0:
        return text
    return ngettext("%(text)s; and %(count)d more", "%(text)s; and %(count)d more", more) % {
        "text": text,
        "count": more,
    }


def _localize(name: str, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if name in TRANSLATED_VALUES:
        return render_sentence(value)
    return date_format(date.fromisoformat(value), "SHORT_DATE_FORMAT") if _DAY.fullmatch(value) else value


class _DashForMissing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"
