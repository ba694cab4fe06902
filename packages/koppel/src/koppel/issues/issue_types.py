"""The words and the button of every issue code. A slice registers its own codes when it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

StrOrPromise = str | Promise
Context = Mapping[str, Any]


@dataclass(frozen=True)
class IssueType:
    """`message` and `advice` are filled with the issue's facts (`%(name)s`); one with a plural names the fact that
    counts. `link` gives the path of the button."""

    message: StrOrPromise
    advice: StrOrPromise = ""
    button: StrOrPromise = ""
    link: Callable[[int, Context], str] | None = None


_issue_types: dict[str, IssueType] = {}
UNKNOWN_ISSUE_TYPE = IssueType(_("Something needs attention (%(code)s)."))


def register_issue_type(code: str, issue_type: IssueType) -> None:
    """Raises `ValueError` when two slices claim one code."""
    if code in _issue_types and _issue_types[code] is not issue_type:
        raise ValueError(f"The issue code {code!r} is registered twice.")
    _issue_types[code] = issue_type


def get_issue_type(code: str) -> IssueType:
    return _issue_types.get(code, UNKNOWN_ISSUE_TYPE)


def issue_types() -> Mapping[str, IssueType]:
    """All registered codes: the documentation is tested against them."""
    return dict(_issue_types)
