"""Issues over REST: list, show, assign, snooze, dismiss, reopen, undo and comment."""

from datetime import date, datetime

from django.db.models import Count
from ninja import Query, Router, Schema, Status
from pydantic import Field

from koppel.administrations.issues import queries, services
from koppel.administrations.issues.inputs import CommentInput, IssueActionInput
from koppel.administrations.issues.queries import IssueFilter, IssueState, Severity
from koppel.audit.subjects import SubjectKind
from koppel.issues.issue_types import get_issue_type, issue_types
from koppel.issues.models import Issue
from koppel.issues.queries import view_of
from koppel.kit.web.parameters import ID_MAX, UnknownParameter, is_id, unknown_value
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Actor, Permission

router = Router()


class IssueDetailOut(Schema):
    """`code` is a stable word, `message` its text in the caller's language. `administration` or `connection`
    is what it is about. `state`: open, snoozed, dismissed, resolved; `severity`: stops_sync, attention.
    `assignee` is the id of a membership.
    """

    id: int
    code: str
    severity: Severity
    state: str
    message: str
    advice: str
    administration: int | None
    connection: int | None
    name: str
    assignee: int | None
    assignee_name: str
    snoozed_until: date | None
    dismissible: bool
    comments: int
    raised_at: datetime
    resolved_at: datetime | None


class IssuesIn(Schema):
    """`user`: issues of administrations on whose team this member is; `assignee`: issues assigned to them.
    Both take "me", "none" or the id of a membership. `kind` is an issue code.
    """

    q: str = Field("", max_length=100)
    kind: str = ""
    severity: Severity | None = None
    state: IssueState = IssueState.OPEN
    user: str = ""
    assignee: str = ""
    administration: int | None = Field(None, ge=1, le=ID_MAX)
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=1_000_000)


@router.get("", response=list[IssueDetailOut])
def list_issues(request: AuthenticatedRequest, query: Query[IssuesIn]) -> list[IssueDetailOut]:
    """List the issues you may see, oldest first."""
    issues = queries.list_matching(request.actor, _filters_of(query))
    page = issues.annotate(comment_count=Count("comments"))[query.offset : query.offset + query.limit]
    return _out(request.actor, list(page))


class CommentOut(Schema):
    author: str
    text: str
    created_at: datetime


class IssueWithCommentsOut(IssueDetailOut):
    comment_texts: list[CommentOut]


@router.get("/{int:issue_id}", response=IssueWithCommentsOut)
def get_issue(request: AuthenticatedRequest, issue_id: int) -> IssueWithCommentsOut:
    """Show an issue with its comments, also a resolved one."""
    issue = queries.issue_for(request.actor, issue_id)
    comments = [
        CommentOut(author=comment.author_name, text=comment.text, created_at=comment.created_at)
        for comment in queries.list_comments(issue)
    ]
    values = _out(request.actor, [issue])[0].dict() | {"comments": len(comments)}
    return IssueWithCommentsOut(**values, comment_texts=comments)


@router.post("/{int:issue_id}/comments", response={201: CommentOut})
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def comment_on_issue(
    request: AuthenticatedRequest, issue_id: int, payload: CommentInput
) -> Status[CommentOut]:
    """Add a comment."""
    comment = services.comment_on_issue(request.actor, issue_id, payload)
    return Status(
        201, CommentOut(author=comment.author_name, text=comment.text, created_at=comment.created_at)
    )


class SkippedIssueOut(Schema):
    """`reason_code` is a stable word, `message` its text."""

    issue: int
    reason_code: str
    message: str


class IssueResultOut(Schema):
    """`operation` undoes it for a day; null when nothing changed."""

    operation: int | None
    changed: list[int]
    skipped: list[SkippedIssueOut]


@router.post("/actions", response=IssueResultOut)
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def act_on_issues(request: AuthenticatedRequest, payload: IssueActionInput) -> IssueResultOut:
    """Assign, snooze, dismiss or reopen some issues at once."""
    result = services.act_on_issues(request.actor, payload)
    skipped = [
        SkippedIssueOut(issue=key, reason_code=reason.value, message=str(reason.label))
        for key, reason in result.skipped.items()
    ]
    operation = result.operation.pk if result.operation else None
    return IssueResultOut(operation=operation, changed=list(result.changed), skipped=skipped)


class UndoOut(Schema):
    """The number of issues put back: those that nobody changed since."""

    undone: int


@router.post("/operations/{int:operation_id}/undo", response=UndoOut)
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def undo_operation(request: AuthenticatedRequest, operation_id: int) -> UndoOut:
    """Undo an action on issues, within a day."""
    return UndoOut(undone=services.undo_operation(request.actor, operation_id))


def _filters_of(query: IssuesIn) -> IssueFilter:
    """Return the filter. Raises `UnknownParameter`."""
    parts = [
        unknown_value(name, text)
        for name, text in (("user", query.user), ("assignee", query.assignee))
        if text not in ("", "me", "none") and not is_id(text)
    ]
    if query.kind and query.kind not in issue_types:
        parts.append(unknown_value("kind", query.kind, sorted(issue_types)))
    if parts:
        raise UnknownParameter(parts)
    return IssueFilter(
        search_text=query.q,
        code=query.kind,
        person=query.user,
        assignee=query.assignee,
        severity=query.severity or "",
        state=query.state,
        administration=query.administration,
    )


def _out(actor: Actor, issues: list[Issue]) -> list[IssueDetailOut]:
    names = queries.subject_names(issues)
    return [_issue_out(actor, issue, names.get(issue.subject, "")) for issue in issues]


def _issue_out(actor: Actor, issue: Issue, name: str) -> IssueDetailOut:
    view, issue_type = view_of(actor, issue), get_issue_type(issue.code)
    is_about_administration = issue.subject_kind == SubjectKind.ADMINISTRATION
    return IssueDetailOut(
        id=issue.pk,
        code=issue.code,
        severity=queries.severity_of(issue),
        state=queries.state_of(issue),
        message=view.message,
        advice=view.advice,
        administration=issue.subject_id if is_about_administration else None,
        connection=None if is_about_administration else issue.subject_id,
        name=name,
        assignee=issue.assignee_id,
        assignee_name=str(issue.assignee.user) if issue.assignee else "",
        snoozed_until=issue.snoozed_until,
        dismissible=issue_type.is_dismissible,
        comments=view.comment_count,
        raised_at=issue.raised_at,
        resolved_at=issue.resolved_at,
    )
