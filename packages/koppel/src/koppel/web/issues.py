"""Open issues within what a member may see, newest first, page by page."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet

from koppel.administrations.models import Administration
from koppel.audit.subjects import SubjectKind
from koppel.issues.models import Issue
from koppel.issues.queries import IssueView, view_of
from koppel.kit.database.text_search import search_condition
from koppel.organisations.roles import Actor, Permission

PAGE_SIZE = 100
Named = tuple[IssueView, str]
"""An issue, and the name of the administration it is about; '' for a connection's."""


@dataclass(frozen=True)
class Page:
    items: list[Named]
    total: int
    number: int
    pages: int


def page_of(actor: Actor, *, search_text: str = "", number: int = 1) -> Page:
    """Return a page; `search_text` limits it to administrations with this name or number."""
    page = Paginator(_newest_first(_open(actor, search_text)), PAGE_SIZE).get_page(number)
    return Page(_with_subject_names(page), page.paginator.count, page.number, page.paginator.num_pages)


def open_count(actor: Actor) -> int:
    return _open(actor).count()


def newest(actor: Actor, count: int) -> list[Named]:
    return _with_subject_names(_newest_first(_open(actor))[:count])


def _newest_first(issues: "QuerySet[Issue]") -> "QuerySet[Issue]":
    return issues.order_by("-raised_at", "-pk")


def _open(actor: Actor, search_text: str = "") -> "QuerySet[Issue]":
    """Return open issues; those of connections only for members who may act on them."""
    visible = Administration.objects.visible_to(actor)
    visible = visible.filter(search_condition(search_text, lambda word: Q(search_key__contains=word)))
    condition = Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id__in=visible.values("pk"))
    if actor.can(Permission.IMPORT_ADMINISTRATIONS) and not search_text.strip():
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
