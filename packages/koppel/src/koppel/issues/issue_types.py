"""The text and the button of every issue code.

An app declares its codes and their types in its `issue_types` and registers them in its `wiring`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.kit.database.json_fields import MessageFacts
from koppel.kit.hooks import Registry

StrOrPromise = str | Promise


class IssueCode(StrEnum):
    """Base of every app's issue codes."""


@dataclass(frozen=True)
class Remedy:
    """A button that acts at once: it posts `fields` to the path that `url` gives."""

    label: StrOrPromise
    url: Callable[[int, MessageFacts], str]
    fields: Mapping[str, str]


@dataclass(frozen=True)
class IssueType:
    """`message` and `advice` are filled with the issue's facts (`%(name)s`); one with a plural names the fact
    that counts. `link` gives the path of the button. `localize` returns facts whose text depends on the
    reader's language. `title` heads the issues of this type; those with `stops_sync` come first. One that
    `is_fact` may be dismissed when it was noted. `remedy` is a second button.
    """

    code: IssueCode
    message: StrOrPromise
    advice: StrOrPromise = ""
    button: StrOrPromise = ""
    link: Callable[[int, MessageFacts], str] | None = None
    localize: Callable[[MessageFacts], MessageFacts] | None = None
    title: StrOrPromise = ""
    stops_sync: bool = False
    is_fact: bool = False
    remedy: Remedy | None = None


issue_types = Registry[IssueType]()
"""By issue code."""


class _UnknownIssue(IssueCode):
    """The type of an issue whose app is no longer installed."""

    UNKNOWN = ""


_UNKNOWN_ISSUE_TYPE = IssueType(
    _UnknownIssue.UNKNOWN, _("An issue needs attention (%(code)s)."), title=_("Other issues")
)


def get_issue_type(code: str) -> IssueType:
    return issue_types.get(code, _UNKNOWN_ISSUE_TYPE)
