"""Pages of issues: the list, one issue, and actions on some."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy, ngettext

from koppel.administrations.forms import CommentForm, IssueActionForm
from koppel.administrations.hooks import SyncProgress, progress_of
from koppel.administrations.issues import queries, services
from koppel.administrations.issues.inputs import IssueActionName
from koppel.administrations.issues.queries import IssueFilter, IssueState, Severity
from koppel.administrations.list.query import NONE
from koppel.administrations.list.row_context import names_of_people
from koppel.administrations.queries import assignment_choices
from koppel.audit.subjects import SubjectKind
from koppel.issues.issue_types import get_issue_type, issue_types
from koppel.issues.queries import IssueView, view_of
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.forms import return_url
from koppel.kit.web.parameters import PAGE, TEXT, Parameter, is_id, lazy_choices, one_of
from koppel.kit.web.undo_messages import success_with_undo
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

STATE_LABELS = {
    IssueState.OPEN: gettext_lazy("Open"),
    IssueState.SNOOZED: gettext_lazy("Snoozed"),
    IssueState.DISMISSED: gettext_lazy("Dismissed"),
}
SEVERITY_LABELS = {
    Severity.STOPS_SYNC: gettext_lazy("Stops the sync"),
    Severity.ATTENTION: gettext_lazy("Attention"),
}


class IssueRow(NamedTuple):
    """A row of the list, which the template unpacks."""

    issue: IssueView
    name: str
    """The name of its subject."""
    type_count: queries.IssueTypeCount
    team: Sequence[str]
    """The people of its administration."""
    progress: SyncProgress | None
    """The open sync of its administration."""


def _person(text: str) -> str | None:
    """Return "me", "none" or the id of a membership; None for anything else."""
    return text if text in ("me", NONE) or is_id(text) else None


@query_parameters(
    q=TEXT,
    page=PAGE,
    kind=lazy_choices(lambda: issue_types),
    user=Parameter(parse=_person),
    assignee=Parameter(parse=_person),
    severity=one_of(*Severity),
    state=one_of(*IssueState),
    group=one_of("client"),
)
def list_issues(request: AuthenticatedRequest) -> HttpResponse:
    """Show the issues with their buttons, by type or by client."""
    parameters = request.parameters
    filters = _filters_of(request)
    by_client = parameters["group"] == "client"
    page = queries.page_of(request.actor, filters, number=parameters["page"] or 1, by_client=by_client)
    rows = _rows(request, page)
    context = {
        "page": page,
        "rows": rows,
        "has_progress": any(row.progress for row in rows),
        "filters": filters,
        "by_client": by_client,
        "is_filtered": filters != IssueFilter(),
        "has_hidden": queries.has_hidden(request.actor),
        "can_reopen": filters.state is not IssueState.OPEN,
        "people": assignment_choices(request.actor)["people"],
        "states": STATE_LABELS.items(),
        "severities": SEVERITY_LABELS.items(),
        "nav_section": "issues",
        **_action_context(request),
    }
    return render(request, "administrations/issues.html", context)


def _rows(request: AuthenticatedRequest, page: queries.IssuePage) -> list[IssueRow]:
    ids = [
        issue.subject_id for issue, _name in page.items if issue.subject_kind == SubjectKind.ADMINISTRATION
    ]
    people = names_of_people(request.actor, ids)
    progress = progress_of(request.actor.organisation_id, ids)
    rows = []
    for issue, name, type_count in page.rows:
        key = issue.subject_id if issue.subject_kind == SubjectKind.ADMINISTRATION else 0
        rows.append(
            IssueRow(
                issue=issue,
                name=name,
                type_count=type_count,
                team=people.get(key, ()),
                progress=progress.get(key),
            )
        )
    return rows


def show_issue(request: AuthenticatedRequest, issue_id: int) -> HttpResponse:
    """Show one issue with its comments; add a comment."""
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    issue = queries.issue_for(request.actor, issue_id)
    form = CommentForm.of(request)
    if request.method == "POST":
        with form.refusals():
            services.comment_on_issue(request.actor, issue_id, form.input)
            return HttpResponseRedirect(reverse("issues:detail", args=[issue_id]))
    context = {
        "issue": view_of(request.actor, issue),
        "can_reopen": issue.dismissed_at or issue.snoozed_until,
        "issue_type": get_issue_type(issue.code),
        "name": queries.subject_names([issue]).get(issue.subject, ""),
        "comments": queries.list_comments(issue),
        "form": form,
        "nav_section": "issues",
        **_action_context(request),
    }
    return render(request, "administrations/issue.html", context)


@action_of("issues:list")
def act_on_issues(request: AuthenticatedRequest) -> HttpResponse:
    """Apply the action to the ticked issues, and offer to undo it."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    form = IssueActionForm.of(request)
    with form.refusals():
        action_input = form.input
        _show_result(request, action_input.action, services.act_on_issues(request.actor, action_input))
        return _back(request)
    messages.warning(request, form.error_text)
    return _back(request)


@action_of("issues:list")
def undo_operation(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Put back the values that the operation changed."""
    count = services.undo_operation(request.actor, operation_id)
    text = ngettext("Undone for %(count)d issue.", "Undone for %(count)d issues.", count)
    messages.success(request, text % {"count": count})
    return _back(request)


def _filters_of(request: AuthenticatedRequest) -> IssueFilter:
    parameters = request.parameters
    return IssueFilter(
        search_text=(parameters["q"] or "").replace("\0", "")[:100],
        code=parameters["kind"] or "",
        person=parameters["user"] or "",
        assignee=parameters["assignee"] or "",
        severity=parameters["severity"] or "",
        state=IssueState(parameters["state"] or IssueState.OPEN),
    )


def _action_context(request: AuthenticatedRequest) -> dict[str, Any]:
    today = timezone.localdate()
    return {
        "members": services.assignable_members(request.actor),
        "own_membership": request.actor.membership_id,
        "snooze_from": (today + timedelta(days=1)).isoformat(),
        "snooze_default": (today + timedelta(days=7)).isoformat(),
    }


def _show_result(
    request: AuthenticatedRequest, action: IssueActionName, result: services.IssueResult
) -> None:
    count = len(result.changed)
    if result.operation:
        undo_url = reverse("issues:undo", args=[result.operation.pk])
        success_with_undo(request, _sentence(action, count) % {"count": count}, undo_url)
    for reason in sorted(set(result.skipped.values())):
        skipped = sum(1 for found in result.skipped.values() if found == reason)
        text = ngettext("%(count)d issue unchanged.", "%(count)d issues unchanged.", skipped)
        messages.warning(request, f"{text % {'count': skipped}} {reason.label}")


def _sentence(action: IssueActionName, count: int) -> str:
    return {
        IssueActionName.ASSIGN: ngettext("%(count)d issue assigned.", "%(count)d issues assigned.", count),
        IssueActionName.SNOOZE: ngettext("%(count)d issue snoozed.", "%(count)d issues snoozed.", count),
        IssueActionName.DISMISS: ngettext("%(count)d issue dismissed.", "%(count)d issues dismissed.", count),
        IssueActionName.REOPEN: ngettext("%(count)d issue reopened.", "%(count)d issues reopened.", count),
    }[action]


def _back(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(return_url(request, reverse("issues:list")))
