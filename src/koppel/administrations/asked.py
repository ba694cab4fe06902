"""What the address bar asks of the list: filters, search, sorting, columns, page. Rubbish in it is left out.

One type for the page, the export, bulk work on "all that match", saved views, REST and the shell.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import QueryDict

from koppel.administrations.columns import COLUMNS, DEFAULT_COLUMNS
from koppel.administrations.models import Status

NONE = "none"
"""In a filter: those that have no division, no template, no sector, nobody chosen."""
FRESHNESSES = ("fresh", "stale", "old", "never")
ISSUES = ("any", NONE)
NUMBERS = ("missing", "incomplete", "doubtful", "twice")
ENDINGS = ("left", "planned")
MANY = ("status", "division", "user", "template", "sector", "connection", "freshness")
ONE = ("q", "issues", "number", "ending", "import", "favourites", "changed", "running", "restricted")
FILTERS = MANY + ONE
PAGE_MAX = 100_000
ID_MAX = 2**63 - 1


@dataclass(frozen=True)
class Asked:
    """Values of `MANY` are texts: ids as digits, or `NONE`. Everything empty: the whole list."""

    many: Mapping[str, tuple[str, ...]]
    one: Mapping[str, str]
    sort: str = "name"
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    page: int = 1

    @property
    def is_filtered(self) -> bool:
        return bool(self.many or self.one)

    def query(self) -> str:
        """The address bar's text, without the page; '' when nothing is asked."""
        pairs = [(key, value) for key, values in self.many.items() for value in values]
        pairs += list(self.one.items())
        if self.sort != "name":
            pairs.append(("sort", self.sort))
        if self.columns != DEFAULT_COLUMNS:
            pairs.append(("columns", ".".join(self.columns)))
        return urlencode(pairs)

    def sorted_by(self, sort: str) -> "Asked":
        return replace(self, sort=sort, page=1)

    def without(self, key: str, value: str) -> "Asked":
        """One filter's value taken away."""
        many = {name: tuple(one for one in given if (name, one) != (key, value)) for name, given in self.many.items()}
        return replace(
            self,
            many={name: given for name, given in many.items() if given},
            one={name: given for name, given in self.one.items() if (name, given) != (key, value)},
            page=1,
        )


def asked_of(given: QueryDict) -> Asked:
    many = {key: tuple(dict.fromkeys(filter(_check(key), _texts(given, key)))) for key in MANY}
    one = {key: text for key in ONE if (text := _one(key, given.get(key, "")))}
    sort = given.get("sort", "")
    columns = [part for text in given.getlist("columns") for part in text.split(".")]
    return Asked(
        many={key: values for key, values in many.items() if values},
        one=one,
        sort=sort if sort.removeprefix("-") in COLUMNS else "name",
        columns=_columns(columns),
        page=_page(given.get("page", "")),
    )


def asked_of_text(query: str) -> Asked:
    return asked_of(QueryDict(query))


def _columns(wanted: Iterable[str]) -> tuple[str, ...]:
    """In the catalogue's order; the name is always there."""
    chosen = {key for key in wanted if key in COLUMNS}
    return tuple(key for key in COLUMNS if key in chosen | {"name"}) if chosen else DEFAULT_COLUMNS


def _texts(given: QueryDict, key: str) -> list[str]:
    return [text.replace("\0", "").strip() for text in given.getlist(key)]


def _check(key: str) -> "_Check":
    return _Check(key)


@dataclass(frozen=True)
class _Check:
    key: str

    def __call__(self, text: str) -> bool:
        if self.key == "status":
            return text in Status.values
        if self.key == "freshness":
            return text in FRESHNESSES
        if self.key == "sector":
            return text == NONE or (len(text) <= 4 and text.isalnum())
        return text == NONE or (self.key == "user" and text == "me") or is_id(text)


def is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text) <= ID_MAX if len(text) < 20 else False


def _one(key: str, text: str) -> str:
    text = text.replace("\0", "").strip()[:200]
    if key == "q":
        return text
    if key == "import":
        return text if is_id(text) else ""
    if key == "issues":
        return text if text in ISSUES or (text.isidentifier() and text.isascii()) else ""
    allowed = {"number": NUMBERS, "ending": ENDINGS}.get(key, ("1",))
    return text if text in allowed else ""


def _page(text: str) -> int:
    return min(int(text), PAGE_MAX) if text.isascii() and text.isdecimal() and len(text) < 9 else 1
