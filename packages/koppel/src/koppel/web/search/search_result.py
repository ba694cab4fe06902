"""Results of a search, by kind."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """A match. `key` identifies it among earlier choices: `kind:id`. `detail` distinguishes equal labels.
    `posts`: its address takes a POST.
    """

    key: str
    label: str
    detail: str
    url: str
    posts: bool = False


@dataclass(frozen=True)
class ResultGroup:
    """The results of one kind, the best first."""

    label: str | Promise
    results: tuple[SearchResult, ...]
