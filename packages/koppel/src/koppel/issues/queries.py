"""Queries of open issues, with their texts."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext

from koppel.audit.subjects import SubjectKind
from koppel.connector.period_format import format_period
from koppel.issues.hooks import related_visible
from koppel.issues.issue_types import IssueType, Remedy, StrOrPromise, get_issue_type
from koppel.issues.models import Issue, needs_attention
from koppel.kit.database.json_fields import MessageContext, MessageFacts
from koppel.kit.web.money import format_money
from koppel.kit.web.sentences import fill
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class IssueView:
    """An issue with its texts, in the active language. `link` and `button` are '' where it has no button."""

    id: int
    code: str
    subject_kind: str
    subject_id: int
    message: str
    advice: str
    button: str
    link: str
    context: MessageContext
    raised_at: datetime
    is_dismissible: bool
    assignee: Membership | None
    snoozed_until: date | None
    dismissed_at: datetime | None
    resolved_at: datetime | None
    comment_count: int
    remedy: Remedy | None
    remedy_url: str


def readable_issues(actor: Actor) -> "QuerySet[Issue]":
    """Return the issues whose facts the actor may know, resolved ones too; the caller limits them to visible
    subjects.

    An issue with `administration_ids` compares its subject with these administrations. It reveals that one
    exists, so only those who see one may read it.
    """
    return Issue.objects.for_actor(actor).filter(readable_condition(actor))


def readable_condition(actor: Actor) -> Q:
    """Return the condition of `readable_issues`."""
    return concerns_one_object() | related_visible(actor)


def concerns_one_object() -> Q:
    """Return the condition of issues that reveal nothing about other administrations than their subject."""
    return ~Q(context__has_key="administration_ids")


def open_issues(actor: Actor, kind: SubjectKind, ids: Iterable[int]) -> dict[int, list[IssueView]]:
    """Return issues that need attention by subject id, oldest first; subjects without issues are absent."""
    issues = (
        readable_issues(actor)
        .filter(needs_attention(), subject_kind=kind, subject_id__in=list(ids))
        .select_related("assignee__user")
        .order_by("raised_at", "id")
    )
    by_subject: dict[int, list[IssueView]] = {}
    for issue in issues:
        by_subject.setdefault(issue.subject_id, []).append(view_of(actor, issue))
    return by_subject


def count_open(actor: Actor, kind: SubjectKind, ids: Iterable[int]) -> dict[int, int]:
    """Return the number of issues that need attention per subject; subjects without are absent."""
    issues = readable_issues(actor).filter(needs_attention(), subject_kind=kind, subject_id__in=list(ids))
    return dict(issues.values_list("subject_id").annotate(Count("id")).order_by())


def view_of(actor: Actor, issue: Issue) -> IssueView:
    """Return the issue with its texts as this reader may see them."""
    issue_type = get_issue_type(issue.code)
    resolved = issue_type.resolve(actor, issue.context) if issue_type.resolve else {}
    context = {"code": issue.code, **issue.context, **resolved}
    return IssueView(
        id=issue.pk,
        code=issue.code,
        subject_kind=issue.subject_kind,
        subject_id=issue.subject_id,
        message=_fill(issue_type, issue_type.message, context),
        advice=_fill(issue_type, issue_type.advice, context),
        button=str(issue_type.button),
        link=issue_type.link(issue.subject_id, context) if issue_type.link else "",
        context=issue.context,
        raised_at=issue.raised_at,
        is_dismissible=issue_type.is_dismissible,
        assignee=issue.assignee,
        snoozed_until=issue.snoozed_until,
        dismissed_at=issue.dismissed_at,
        resolved_at=issue.resolved_at,
        comment_count=getattr(issue, "comment_count", 0),
        remedy=issue_type.remedy,
        remedy_url=issue_type.remedy.url(issue.subject_id, context) if issue_type.remedy else "",
    )


def render_issue_message(code: str, context: MessageFacts) -> str:
    """Render the message of an issue in the language that is active, also when the issue itself is gone."""
    issue_type = get_issue_type(code)
    return _fill(issue_type, issue_type.message, {"code": code, **context})


def _fill(issue_type: IssueType, template: StrOrPromise, context: MessageFacts) -> str:
    """Fill the context into a message; a value that an old issue lacks shows as a dash.

    Values are stored without a language: amounts and periods are formatted here.
    """
    currency = str(context.get("currency") or "")
    formatters: dict[str, Callable[[str], str]] = {
        "period": format_period,
        "difference": lambda amount: format_money(abs(Decimal(amount)), currency),
        "accounts": lambda accounts: _format_amounts(accounts, currency),
    }
    formatted = {
        name: formatter(text)
        for name, formatter in formatters.items()
        if isinstance(text := context.get(name), str)
    }
    localized = issue_type.localize(context) if issue_type.localize else {}
    values = {"system": gettext("the accounting system"), **context, **formatted, **localized}
    return fill(template, values)


def _format_amounts(text: str, currency: str) -> str:
    """Format each amount in brackets: `4000 (-67800.00)`."""
    return re.sub(
        r"(?<=\()-?\d+(?:\.\d+)?(?=\))", lambda found: format_money(Decimal(found[0]), currency), text
    )
