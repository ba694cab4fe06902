"""The list people live in: what matches, in which order, one page of it.

Every index that serves it begins with the organisation. Policies allow only leakproof conditions below them, so the search
compares plain folded text within one organisation's rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from koppel.administrations.hooks import extension_points
from koppel.administrations.list.columns import ordering
from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import NONE, Asked
from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.administrations.scope import visible_to
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.text_search import folded
from koppel.organisations.roles import Actor, Role

PAGE_SIZE = 100
PARENTS = ("division", "template", "connection", "remote_company")
FRESH_HOURS = 30
"""Data older than a daily sync with some delay is stale."""
OLD_DAYS = 7
CHANGED_HOURS = 24


@dataclass(frozen=True)
class Page:
    rows: list[Administration]
    total: int
    number: int
    pages: int


def matching(actor: Actor, asked: Asked) -> "QuerySet[Administration]":
    """All that the actor may see and the filters let through, in no order. Raises `UnknownParameter`."""
    require_known(actor, asked)
    return _matching(actor, asked)


def _matching(actor: Actor, asked: Asked) -> "QuerySet[Administration]":
    found = visible_to(actor)
    for word in folded(asked.one.get("q", "")).split()[:8]:
        found = found.filter(Q(search_key__contains=word) | Q(remote_company_id__in=_with_code(actor, word)))
    for key, values in asked.many.items():
        found = found.filter(_MANY[key](actor, values))
    for key, value in asked.one.items():
        if key in _ONE:
            found = found.filter(_ONE[key](actor, value))
    return found


def search(actor: Actor, asked: Asked) -> "QuerySet[Administration]":
    """What matches, in the order asked for. Raises `UnknownParameter`."""
    annotations, order = ordering(asked.sort)
    found = matching(actor, asked).select_related(*PARENTS)
    return found.annotate(**annotations).order_by(*order)


def page_of(actor: Actor, asked: Asked) -> Page:
    """The page asked for, else the last one there is. Raises `UnknownParameter`.

    Ids are ordered first and rows fetched for one page only: sorting whole rows with their four parents costs five times as
    much."""
    total = matching(actor, asked).count()
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(asked.page, 1), pages)
    annotations, order = ordering(asked.sort)
    ids = _matching(actor, asked).annotate(**annotations).order_by(*order).values_list("pk", flat=True)
    shown = list(ids[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]) if total else []
    found = Administration.objects.filter(organisation_id=actor.organisation_id).select_related(*PARENTS)
    rows = found.in_bulk(shown)
    return Page([rows[key] for key in shown if key in rows], total, number, pages)


def since_fresh(now: datetime | None = None) -> datetime:
    return (now or timezone.now()) - timedelta(hours=FRESH_HOURS)


def of_age(freshness: str) -> Q:
    """The four ages share everything between them and do not overlap."""
    fresh = since_fresh()
    old = timezone.now() - timedelta(days=OLD_DAYS)
    return {
        "fresh": Q(complete_as_of__gte=fresh),
        "stale": Q(complete_as_of__lt=fresh, complete_as_of__gte=old),
        "old": Q(complete_as_of__lt=old),
        "never": Q(complete_as_of=None),
    }[freshness]


def with_open_issue(actor: Actor, code: str = "") -> "QuerySet[Issue]":
    """Ids of administrations, as a subquery."""
    found = Issue.objects.filter(organisation_id=actor.organisation_id, subject_kind="administration", resolved_at=None)
    return (found.filter(code=code) if code else found).values("subject_id")  # type: ignore[return-value]


def _with_code(actor: Actor, word: str) -> "QuerySet[RemoteCompany]":
    own = RemoteCompany.objects.filter(organisation_id=actor.organisation_id, code__icontains=word)
    return own.values("pk")  # type: ignore[return-value]


def _ids(column: str, values: Sequence[str]) -> Q:
    wanted = Q(**{f"{column}__in": [int(one) for one in values if one != NONE]})
    return wanted | Q(**{f"{column}__isnull": True}) if NONE in values else wanted


def _people(actor: Actor, values: Sequence[str]) -> Q:
    """Who works on it. That Administrators are on everything by default does not count."""
    on_it = Assignment.objects.filter(organisation_id=actor.organisation_id, administration=OuterRef("pk"))
    at_work = on_it.filter(Q(automatic=False) | ~Q(membership__role=Role.ADMINISTRATOR))
    ids = [actor.membership_id if one == "me" else int(one) for one in values if one != NONE]
    found = Q(Exists(at_work.filter(membership_id__in=ids))) if ids else Q(pk__in=[])
    return found | ~Q(Exists(at_work)) if NONE in values else found


def _sectors(actor: Actor, values: Sequence[str]) -> Q:
    return Q(sector__in=["" if one == NONE else one for one in values])


def _ages(actor: Actor, values: Sequence[str]) -> Q:
    found = Q(pk__in=[])
    for one in values:
        found |= of_age(one)
    return found


def _issues(actor: Actor, value: str) -> Q:
    if value == NONE:
        return ~Q(pk__in=with_open_issue(actor))
    return Q(pk__in=with_open_issue(actor, "" if value == "any" else value))


def _number(actor: Actor, value: str) -> Q:
    if value == "missing":
        return Q(number="")
    if value == "incomplete":
        return Q(number="") & (Q(no_number_reason="") | Q(sector=""))
    if value == "doubtful":
        return ~Q(number_note="")
    return Q(number__in=numbers_twice(actor))


def numbers_twice(actor: Actor) -> "QuerySet[Administration]":
    """Numbers that more than one of the visible administrations carries: the same client, imported twice."""
    carried = visible_to(actor).exclude(number="").values("number", "number_scheme").order_by()
    return carried.annotate(n=Count("pk")).filter(n__gt=1).values("number")  # type: ignore[return-value]


def _starred(actor: Actor, value: str) -> Q:
    own = Favourite.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, administration=OuterRef("pk")
    )
    return Q(Exists(own))


def _changed(actor: Actor, value: str) -> Q:
    since = timezone.now() - timedelta(hours=CHANGED_HOURS)
    return Q(pk__in=extension_points.changed_since(actor.organisation_id, since))


_MANY: dict[str, Callable[[Actor, Sequence[str]], Q]] = {
    "status": lambda actor, values: Q(status__in=values),
    "division": lambda actor, values: _ids("division_id", values),
    "template": lambda actor, values: _ids("template_id", values),
    "connection": lambda actor, values: _ids("connection_id", values),
    "user": _people,
    "sector": _sectors,
    "freshness": _ages,
}
_ONE: dict[str, Callable[[Actor, str], Q]] = {
    "issues": _issues,
    "number": _number,
    "favourites": _starred,
    "changed": _changed,
    "running": lambda actor, value: Q(
        pk__in=[one.administration_id for one in extension_points.under_way(actor.organisation_id)]
    ),
    "import": lambda actor, value: Q(imported_in=int(value)),
    "restricted": lambda actor, value: Q(restricted=True),
    "ending": lambda actor, value: Q(left_on__isnull=False) if value == "left" else Q(deactivate_on__isnull=False),
}
