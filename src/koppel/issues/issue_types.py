"""The words and the button of every issue code. A slice registers its own codes when it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """`sentence` and `advice` are filled with the issue's facts (`%(name)s`); one with a plural names the fact that
    counts. `link` gives the path of the button."""

    sentence: Words
    advice: Words = ""
    button: Words = ""
    link: Callable[[int, Facts], str] | None = None


_codes: dict[str, Entry] = {}
UNKNOWN = Entry(_("Something needs attention (%(code)s)."))


def register(code: str, entry: Entry) -> None:
    """Raises `ValueError` when two slices claim one code."""
    if code in _codes and _codes[code] is not entry:
        raise ValueError(f"The issue code {code!r} is registered twice.")
    _codes[code] = entry


def entry_of(code: str) -> Entry:
    return _codes.get(code, UNKNOWN)


def codes() -> Mapping[str, Entry]:
    """All registered codes: the documentation is tested against them."""
    return dict(_codes)
