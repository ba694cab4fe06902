"""Open issues within what a member may see: by kind or by client, page by page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
from django.utils.functional import Promise

from koppel.administrations.list.queryset import worked_on_by
from koppel.administrations.models import Administration
from koppel.audit.subjects import SubjectKind
from koppel.issues.issue_types import get_issue_type, issue_types
from koppel.issues.models import Issue
from koppel.issues.queries import IssueView, view_of
from koppel.kit.database.text_search import search_condition
from koppel.organisations.roles import Actor, Permission

PAGE_SIZE = 100
Named = tuple[IssueView, str]
"""An issue, and the name of the administration it is about; '' for a connection's."""


@dataclass(frozen=True)
class IssueFilter:
    """The filter of the page.

    `search_text` limits issues to administrations with this name or number, `person` to administrations of
    this member ("me", "none" or a membership's id), `kind` to one issue code.
    """

    search_text: str = ""
    kind: str = ""
    person: str = ""


@dataclass(frozen=True)
class IssueKind:
    """Open issues of one code, with their number."""

    code: str
    title: str | Promise
    count: int
    stops_sync: bool

    @property
    def is_known(self) -> bool:
        """Return whether an app still declares the code: only then can the list be filtered by it."""
        return self.code in issue_types


@dataclass(frozen=True)
class IssuePage:
    """A page of issues, grouped by kind or by client. `kinds` are the kinds on all pages, whatever kind is
    chosen.
    """

    items: list[Named]
    total: int
    number: int
    pages: int
    kinds: Sequence[IssueKind]

    @property
    def rows(self) -> list[tuple[IssueView, str, IssueKind]]:
        """Return the issues with their kind."""
        kinds = {kind.code: kind for kind in self.kinds}
        return [(issue, name, kinds[issue.code]) for issue, name in self.items]


def page_of(actor: Actor, filters: IssueFilter, *, number: int = 1, by_client: bool = False) -> IssuePage:
    """Return a page of the issues that the filter lets through."""
    issues = _open(actor, filters.search_text, filters.person)
    kinds = kinds_of(issues)
    if filters.kind:
        issues = issues.filter(code=filters.kind)
    page = Paginator(_ordered(issues, kinds, by_client=by_client), PAGE_SIZE).get_page(number)
    named = _with_subject_names(page)
    return IssuePage(named, page.paginator.count, page.number, page.paginator.num_pages, kinds)


def open_count(actor: Actor) -> int:
    return _open(actor).count()


def open_kinds(actor: Actor) -> list[IssueKind]:
    """Return the kinds of all open issues that the actor may see."""
    return kinds_of(_open(actor))


def newest_of(actor: Actor, kind: str, count: int) -> list[Named]:
    """Return the newest issues of one kind."""
    return _with_subject_names(_open(actor).filter(code=kind).order_by("-raised_at", "-pk")[:count])


def kinds_of(issues: "QuerySet[Issue]") -> list[IssueKind]:
    """Count issues by kind: kinds that stop syncs first, then the most frequent ones."""
    counts = issues.values_list("code").annotate(count=Count("pk")).order_by()
    types = [(get_issue_type(code), code, count) for code, count in counts]
    kinds = [IssueKind(code, kind.title or code, count, kind.stops_sync) for kind, code, count in types]
    return sorted(kinds, key=lambda kind: (not kind.stops_sync, -kind.count, kind.code))


def _ordered(issues: "QuerySet[Issue]", kinds: Sequence[IssueKind], *, by_client: bool) -> "QuerySet[Issue]":
    subjects = Administration.objects.filter(pk=OuterRef("subject_id"), organisation=OuterRef("organisation"))
    is_about_one = When(
        subject_kind=SubjectKind.ADMINISTRATION, then=Subquery(subjects.values("sort_name")[:1])
    )
    places = [When(code=kind.code, then=Value(place)) for place, kind in enumerate(kinds)]
    issues = issues.annotate(
        client=Case(is_about_one, default=Value(""), output_field=TextField()),
        kind_order=Case(*places, default=Value(len(kinds)), output_field=IntegerField()),
    )
    client = ("client", "subject_kind", "subject_id")
    return issues.order_by(
        *((*client, "kind_order") if by_client else ("kind_order", *client)), "-raised_at", "-pk"
    )


def _open(actor: Actor, search_text: str = "", person: str = "") -> "QuerySet[Issue]":
    """Return open issues; those of connections only for members who may act on them."""
    visible = Administration.objects.visible_to(actor)
    visible = visible.filter(search_condition(search_text, lambda word: Q(search_key__contains=word)))
    if person:
        visible = visible.filter(worked_on_by(actor, [person]))
    condition = Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id__in=visible.values("pk"))
    if actor.can(Permission.IMPORT_ADMINISTRATIONS) and not search_text.strip() and not person:
        condition |= Q(subject_kind=SubjectKind.CONNECTION)
    return Issue.objects.for_actor(actor).filter(condition, resolved_at=None)


def _with_subject_names(page: Iterable[Issue]) -> list[Named]:
    issues = list(page)
    ids = {issue.subject_id for issue in issues if issue.subject_kind == SubjectKind.ADMINISTRATION}
    names = dict(Administration.objects.filter(pk__in=ids).values_list("pk", "name"))
    return [
        (
            view_of(issue),
            names.get(issue.subject_id, "") if issue.subject_kind == SubjectKind.ADMINISTRATION else "",
        )
        for issue in issues
    ]
