"""Definition of an issue type, and the registry of all.

An app declares its codes and their types in its `issue_types` and registers them in its `wiring`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.kit.database.json_fields import MessageFacts
from koppel.kit.hooks import Registry
from koppel.organisations.roles import Actor

StrOrPromise = str | Promise


class IssueCode(StrEnum):
    """Base of every app's issue codes."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A button that acts at once: it posts `fields` to the path that `url` gives."""

    label: StrOrPromise
    url: Callable[[int, MessageFacts], str]
    fields: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class IssueType:
    """The texts and buttons of the issues of one code."""

    code: IssueCode
    message: StrOrPromise
    """Filled with the issue's facts (`%(name)s`); a message with a plural names the fact that counts."""
    advice: StrOrPromise = ""
    """Filled like `message`."""
    button: StrOrPromise = ""
    link: Callable[[int, MessageFacts], str] | None = None
    """Returns the path of the button, from the subject's id and the facts."""
    localize: Callable[[MessageFacts], MessageFacts] | None = None
    """Returns the facts whose text depends on the reader's language."""
    resolve: Callable[[Actor, MessageFacts], MessageFacts] | None = None
    """Returns the facts that depend on what the reader may see: facts with names of other objects are stored
    as ids.
    """
    title: StrOrPromise = ""
    """The heading of the issues of this type."""
    stops_sync: bool = False
    """Whether the issue stops the sync; such issues are listed first."""
    is_dismissible: bool = False
    """Whether a member may dismiss the issue. Others disappear only when their cause is gone."""
    remedy: Remedy | None = None
    """A second button."""


issue_types = Registry[IssueType]()
"""By issue code."""


class _UnknownIssue(IssueCode):
    """The type of an issue whose app is no longer installed."""

    UNKNOWN = ""


_UNKNOWN_ISSUE_TYPE = IssueType(
    code=_UnknownIssue.UNKNOWN, message=_("An issue needs attention (%(code)s)."), title=_("Other issues")
)


def get_issue_type(code: str) -> IssueType:
    return issue_types.get(code, _UNKNOWN_ISSUE_TYPE)
