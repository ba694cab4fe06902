"""Sentences whose values were stored without a language, and sentences that list lines."""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext

LISTED_MAX = 8
"""The number of lines of a file that a sentence lists."""
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def fill(template: str | Promise, values: Mapping[str, Any]) -> str:
    """Fill values into a sentence in the active language: `%(name)s`, and a dash for a missing one.

    A `reason` is translated and a day formatted. No second full stop follows a name such as `B.V.`
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
    if name == "reason":
        return gettext(value)
    return date_format(date.fromisoformat(value), "SHORT_DATE_FORMAT") if _DAY.fullmatch(value) else value


class _DashForMissing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"
