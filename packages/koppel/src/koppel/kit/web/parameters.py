"""Query parameters of lists and pages. Unknown ones are refused by name.

Ignoring an unknown filter would show everything, or change everything in a bulk action.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.database.text import clean_text, compose
from koppel.kit.errors import KoppelError

ID_MAX = 2**63 - 1
ID_DIGITS_MAX = 19
PAGE_DIGITS_MAX = 8
SHOWN_CHARACTERS_MAX = 80
SHOWN_PARTS_MAX = 10
NAMES_MAX = 50
VALUES_MAX = 300
"""All parameters together. A page of the wizard names its 250 rows."""
LIST_ENTRIES_MAX = 10_000
"""Entries of a list in a request: a firm has up to 5,000 companies, and a selection names each once."""
QUERY_CHARACTERS_MAX = 8000


@dataclass(frozen=True)
class UnknownPart:
    """A parameter, or a value of one, that does not exist."""

    name: str
    value: str
    message: str
    values: tuple[str, ...] = ()
    """The valid values, if they are few."""
    more: int = 0
    """The number of further parts that are not named."""


class UnknownParameter(KoppelError):
    """A filter, or a value of one, does not exist. Nothing was shown and nothing changed."""

    code = "invalid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, parts: Iterable[UnknownPart]) -> None:
        self.parts = tuple(first_parts(parts))
        super().__init__(" ".join(part.message for part in self.parts))


@dataclass(frozen=True)
class Parameter:
    """The allowed values of a parameter; any text without `values` and `parse`."""

    values: Callable[[], Iterable[str]] | None = None
    parse: Callable[[str], Any] | None = None
    """Returns None for an invalid value. It both validates and reads, so all pages read a value alike."""
    is_multiple: bool = False
    may_be_blank: bool = True
    """Whether an empty form field means no filter."""

    def accepts(self, text: str) -> bool:
        """Return whether the text is an allowed value; none has a NUL."""
        if not text:
            return self.may_be_blank
        if "\0" in text:
            return False
        if self.values is not None:
            return text in set(self.values())
        return self.parse is None or self.parse(text) is not None

    def read(self, texts: Iterable[str]) -> Any:
        """Return the value of an allowed parameter.

        A list if it may be repeated; None when it is absent.
        """
        values = [self.parse(text) if self.parse else text for text in texts if text]
        return values if self.is_multiple else values[0] if values else None


def id_of(text: str) -> int | None:
    """Parse a row's id; None if it is invalid. The only parser of ids."""
    if not (len(text) <= ID_DIGITS_MAX and text.isascii() and text.isdecimal()):
        return None
    number = int(text)
    return number if 0 < number <= ID_MAX else None


def page_of(text: str) -> int | None:
    """Parse a page number, which counts from 1. A page past the end is the last one."""
    return id_of(text) if len(text) <= PAGE_DIGITS_MAX else None


def day_of(text: str) -> date | None:
    """Parse a date such as 2026-12-31; the week and short forms of ISO 8601 are refused."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def is_id(text: str) -> bool:
    return id_of(text) is not None


def one_of(*values: str) -> Parameter:
    return Parameter(values=lambda: values)


def lazy_choices(values: Callable[[], Iterable[str]]) -> Parameter:
    """Return values that are known only when all apps have started."""
    return Parameter(values=values)


TEXT = Parameter(parse=compose)
FLAG = Parameter(values=lambda: ("1",), may_be_blank=False)
PAGE = Parameter(parse=page_of, may_be_blank=False)
DAY = Parameter(parse=day_of)
IDENTIFIER = Parameter(parse=id_of)
IDENTIFIERS = Parameter(parse=id_of, is_multiple=True, may_be_blank=False)


def unknown_parts(query: QueryDict, parameters: Mapping[str, Parameter]) -> list[UnknownPart]:
    """Return the parts of the query that `parameters` does not allow, in order and limited in number.

    Raises `UnknownParameter` at once for a query that is too long.
    """
    require_bounded(query)
    return first_parts(_unknown_parts(query, parameters))


def _unknown_parts(query: QueryDict, parameters: Mapping[str, Parameter]) -> Iterator[UnknownPart]:
    for name, texts in query.lists():
        parameter = parameters.get(name)
        if parameter is None:
            yield unknown_name(name, str(texts[0]) if texts else "", parameters)
            continue
        if len(texts) > 1 and not parameter.is_multiple:
            yield duplicate_parameter(name, str(texts[-1]))
        values = tuple(parameter.values()) if parameter.values else ()
        unknown = dict.fromkeys(str(text) for text in texts if not parameter.accepts(str(text)))
        yield from (unknown_value(name, text, values) for text in unknown)


def values_of(query: QueryDict, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return every parameter of an allowed query with its value; None for absent ones."""
    return {name: parameter.read(map(str, query.getlist(name))) for name, parameter in parameters.items()}


def query_without(request: HttpRequest, *names: str) -> str:
    """Return the query string of a page without these parameters, ending in `&` unless it is empty."""
    query = request.GET.copy()
    for name in names:
        query.pop(name, None)
    return f"{query.urlencode()}&" if query else ""


def require_bounded(
    query: QueryDict, characters_max: int = QUERY_CHARACTERS_MAX, name: str = "query"
) -> None:
    """Limit the size of a query, because every refused part is repeated in the response.

    Raises `UnknownParameter` for too many parts.
    """
    count = sum(len(texts) for _name, texts in query.lists())
    if len(query) > NAMES_MAX or count > VALUES_MAX or len(query.urlencode()) > characters_max:
        raise UnknownParameter([too_long_part(name, characters_max)])


def require_short(text: str, characters_max: int, name: str) -> None:
    """Do what `require_bounded` does, for a query that is not parsed yet."""
    if len(text) > characters_max or text.count("&") >= VALUES_MAX:
        raise UnknownParameter([too_long_part(name, characters_max)])


def too_long_part(name: str, characters_max: int) -> UnknownPart:
    params = {"characters": characters_max, "names": NAMES_MAX, "values": VALUES_MAX}
    message = _(
        "This filter is too long. The maximum is %(characters)d characters, %(names)d names and "
        "%(values)d values."
    )
    return UnknownPart(name, "", message % params)


def first_parts(parts: Iterable[UnknownPart]) -> list[UnknownPart]:
    """Return the first ten parts, and the number of others."""
    shown_parts: list[UnknownPart] = []
    more = 0
    for part in parts:
        if part.more or len(shown_parts) == SHOWN_PARTS_MAX:
            more += part.more or 1
        else:
            shown_parts.append(part)
    if more:
        message = ngettext("And %(count)d more.", "And %(count)d more.", more) % {"count": more}
        shown_parts.append(UnknownPart("", "", message, more=more))
    return shown_parts


def unknown_name(name: str, value: str, names: Iterable[str]) -> UnknownPart:
    possible = tuple(names)
    if not possible:
        return UnknownPart(
            name, value, _("“%(name)s” is not a filter; this page has none.") % {"name": shorten(name)}
        )
    params = {"name": shorten(name), "names": ", ".join(possible)}
    return UnknownPart(name, value, _("“%(name)s” is not a filter. Possible: %(names)s.") % params, possible)


def unknown_value(name: str, value: str, values: Iterable[str] = ()) -> UnknownPart:
    """Return the message for an unknown value, the same if the reader merely may not see it."""
    possible = tuple(values)
    params = {"name": shorten(name), "value": shorten(value), "values": ", ".join(possible)}
    message = _("“%(value)s” is not a value of “%(name)s”.") % params
    if possible:
        message = _("“%(value)s” is not a value of “%(name)s”. Possible: %(values)s.") % params
    return UnknownPart(name, value, message, possible)


def duplicate_parameter(name: str, value: str) -> UnknownPart:
    return UnknownPart(name, value, _("“%(name)s” can be given only once.") % {"name": shorten(name)})


def remove_part(query: QueryDict, part: UnknownPart) -> str:
    """Return the query without this value of this parameter."""
    value = _plain(part.value)
    has_others = any(_plain(text) != value for text in query.getlist(part.name))
    kept = [
        (name, text)
        for name, texts in query.lists()
        for text in map(str, texts)
        if name != part.name or (has_others and _plain(text) != value)
    ]
    return urlencode(kept)


def removal_links(request: HttpRequest, parts: Iterable[UnknownPart]) -> list[tuple[str, str | None]]:
    """Return each part's message, with the query without this part; None if the part stands for several."""
    return [
        (part.message, remove_part(request.GET, part) if part.name in request.GET and not part.more else None)
        for part in parts
    ]


def _plain(text: object) -> str:
    return clean_text(str(text))


def shorten(text: str) -> str:
    """Return the text, shortened for display in a message."""
    text = text.replace("\0", "�")
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"
