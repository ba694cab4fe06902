"""The query parameters of lists and pages. What a list does not know is refused by name: a filter that is ignored shows, and in
bulk work changes, everything.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from django.http import QueryDict
from django.utils.translation import gettext as _

ID_MAX = 2**63 - 1
PAGE_DIGITS_MAX = 9
SHOWN_CHARACTERS_MAX = 80


@dataclass(frozen=True)
class UnknownPart:
    """One parameter, or one value of it, that does not exist. `values` are the possible ones, where they are few."""

    name: str
    value: str
    sentence: str
    values: tuple[str, ...] = ()


class UnknownParameter(Exception):
    """A filter, or a value of one, does not exist. Nothing was shown and nothing changed."""

    is_refusal = True

    def __init__(self, parts: Iterable[UnknownPart]) -> None:
        self.parts = tuple(parts)
        super().__init__(" ".join(part.sentence for part in self.parts))


@dataclass(frozen=True)
class Parameter:
    """What a parameter may be: one of `values`, or what `accepts` lets through; neither means any text.

    `may_be_blank`: an empty field of a form asks for nothing."""

    values: Callable[[], Iterable[str]] | None = None
    accepts: Callable[[str], bool] | None = None
    is_multiple: bool = False
    may_be_blank: bool = True

    def lets_through(self, text: str) -> bool:
        if not text:
            return self.may_be_blank
        if self.values is not None:
            return text in set(self.values())
        return self.accepts is None or self.accepts(text)


def is_id(text: str) -> bool:
    """Digits of a number that a row can have."""
    return len(text) < 20 and text.isascii() and text.isdecimal() and 0 < int(text) <= ID_MAX


def is_page(text: str) -> bool:
    """A page counts from 1. One past the end is the last one there is."""
    return len(text) < PAGE_DIGITS_MAX and is_id(text)


def is_day(text: str) -> bool:
    try:
        return len(text) == len("2026-12-31") and bool(date.fromisoformat(text))
    except ValueError:
        return False


def one_of(*values: str) -> Parameter:
    return Parameter(values=lambda: values)


def one_of_these(values: Callable[[], Iterable[str]]) -> Parameter:
    """For values that are known only when all slices have started."""
    return Parameter(values=values)


TEXT = Parameter()
FLAG = Parameter(values=lambda: ("1",), may_be_blank=False)
PAGE = Parameter(accepts=is_page, may_be_blank=False)
DAY = Parameter(accepts=is_day)
IDENTIFIER = Parameter(accepts=is_id)
IDENTIFIERS = Parameter(accepts=is_id, is_multiple=True, may_be_blank=False)


def unknown_parts(query: QueryDict, parameters: Mapping[str, Parameter]) -> list[UnknownPart]:
    """Everything in the query that `parameters` does not let through, in the query's order."""
    parts: list[UnknownPart] = []
    for name, texts in query.lists():
        parameter = parameters.get(name)
        if parameter is None:
            parts.append(unknown_name(name, str(texts[0]) if texts else "", parameters))
            continue
        if len(texts) > 1 and not parameter.is_multiple:
            parts.append(given_twice(name, str(texts[-1])))
        values = tuple(parameter.values()) if parameter.values else ()
        parts += [unknown_value(name, text, values) for text in texts if not parameter.lets_through(str(text))]
    return parts


def unknown_name(name: str, value: str, names: Iterable[str]) -> UnknownPart:
    possible = tuple(names)
    if not possible:
        return UnknownPart(name, value, _("“%(name)s” is not a filter; there is none here.") % {"name": _short(name)})
    words = {"name": _short(name), "names": ", ".join(possible)}
    return UnknownPart(name, value, _("“%(name)s” is not a filter. Possible: %(names)s.") % words, possible)


def unknown_value(name: str, value: str, values: Iterable[str] = ()) -> UnknownPart:
    """The same words for what does not exist and for what the reader may not see."""
    possible = tuple(values)
    words = {"name": name, "value": _short(value), "values": ", ".join(possible)}
    sentence = _("“%(value)s” is not a value of “%(name)s”.") % words
    if possible:
        sentence = _("“%(value)s” is not a value of “%(name)s”. Possible: %(values)s.") % words
    return UnknownPart(name, value, sentence, possible)


def given_twice(name: str, value: str) -> UnknownPart:
    return UnknownPart(name, value, _("“%(name)s” can be given only once.") % {"name": name})


def without(query: QueryDict, part: UnknownPart) -> str:
    """The query with this value of this parameter taken out, and nothing else."""
    rest = query.copy()
    kept = [text for text in query.getlist(part.name) if text.replace("\0", "").strip() != part.value.strip()]
    if kept:
        rest.setlist(part.name, kept)
    else:
        rest.pop(part.name, None)
    return rest.urlencode()


def _short(text: str) -> str:
    text = text.replace("\0", "�")
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"
