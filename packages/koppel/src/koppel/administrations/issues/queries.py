"""Queries of the issues that a member may see: by type or by client, page by page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from django.core.paginator import Paginator
from django.db.models import (
    Case,
    Count,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.functional import Promise

from koppel.administrations.errors import NoSuchIssue
from koppel.administrations.list.query import NONE
from koppel.administrations.list.queryset import assigned_members_condition
from koppel.administrations.models import Administration
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.models import Connection
from koppel.issues.issue_types import get_issue_type, issue_types
from koppel.issues.models import Issue, IssueComment, needs_attention
from koppel.issues.queries import IssueView, readable_issues, view_of
from koppel.kit.database.text_search import search_condition
from koppel.organisations.roles import Actor, Permission

PAGE_SIZE = 100
NamedIssue = tuple[IssueView, str]
"""An issue with the name of its administration; '' for the issue of a connection."""


class IssueState(StrEnum):
    """Which of the unresolved issues a list shows."""

    OPEN = "open"
    SNOOZED = "snoozed"
    DISMISSED = "dismissed"


class Severity(StrEnum):
    """Whether an issue stops the sync."""

    STOPS_SYNC = "stops_sync"
    ATTENTION = "attention"


@dataclass(frozen=True)
class IssueFilter:
    """`search_text` limits issues to administrations with this name or number, `person` to those that
    they work on ("me", "none" or a membership's id; "me" adds issues that are assigned to the actor, and
    those of the actor's own connections), `assignee` to those assigned to them.
    """

    search_text: str = ""
    code: str = ""
    person: str = ""
    assignee: str = ""
    severity: str = ""
    state: IssueState = IssueState.OPEN
    administration: int | None = None


@dataclass(frozen=True, kw_only=True)
class IssueTypeCount:
    """The number of issues of one type in a list."""

    code: str
    title: str | Promise
    count: int
    stops_sync: bool

    @property
    def is_known(self) -> bool:
        """Return whether an app still declares the code: only then can the list be filtered by it."""
        return self.code in issue_types


@dataclass(frozen=True, kw_only=True)
class IssuePage:
    """A page of issues, grouped by type or by client. `type_counts` are those of all pages, whatever type is
    chosen.
    """

    items: list[NamedIssue]
    total: int
    number: int
    pages: int
    type_counts: Sequence[IssueTypeCount]

    @property
    def rows(self) -> list[tuple[IssueView, str, IssueTypeCount]]:
        """Return the issues with the count of their type."""
        type_counts = {type_count.code: type_count for type_count in self.type_counts}
        return [(issue, name, type_counts[issue.code]) for issue, name in self.items]


def page_of(actor: Actor, filters: IssueFilter, *, number: int = 1, by_client: bool = False) -> IssuePage:
    """Return a page of the issues that the filter lets through."""
    issues = _matching(actor, filters)
    type_counts = count_by_type(issues)
    if filters.code:
        issues = issues.filter(code=filters.code)
    issues = _ordered(issues, type_counts, by_client=by_client).select_related("assignee__user")
    page = Paginator(issues.annotate(comment_count=_comment_count()), PAGE_SIZE).get_page(number)
    named = _with_subject_names(actor, page)
    return IssuePage(
        items=named,
        total=page.paginator.count,
        number=page.number,
        pages=page.paginator.num_pages,
        type_counts=type_counts,
    )


def own_count(actor: Actor) -> int:
    """Return the number of open issues that are the actor's own."""
    return _matching(actor, IssueFilter(person="me")).count()


def has_hidden(actor: Actor) -> bool:
    """Return whether some unresolved issues are snoozed or dismissed."""
    return visible_issues(actor).filter(resolved_at=None).exclude(needs_attention()).exists()


def count_open_by_type(actor: Actor) -> list[IssueTypeCount]:
    """Count the open issues that the actor may see, by type."""
    return count_by_type(open_issues_of(actor))


def newest_of(actor: Actor, code: str, count: int) -> list[NamedIssue]:
    """Return the newest issues of one type."""
    return _with_subject_names(
        actor, open_issues_of(actor).filter(code=code).order_by("-raised_at", "-pk")[:count]
    )


def newest_by_type(actor: Actor) -> dict[str, NamedIssue]:
    """Return the newest open issue of each type."""
    newest = open_issues_of(actor).order_by("code", "-raised_at", "-pk").distinct("code")
    return {issue.code: (issue, name) for issue, name in _with_subject_names(actor, newest)}


def count_by_type(issues: "QuerySet[Issue]") -> list[IssueTypeCount]:
    """Count issues by type: those that stop syncs first, then the most frequent ones."""
    counts = issues.values_list("code").annotate(count=Count("pk")).order_by()
    types = [(get_issue_type(code), code, count) for code, count in counts]
    type_counts = [
        IssueTypeCount(
            code=code, title=issue_type.title or code, count=count, stops_sync=issue_type.stops_sync
        )
        for issue_type, code, count in types
    ]
    return sorted(type_counts, key=lambda counted: (not counted.stops_sync, -counted.count, counted.code))


def _ordered(
    issues: "QuerySet[Issue]", type_counts: Sequence[IssueTypeCount], *, by_client: bool
) -> "QuerySet[Issue]":
    subjects = Administration.objects.filter(pk=OuterRef("subject_id"), organisation=OuterRef("organisation"))
    own_client = When(
        subject_kind=SubjectKind.ADMINISTRATION, then=Subquery(subjects.values("sort_name")[:1])
    )
    positions = [
        When(code=type_count.code, then=Value(position)) for position, type_count in enumerate(type_counts)
    ]
    issues = issues.annotate(
        client=Case(own_client, default=Value(""), output_field=TextField()),
        type_order=Case(*positions, default=Value(len(type_counts)), output_field=IntegerField()),
    )
    client = ("client", "subject_kind", "subject_id")
    return issues.order_by(
        *((*client, "type_order") if by_client else ("type_order", *client)), "-raised_at", "-pk"
    )


def visible_issues(actor: Actor) -> "QuerySet[Issue]":
    """Return issues, resolved ones too; those of connections only for members who may act on them."""
    visible = Administration.objects.visible_to(actor)
    condition = Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id__in=visible.values("pk"))
    if actor.can(Permission.IMPORT_ADMINISTRATIONS):
        condition |= Q(subject_kind=SubjectKind.CONNECTION)
    return readable_issues(actor).filter(condition)


def issue_for(actor: Actor, issue_id: int) -> Issue:
    """Return the issue, also a resolved one, with its assignee. Raises `NoSuchIssue`."""
    issue = visible_issues(actor).filter(pk=issue_id).select_related("assignee__user").first()
    if issue is None:
        raise NoSuchIssue
    return issue


def list_matching(actor: Actor, filters: IssueFilter) -> "QuerySet[Issue]":
    """Return the issues that the filter lets through, oldest first."""
    issues = _matching(actor, filters)
    if filters.code:
        issues = issues.filter(code=filters.code)
    return issues.select_related("assignee__user").order_by("raised_at", "pk")


def state_of(issue: Issue) -> str:
    """Return the issue's `IssueState`, or `resolved`."""
    if issue.resolved_at:
        return "resolved"
    if issue.dismissed_at:
        return IssueState.DISMISSED
    is_snoozed = issue.snoozed_until and issue.snoozed_until > timezone.localdate()
    return IssueState.SNOOZED if is_snoozed else IssueState.OPEN


def severity_of(issue: Issue) -> Severity:
    return Severity.STOPS_SYNC if get_issue_type(issue.code).stops_sync else Severity.ATTENTION


def list_comments(issue: Issue) -> "QuerySet[IssueComment]":
    return IssueComment.objects.in_organisation(issue.organisation_id).filter(issue=issue).order_by("pk")


def subject_names(issues: Iterable[Issue]) -> dict[Subject, str]:
    """Return the names of the administrations and the accounts of the connections."""
    names: dict[Subject, str] = {}
    ids: dict[SubjectKind, list[int]] = {}
    for issue in issues:
        ids.setdefault(issue.subject.kind, []).append(issue.subject_id)
    administrations = Administration.objects.filter(pk__in=ids.get(SubjectKind.ADMINISTRATION, ()))
    for administration_id, name in administrations.values_list("pk", "name"):
        names[Subject(SubjectKind.ADMINISTRATION, administration_id)] = name
    connections = Connection.objects.filter(pk__in=ids.get(SubjectKind.CONNECTION, ()))
    for connection_id, name in connections.values_list("pk", "account"):
        names[Subject(SubjectKind.CONNECTION, connection_id)] = name
    return names


def open_issues_of(actor: Actor) -> "QuerySet[Issue]":
    """Return the issues that need attention and that the actor may see."""
    return visible_issues(actor).filter(needs_attention())


def _matching(actor: Actor, filters: IssueFilter) -> "QuerySet[Issue]":
    """Return issues of all types that the filter lets through."""
    issues = visible_issues(actor).filter(_STATES[filters.state]())
    words, person, assignee = filters.search_text.strip(), filters.person, filters.assignee
    if words or person or filters.administration:
        matches = Administration.objects.for_actor(actor)
        matches = matches.filter(search_condition(words, lambda word: Q(search_key__contains=word)))
        if person:
            matches = matches.filter(assigned_members_condition(actor, [person]))
        if filters.administration:
            matches = matches.filter(pk=filters.administration)
        condition = Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id__in=matches.values("pk"))
        if person == "me" and not words and not filters.administration:
            condition |= _own_tasks(actor)
        issues = issues.filter(condition)
    if assignee:
        member = actor.membership_id if assignee == "me" else int(assignee) if assignee != NONE else None
        issues = issues.filter(assignee_id=member)
    if filters.severity:
        codes = [code for code, issue_type in issue_types.items() if issue_type.stops_sync]
        condition = Q(code__in=codes)
        issues = issues.filter(condition if filters.severity == Severity.STOPS_SYNC else ~condition)
    return issues


def _own_tasks(actor: Actor) -> Q:
    """Return the condition of issues that are assigned to the actor, and of those of the actor's connections:
    only the owner can sign in again.
    """
    owned = Connection.objects.for_actor(actor).filter(owner_id=actor.membership_id)
    is_connection = Q(subject_kind=SubjectKind.CONNECTION, subject_id__in=owned.values("pk"))
    return Q(assignee_id=actor.membership_id) | is_connection


_STATES: Mapping[IssueState, Callable[[], Q]] = {
    IssueState.OPEN: needs_attention,
    IssueState.SNOOZED: lambda: Q(
        resolved_at=None, dismissed_at=None, snoozed_until__gt=timezone.localdate()
    ),
    IssueState.DISMISSED: lambda: Q(resolved_at=None, dismissed_at__isnull=False),
}


def _comment_count() -> Combinable:
    comments = IssueComment.objects.filter(organisation_id=OuterRef("organisation_id"), issue=OuterRef("pk"))
    counted = comments.order_by().values("issue").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))


def _with_subject_names(actor: Actor, page: Iterable[Issue]) -> list[NamedIssue]:
    issues = list(page)
    ids = {issue.subject_id for issue in issues if issue.subject_kind == SubjectKind.ADMINISTRATION}
    names = dict(Administration.objects.filter(pk__in=ids).values_list("pk", "name"))
    return [
        (
            view_of(actor, issue),
            names.get(issue.subject_id, "") if issue.subject_kind == SubjectKind.ADMINISTRATION else "",
        )
        for issue in issues
    ]
