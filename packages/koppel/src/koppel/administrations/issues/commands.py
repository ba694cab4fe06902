"""`koppel issues`: list, show, assign, snooze, dismiss, reopen, undo and comment."""

from typing import Annotated, Any

import typer

from koppel.administrations.issues import queries, services
from koppel.administrations.issues.inputs import CommentInput, IssueActionInput, IssueActionName
from koppel.administrations.issues.queries import IssueFilter, IssueState
from koppel.issues.models import Issue
from koppel.issues.queries import view_of
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import ROWS_MAX, AsJson, print_record, print_rows
from koppel.kit.web.parameters import day_of
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.roles import Actor

NOTHING_CHANGED = 1
app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "state", "severity", "code", "name", "assignee", "raised_at", "message")
IssueIds = Annotated[list[int], typer.Argument(help="Ids of issues, as `list` shows them.")]


@app.command("list")
def list_issues(
    state: Annotated[IssueState, typer.Option(help="open, snoozed or dismissed.")] = IssueState.OPEN,
    search: Annotated[str, typer.Option("--search", help="Name or number of the administration.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="At most this many.")] = 100,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """List the issues that the member may see, oldest first."""
    with acting_as(person, organisation) as actor:
        filters = IssueFilter(search_text=search, state=state)
        rows = _rows(actor, list(queries.list_matching(actor, filters)[:limit]))
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("show")
def show_issue(
    issue_id: Annotated[int, typer.Argument(help="Id of an issue.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show an issue with its comments."""
    with acting_as(person, organisation) as actor:
        issue = queries.issue_for(actor, issue_id)
        comments = [
            f"{comment.author_name}, {comment.created_at:%Y-%m-%d %H:%M}: {comment.text}"
            for comment in queries.list_comments(issue)
        ]
        row = _rows(actor, [issue])[0] | {"snoozed_until": issue.snoozed_until, "comments": comments}
    print_record(row, as_json=as_json)


@app.command("assign")
def assign_issues(
    ids: IssueIds,
    to: Annotated[int | None, typer.Option(help="Id of a membership; default: no one.")] = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Assign issues to a member, or take the assignment away."""
    fields = {"ids": ids, "action": IssueActionName.ASSIGN, "assignee": to}
    _run_action(fields, person, organisation, as_json=as_json)


@app.command("snooze")
def snooze_issues(
    ids: IssueIds,
    until: Annotated[str, typer.Option(help="Day on which they return, such as 2026-12-31.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Hide issues until a day."""
    if (day := day_of(until)) is None:
        raise CommandError(f"{until!r} is not a date like 2026-12-31.")
    fields = {"ids": ids, "action": IssueActionName.SNOOZE, "until": day}
    _run_action(fields, person, organisation, as_json=as_json)


@app.command("dismiss")
def dismiss_issues(
    ids: IssueIds, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Dismiss issues; each returns when its facts change."""
    _run_action({"ids": ids, "action": IssueActionName.DISMISS}, person, organisation, as_json=as_json)


@app.command("reopen")
def reopen_issues(
    ids: IssueIds, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Reopen snoozed and dismissed issues."""
    _run_action({"ids": ids, "action": IssueActionName.REOPEN}, person, organisation, as_json=as_json)


@app.command("undo")
def undo_operation(
    operation_id: Annotated[int, typer.Argument(help="The operation that an action printed.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Undo an action on issues, within a day."""
    with acting_as(person, organisation) as actor:
        count = services.undo_operation(actor, operation_id)
    print_record({"operation": operation_id, "undone": count}, as_json=as_json)


@app.command("comment")
def comment_on_issue(
    issue_id: Annotated[int, typer.Argument(help="Id of an issue.")],
    text: Annotated[str, typer.Argument(help="The comment.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Comment on an issue."""
    with acting_as(person, organisation) as actor:
        comment = services.comment_on_issue(actor, issue_id, CommentInput(text=text))
    print_record({"issue": issue_id, "comment": comment.text}, as_json=as_json)


def _run_action(fields: dict[str, Any], person: str, organisation: str, *, as_json: bool) -> None:
    with acting_as(person, organisation) as actor:
        result = services.act_on_issues(actor, IssueActionInput(**fields))
    row = {
        "operation": result.operation.pk if result.operation else None,
        "changed": list(result.changed),
        "skip_reasons": {str(key): str(reason.label) for key, reason in result.skipped.items()},
    }
    print_record(row, as_json=as_json)
    if not result.changed:
        raise typer.Exit(NOTHING_CHANGED)


def _rows(actor: Actor, issues: list[Issue]) -> list[dict[str, Any]]:
    names = queries.subject_names(issues)
    return [
        {
            "id": issue.pk,
            "state": queries.state_of(issue),
            "severity": queries.severity_of(issue),
            "code": issue.code,
            "subject_kind": issue.subject_kind,
            "subject_id": issue.subject_id,
            "name": names.get(issue.subject, ""),
            "assignee": str(issue.assignee.user) if issue.assignee else "",
            "raised_at": issue.raised_at,
            "message": view_of(actor, issue).message,
        }
        for issue in issues
    ]
