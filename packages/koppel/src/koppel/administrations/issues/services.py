"""Use cases of issues, within what a member may see: assign, snooze, dismiss, reopen, undo and comment.

Each joins the caller's transaction and writes the audit log of the administration or connection.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import models
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.administrations.audit_actions import IssueAction
from koppel.administrations.errors import NoSuchIssue
from koppel.administrations.issues.inputs import CommentInput, IssueActionInput, IssueActionName
from koppel.administrations.issues.queries import issue_for, subject_names, visible_issues
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject
from koppel.issues.issue_types import get_issue_type
from koppel.issues.models import Issue, IssueComment, IssueOperation, IssueValues
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.errors import NoSuchMember, Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission, Role

UNDO_PERIOD = timedelta(days=1)
AUDIT_ACTIONS = {
    IssueActionName.ASSIGN: IssueAction.ASSIGNED,
    IssueActionName.SNOOZE: IssueAction.SNOOZED,
    IssueActionName.DISMISS: IssueAction.DISMISSED,
    IssueActionName.REOPEN: IssueAction.REOPENED,
}


class SkipReason(models.TextChoices):
    """Why an issue was left as it is; the value is the stored code, the label the sentence."""

    NOT_FOUND = "not_found", gettext_lazy("Resolved meanwhile, or you have no access.")
    UNCHANGED = "unchanged", gettext_lazy("Already set.")
    NOT_DISMISSIBLE = "not_dismissible", gettext_lazy("Disappears only when its cause is gone.")
    NO_ACCESS = "no_access", gettext_lazy("This user has no access to the administration.")


@dataclass(frozen=True, kw_only=True)
class IssueResult:
    """The result of an action on issues."""

    operation: IssueOperation | None = None
    """None: nothing changed."""
    changed: Sequence[int] = ()
    skipped: Mapping[int, SkipReason] = field(default_factory=dict)
    """The reasons by issue id."""


def act_on_issues(actor: Actor, action_input: IssueActionInput) -> IssueResult:
    """Apply the action to each issue that allows it.

    Raises `Refused` when a day or user is missing or wrong.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    assignee = _assignee(actor, action_input)
    values = _new_values(action_input)
    issues = _lock_issues(actor, action_input.ids)
    skipped = {key: SkipReason.NOT_FOUND for key in action_input.ids if key not in issues}
    visible_ids = _visible_issue_ids(assignee, issues.values()) if assignee else None
    changes: dict[int, IssueValues] = {}
    for key, issue in issues.items():
        if reason := _skip_reason(issue, action_input.action, values, visible_ids):
            skipped[key] = reason
        else:
            changes[key] = values
    if not changes:
        return IssueResult(skipped=skipped)
    operation = _apply(actor, AUDIT_ACTIONS[action_input.action], issues, changes)
    return IssueResult(operation=operation, changed=sorted(changes), skipped=skipped)


def undo_operation(actor: Actor, operation_id: int) -> int:
    """Put back what the operation set and nobody changed since. Returns the number of issues.

    Raises `NoSuchIssue` for an unknown operation, or one with an open issue that the actor may not see, and
    `Refused` for one that is over.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    operations = IssueOperation.objects.for_actor(actor).select_for_update()
    operation = operations.filter(pk=operation_id).first()
    issues = _lock_issues(actor, map(int, operation.after)) if operation else {}
    if operation is None or not issues or _has_hidden_issue(actor, operation, issues):
        raise NoSuchIssue
    if operation.undone_at or operation.created_at < timezone.now() - UNDO_PERIOD:
        raise Refused(_("This can no longer be undone."))
    changes = {
        key: operation.before[str(key)]
        for key, issue in issues.items()
        if _values_of(issue, operation.after[str(key)]) == operation.after[str(key)]
    }
    if changes:
        _apply(actor, IssueAction.UNDONE, issues, changes)
    operation.undone_at = timezone.now()
    operation.save(update_fields=["undone_at"])
    return len(changes)


def comment_on_issue(actor: Actor, issue_id: int, comment_input: CommentInput) -> IssueComment:
    """Add a comment. Raises `NoSuchIssue`."""
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    issue = issue_for(actor, issue_id)
    comment = IssueComment.objects.create(
        organisation_id=actor.organisation_id, issue=issue, author_name=actor.name, text=comment_input.text
    )
    subject = _subject(issue, subject_names([issue]))
    details = {"issue": issue.code}
    add_audit_entry(
        actor.organisation_id, actor.audit, IssueAction.COMMENTED, subject=subject, details=details
    )
    return comment


def assignable_members(actor: Actor) -> list[tuple[int, str]]:
    """Return id and name of the members who may act on issues."""
    members = active_memberships().filter(organisation_id=actor.organisation_id).exclude(role=Role.READER)
    return [(member.pk, str(member.user)) for member in members.order_by("user__name", "pk")]


def _has_hidden_issue(actor: Actor, operation: IssueOperation, visible_ids: Collection[int]) -> bool:
    """Return whether the operation changed an open issue beyond the visible ones."""
    open_issues = Issue.objects.for_actor(actor).filter(pk__in=map(int, operation.after), resolved_at=None)
    return open_issues.exclude(pk__in=visible_ids).exists()


def _assignee(actor: Actor, action_input: IssueActionInput) -> Membership | None:
    if action_input.action is not IssueActionName.ASSIGN or action_input.assignee is None:
        return None
    members = active_memberships().filter(organisation_id=actor.organisation_id).exclude(role=Role.READER)
    member = members.filter(pk=action_input.assignee).first()
    if member is None:
        raise NoSuchMember(_("This user does not exist or cannot act on issues."))
    return member


def _new_values(action_input: IssueActionInput) -> IssueValues:
    """Return the columns that the action sets."""
    today = timezone.localdate()
    if action_input.action is IssueActionName.ASSIGN:
        return {"assignee_id": action_input.assignee}
    if action_input.action is IssueActionName.SNOOZE:
        if action_input.until is None or not today < action_input.until <= today + timedelta(days=366):
            raise Refused(_("Choose a date after today, at most a year ahead."), field="until")
        return {"snoozed_until": action_input.until.isoformat()}
    if action_input.action is IssueActionName.DISMISS:
        return {"dismissed_at": timezone.now().isoformat()}
    return {"dismissed_at": None, "snoozed_until": None}


def _skip_reason(
    issue: Issue, action: IssueActionName, values: IssueValues, visible_ids: set[int] | None
) -> SkipReason | None:
    is_set = issue.dismissed_at if action is IssueActionName.DISMISS else None
    if is_set or _values_of(issue, values) == values:
        return SkipReason.UNCHANGED
    if action is IssueActionName.DISMISS and not get_issue_type(issue.code).is_dismissible:
        return SkipReason.NOT_DISMISSIBLE
    if visible_ids is not None and issue.pk not in visible_ids:
        return SkipReason.NO_ACCESS
    return None


def _visible_issue_ids(member: Membership, issues: Iterable[Issue]) -> set[int]:
    """Return the ids of the issues that this member may see."""
    actor = Actor(
        organisation_id=member.organisation_id,
        membership_id=member.pk,
        user_id=member.user_id,
        name="",
        role=Role(member.role),
    )
    return set(
        visible_issues(actor).filter(pk__in=[issue.pk for issue in issues]).values_list("pk", flat=True)
    )


def _lock_issues(actor: Actor, ids: Iterable[int]) -> dict[int, Issue]:
    issues = visible_issues(actor).filter(pk__in=list(ids), resolved_at=None)
    return {issue.pk: issue for issue in issues.order_by("pk").select_for_update(of=("self",))}


def _values_of(issue: Issue, names: Iterable[str]) -> IssueValues:
    return {name: _to_json(getattr(issue, name)) for name in names}


def _to_json(value: date | datetime | int | None) -> str | int | None:
    return value.isoformat() if isinstance(value, date) else value


def _from_json(name: str, value: str | int | None) -> date | datetime | int | str | None:
    if not isinstance(value, str):
        return value
    return parse_datetime(value) if name == "dismissed_at" else parse_date(value)


def _apply(
    actor: Actor, action: IssueAction, issues: Mapping[int, Issue], changes: Mapping[int, IssueValues]
) -> IssueOperation:
    """Set the columns, write the audit log, and store the operation for an undo."""
    changed = [issues[key] for key in changes]
    before = {str(issue.pk): _values_of(issue, changes[issue.pk]) for issue in changed}
    for issue in changed:
        for name, value in changes[issue.pk].items():
            setattr(issue, name, _from_json(name, value))
        if issue.snoozed_until:
            issue.notified_at = None  # those who are responsible are notified when it returns
    columns = sorted({name for values in changes.values() for name in values} | {"notified_at"})
    Issue.objects.bulk_update(changed, columns)
    _record(actor, action, changed, before)
    IssueOperation.objects.for_actor(actor).filter(created_at__lt=timezone.now() - 2 * UNDO_PERIOD).delete()
    return IssueOperation.objects.create(
        organisation_id=actor.organisation_id,
        action=action,
        before=before,
        after={str(key): values for key, values in changes.items()},
    )


def _record(
    actor: Actor, action: IssueAction, issues: Sequence[Issue], before: Mapping[str, IssueValues]
) -> None:
    names = subject_names(issues)
    for issue in issues:
        values = before[str(issue.pk)]
        details = {"issue": issue.code, "before": values, "after": _values_of(issue, values)}
        add_audit_entry(
            actor.organisation_id, actor.audit, action, subject=_subject(issue, names), details=details
        )


def _subject(issue: Issue, names: Mapping[Subject, str]) -> Subject:
    return Subject(kind=issue.subject.kind, id=issue.subject_id, name=names.get(issue.subject, ""))
