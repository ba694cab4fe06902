"""Input types of the use cases of issues."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from koppel.kit.web.schemas import Day, Input, RowId

ISSUES_MAX = 500
COMMENT_LENGTH_MAX = 2000


class IssueActionName(StrEnum):
    """What is done with some issues at once."""

    ASSIGN = "assign"
    SNOOZE = "snooze"
    DISMISS = "dismiss"
    REOPEN = "reopen"


class IssueActionInput(Input):
    """`assignee` is the id of a membership, and null takes the assignment away; `until` is the day on which
    snoozed issues return.
    """

    ids: Annotated[list[RowId], Field(min_length=1, max_length=ISSUES_MAX)]
    action: IssueActionName
    assignee: RowId | None = None
    until: Day | None = None


class CommentInput(Input):
    """A comment on an issue."""

    text: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=COMMENT_LENGTH_MAX)
    ]
