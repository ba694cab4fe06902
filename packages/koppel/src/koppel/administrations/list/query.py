"""The query of the administration list: filters, search, sorting, columns, page. Unknown parts are kept in
`unknown`, and a search with one is refused (`filter_checks`).

One type for the page, the export, bulk work on "all that match", saved views, REST and the shell.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from koppel.administrations.display_state import DISPLAY_STATES
from koppel.administrations.list.columns import COLUMNS, DEFAULT_COLUMNS
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.kit.database.text import clean_text
from koppel.kit.web.parameters import (
    FLAG,
    PAGE,
    QUERY_CHARACTERS_MAX,
    TEXT,
    Parameter,
    UnknownPart,
    first_parts,
    id_of,
    is_id,
    page_of,
    require_bounded,
    require_short,
    unknown_parts,
    unknown_value,
)

__all__ = [
    "FILTERS",
    "MULTI_FILTERS",
    "NONE",
    "SINGLE_FILTERS",
    "ListQuery",
    "is_id",
    "parse_query",
    "parse_query_string",
]

NONE = "none"
"""The value of a filter that matches administrations without division, template, sector or person."""
FRESHNESSES = ("fresh", "stale", "old", "never")
ISSUES = ("any", NONE)
NUMBERS = ("missing", "incomplete", "doubtful", "duplicate")
LIFECYCLES = ("client_left", "deactivation_scheduled")
MULTI_FILTERS = ("status", "division", "user", "template", "sector", "connection", "freshness")
SINGLE_FILTERS = (
    "q",
    "issues",
    "number",
    "lifecycle",
    "import",
    "favourites",
    "changed",
    "running",
    "restricted",
)
FILTERS = MULTI_FILTERS + SINGLE_FILTERS


def _choices(values: Iterable[str], *, is_multiple: bool = False) -> Parameter:
    possible = tuple(values)
    return Parameter(values=lambda: possible, is_multiple=is_multiple, may_be_blank=False)


def _ids(*keywords: str) -> Parameter:
    """Return a parameter of ids, which stay texts."""
    parse = lambda text: text if text in keywords or is_id(text) else None  # noqa: E731 - one expression
    return Parameter(parse=parse, is_multiple=True, may_be_blank=False)


def _issue_code(text: str) -> str | None:
    return text if text.isidentifier() and text.isascii() else None


_SORTS = tuple(sort for key in COLUMNS for sort in (key, f"-{key}"))
_PARAMETERS: Mapping[str, Parameter] = {
    "q": TEXT,
    "status": _choices(DISPLAY_STATES, is_multiple=True),
    "division": _ids(NONE),
    "user": _ids(NONE, "me"),
    "template": _ids(NONE),
    "sector": _choices((*SECTIONS, NONE), is_multiple=True),
    "connection": _ids(),
    "freshness": _choices(FRESHNESSES, is_multiple=True),
    "issues": Parameter(parse=_issue_code, may_be_blank=False),
    "number": _choices(NUMBERS),
    "lifecycle": _choices(LIFECYCLES),
    "import": Parameter(parse=id_of, may_be_blank=False),
    "favourites": FLAG,
    "changed": FLAG,
    "running": FLAG,
    "restricted": FLAG,
    "sort": _choices(_SORTS),
    "columns": Parameter(is_multiple=True),
    "page": PAGE,
    "all": FLAG,
    "done": Parameter(parse=id_of, may_be_blank=False),
    "peek": Parameter(parse=id_of, may_be_blank=False),
}
"""`all`: the whole list, where a default view would show otherwise. `done`: bulk work that the page offers to
undo. `peek`: the administration whose panel is open.
"""


@dataclass(frozen=True)
class ListQuery:
    """A parsed query of the list. Without filters: the whole list."""

    multi_filters: Mapping[str, tuple[str, ...]]
    """The values of each of `MULTI_FILTERS`: texts, ids as digits, or `NONE`."""
    single_filters: Mapping[str, str]
    sort: str = "name"
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    page: int = 1
    operation_id: int | None = None
    unknown: tuple[UnknownPart, ...] = ()

    @property
    def is_filtered(self) -> bool:
        return bool(self.multi_filters or self.single_filters)

    def to_query_string(self) -> str:
        """Return the query string, without the page; '' for the default query."""
        return "&".join(part for part in (self.filter_string(), self.display_string()) if part)

    def filter_string(self) -> str:
        """Return the part of the query string that decides which administrations match."""
        pairs = [(key, value) for key, values in self.multi_filters.items() for value in values]
        return urlencode([*pairs, *self.single_filters.items()])

    def display_string(self) -> str:
        """Return the part of the query string that decides how the list is displayed."""
        pairs = []
        if self.sort != "name":
            pairs.append(("sort", self.sort))
        if self.columns != DEFAULT_COLUMNS:
            pairs.append(("columns", ".".join(self.columns)))
        return urlencode(pairs)

    def with_columns(self, keys: Iterable[str]) -> "ListQuery":
        """Return the query with these columns in this order; without columns the default ones. Unknown keys
        are left out.
        """
        return replace(self, columns=_columns(keys))

    def sorted_by(self, sort: str) -> "ListQuery":
        return replace(self, sort=sort, page=1)

    def without_filter(self, key: str, value: str | None = None) -> "ListQuery":
        """Return the query without one value of a filter, or without all of its values."""
        removed = (
            {(key, chosen) for chosen in self.multi_filters.get(key, ())} if value is None else {(key, value)}
        )
        multi = {
            name: tuple(text for text in values if (name, text) not in removed)
            for name, values in self.multi_filters.items()
        }
        return replace(
            self,
            multi_filters={name: values for name, values in multi.items() if values},
            single_filters={
                name: value for name, value in self.single_filters.items() if (name, value) not in removed
            },
            page=1,
        )


def read_query(request: HttpRequest) -> ListQuery:
    """Parse the query string of the list. Raises `UnknownParameter` for a filter that is too long."""
    return parse_query(request.GET)


def has_columns(request: HttpRequest) -> bool:
    """Return whether the query string chooses columns; otherwise the person's own layout applies."""
    return "columns" in request.GET


def parse_query(params: QueryDict) -> ListQuery:
    """Parse query parameters; unknown ones are kept in `unknown`. Raises `UnknownParameter` for a filter that
    is too long.
    """
    require_bounded(params, name="filter")
    query = _strip_values(params)
    validators = {name: parameter.accepts for name, parameter in _PARAMETERS.items()}
    multi = {key: tuple(dict.fromkeys(filter(validators[key], query.getlist(key)))) for key in MULTI_FILTERS}
    single = {key: text for key in SINGLE_FILTERS if (text := query.get(key, "")) and validators[key](text)}
    sort, page = query.get("sort", ""), query.get("page", "")
    columns = dict.fromkeys(part for text in query.getlist("columns") for part in text.split("."))
    unknown = [unknown_value("columns", key, COLUMNS) for key in columns if key not in COLUMNS]
    return ListQuery(
        multi_filters={key: values for key, values in multi.items() if values},
        single_filters=single,
        sort=sort if sort.removeprefix("-") in COLUMNS else "name",
        columns=_columns(columns),
        page=page_of(page) or 1,
        operation_id=id_of(query.get("done", "")),
        unknown=tuple(first_parts((*unknown_parts(query, _PARAMETERS), *unknown))),
    )


def parse_query_string(query: str) -> ListQuery:
    return parse_query(query_of_text(query))


def query_of_text(text: str) -> QueryDict:
    """Parse a query string. Raises `UnknownParameter` for a text that is too long, without reading it."""
    require_short(text, QUERY_CHARACTERS_MAX, "filter")
    return QueryDict(text)


def _strip_values(params: QueryDict) -> QueryDict:
    """Return the parameters with clean values. One with a NUL stays as it is, and is refused: without it, the
    filter would be another, or none.
    """
    query = QueryDict(mutable=True)
    for key, texts in params.lists():
        query.setlist(key, [text if "\0" in text else clean_text(text) for text in map(str, texts)])
    return query


def _columns(keys: Iterable[str]) -> tuple[str, ...]:
    """Return the columns in the given order; the name is always the first."""
    selected = [key for key in keys if key in COLUMNS]
    return tuple(dict.fromkeys(("name", *selected))) if selected else DEFAULT_COLUMNS
