"""The list of administrations: filters, search, order and pages.

Every index that serves it begins with the organisation. Policies allow only leakproof conditions below them,
so the search compares plain folded text within one organisation's rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_

from django.core.paginator import Paginator
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from koppel.administrations.display_state import state_condition
from koppel.administrations.hooks import active_syncs, changes_since
from koppel.administrations.list.columns import ordering
from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import NONE, ListQuery
from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.audit.subjects import SubjectKind
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue, needs_attention
from koppel.issues.queries import readable_issues
from koppel.kit.database.text_search import search_condition
from koppel.organisations.roles import Actor, Role

PAGE_SIZE = 100
DISPLAYED_RELATIONS = ("division", "template", "connection", "remote_company")
FRESH_HOURS = 30
"""Data older than a daily sync with some delay is stale."""
OLD_DAYS = 7
CHANGED_HOURS = 24


@dataclass(frozen=True, kw_only=True)
class ListPage:
    rows: list[Administration]
    total: int
    number: int
    pages: int


def apply_filters(actor: Actor, query: ListQuery) -> "QuerySet[Administration]":
    """Return all that the actor may see and the filters let through, in no order. Raises
    `UnknownParameter`.
    """
    require_known(actor, query)
    return _matching(actor, query)


def _matching(actor: Actor, query: ListQuery) -> "QuerySet[Administration]":
    queryset = Administration.objects.visible_to(actor)
    if text := query.single_filters.get("q", ""):
        queryset = queryset.filter(
            search_condition(
                text,
                lambda word: (
                    Q(search_key__contains=word) | Q(remote_company_id__in=_companies_with_code(actor, word))
                ),
            )
        )
    for key, values in query.multi_filters.items():
        queryset = queryset.filter(_MULTI_CONDITIONS[key](actor, values))
    for key, value in query.single_filters.items():
        if key in _SINGLE_CONDITIONS:
            queryset = queryset.filter(_SINGLE_CONDITIONS[key](actor, value))
    return queryset


def search(actor: Actor, query: ListQuery) -> "QuerySet[Administration]":
    """Return matching administrations in the requested order. Raises `UnknownParameter`."""
    annotations, order = ordering(actor, query.sort)
    queryset = apply_filters(actor, query).select_related(*DISPLAYED_RELATIONS)
    return queryset.annotate(**annotations).order_by(*order)


def get_page(actor: Actor, query: ListQuery) -> ListPage:
    """Read the requested page, else the last one. Raises `UnknownParameter`.

    Ids are ordered first and rows fetched for one page only: sorting whole rows with their four parents costs
    five times as much.
    """
    annotations, order = ordering(actor, query.sort)
    ids = apply_filters(actor, query).annotate(**annotations).order_by(*order).values_list("pk", flat=True)
    page = Paginator(ids, PAGE_SIZE).get_page(query.page)
    page_ids = list(page)
    queryset = Administration.objects.for_actor(actor).select_related(*DISPLAYED_RELATIONS)
    rows = queryset.in_bulk(page_ids)
    administrations = [rows[administration_id] for administration_id in page_ids if administration_id in rows]
    return ListPage(
        rows=administrations, total=page.paginator.count, number=page.number, pages=page.paginator.num_pages
    )


def fresh_since(now: datetime | None = None) -> datetime:
    return (now or timezone.now()) - timedelta(hours=FRESH_HOURS)


def freshness_condition(freshness: str) -> Q:
    """Return the condition of one of the four ages, which cover everything and do not overlap."""
    fresh = fresh_since()
    old = timezone.now() - timedelta(days=OLD_DAYS)
    return {
        "fresh": Q(complete_as_of__gte=fresh),
        "stale": Q(complete_as_of__lt=fresh, complete_as_of__gte=old),
        "old": Q(complete_as_of__lt=old),
        "never": Q(complete_as_of=None),
    }[freshness]


def freshness_of_moments() -> Callable[[datetime | None], str]:
    """Return a function that tells the age of `complete_as_of` as `freshness_condition` selects it now."""
    fresh = fresh_since()
    old = timezone.now() - timedelta(days=OLD_DAYS)

    def freshness(complete_as_of: datetime | None) -> str:
        if complete_as_of is None:
            return "never"
        return "fresh" if complete_as_of >= fresh else "stale" if complete_as_of >= old else "old"

    return freshness


def ids_with_open_issue(actor: Actor, code: str = "") -> "QuerySet[Issue]":
    """Return ids of administrations, as a subquery."""
    queryset = readable_issues(actor).filter(needs_attention(), subject_kind=SubjectKind.ADMINISTRATION)
    return (queryset.filter(code=code) if code else queryset).values("subject_id")  # type: ignore[return-value]


def _companies_with_code(actor: Actor, word: str) -> "QuerySet[RemoteCompany]":
    companies = RemoteCompany.objects.for_actor(actor).filter(code__icontains=word)
    return companies.values("pk")  # type: ignore[return-value]


def _ids(column: str, values: Sequence[str]) -> Q:
    condition = Q(**{f"{column}__in": [int(text) for text in values if text != NONE]})
    return condition | Q(**{f"{column}__isnull": True}) if NONE in values else condition


def assigned_members_condition(actor: Actor, values: Sequence[str]) -> Q:
    """Return the condition on assigned members; automatic assignments of Administrators do not count."""
    all_assignments = Assignment.objects.for_actor(actor).filter(administration=OuterRef("pk"))
    assignments = all_assignments.filter(Q(automatic=False) | ~Q(membership__role=Role.ADMINISTRATOR))
    ids = [actor.membership_id if text == "me" else int(text) for text in values if text != NONE]
    condition = Q(Exists(assignments.filter(membership_id__in=ids))) if ids else Q(pk__in=[])
    return condition | ~Q(Exists(assignments)) if NONE in values else condition


def _sectors(actor: Actor, values: Sequence[str]) -> Q:
    return Q(sector__in=["" if text == NONE else text for text in values])


def _states(actor: Actor, values: Sequence[str]) -> Q:
    return reduce(or_, map(state_condition, values))


def _freshness(actor: Actor, values: Sequence[str]) -> Q:
    condition = Q(pk__in=[])
    for freshness in values:
        condition |= freshness_condition(freshness)
    return condition


def _issues(actor: Actor, value: str) -> Q:
    if value == NONE:
        return ~Q(pk__in=ids_with_open_issue(actor))
    return Q(pk__in=ids_with_open_issue(actor, "" if value == "any" else value))


def _number(actor: Actor, value: str) -> Q:
    if value == "missing":
        return Q(number="")
    if value == "incomplete":
        return Q(number="") & (Q(no_number_reason="") | Q(sector=""))
    if value == "doubtful":
        return ~Q(number_note="")
    return Q(number__in=duplicate_numbers(actor))


def duplicate_numbers(actor: Actor) -> "QuerySet[Administration]":
    """Return numbers that more than one of the visible administrations has: the same client, imported
    twice.
    """
    numbers = (
        Administration.objects.visible_to(actor)
        .exclude(number="")
        .values("number", "number_scheme")
        .order_by()
    )
    return numbers.annotate(n=Count("pk")).filter(n__gt=1).values("number")  # type: ignore[return-value]


def _favourites(actor: Actor, value: str) -> Q:
    favourites = Favourite.objects.for_actor(actor).filter(
        membership_id=actor.membership_id, administration=OuterRef("pk")
    )
    return Q(Exists(favourites))


def _recently_changed(actor: Actor, value: str) -> Q:
    since = timezone.now() - timedelta(hours=CHANGED_HOURS)
    return Q(pk__in=[changes.administration_id for changes in changes_since(actor.organisation_id, since)])


_MULTI_CONDITIONS: dict[str, Callable[[Actor, Sequence[str]], Q]] = {
    "status": _states,
    "division": lambda actor, values: _ids("division_id", values),
    "template": lambda actor, values: _ids("template_id", values),
    "connection": lambda actor, values: _ids("connection_id", values),
    "user": assigned_members_condition,
    "sector": _sectors,
    "freshness": _freshness,
}
_SINGLE_CONDITIONS: dict[str, Callable[[Actor, str], Q]] = {
    "issues": _issues,
    "number": _number,
    "favourites": _favourites,
    "changed": _recently_changed,
    "running": lambda actor, value: Q(
        pk__in=[sync.administration_id for sync in active_syncs(actor.organisation_id)]
    ),
    "import": lambda actor, value: Q(import_id=int(value)),
    "restricted": lambda actor, value: Q(restricted=True),
    "lifecycle": lambda actor, value: (
        Q(client_left_on__isnull=False)
        if value == "client_left"
        else Q(scheduled_deactivation_on__isnull=False)
    ),
}
