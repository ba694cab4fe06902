"""Reads of administrations: the list people live in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from koppel.administrations.models import Administration, Assignment, Favourite, Status
from koppel.administrations.scope import visible_to
from koppel.audit.models import AuditEntry
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.policy import Actor

PAGE_SIZE = 100
SORTS = {
    "name": ("name", "pk"),
    "-name": ("-name", "-pk"),
    "number": ("number", "name", "pk"),
    "status": ("status", "name", "pk"),
    "complete": ("complete_as_of", "name", "pk"),
    "-complete": ("-complete_as_of", "name", "pk"),
}
FILTERS = ("status", "division", "template", "user", "connection", "freshness")
FRESH_HOURS = 30
"""Data older than a daily sync with some delay is stale."""


@dataclass(frozen=True)
class Page:
    rows: list[Administration]
    total: int
    number: int
    pages: int


@dataclass(frozen=True)
class ImportState:
    """How far an import is. `open` counts those queued or configuring."""

    id: int
    total: int
    active: int
    open: int
    trouble: int

    @property
    def done(self) -> int:
        return self.active + self.trouble


def search(actor: Actor, asked: Mapping[str, str]) -> "QuerySet[Administration]":
    """What the address bar asks for (`FILTERS`, q, import, favourites, sort). Rubbish is left out."""
    asked = {key: value.replace("\0", "") for key, value in asked.items()}
    found = visible_to(actor).select_related("division", "template", "connection")
    if words := asked.get("q", "").strip():
        found = found.filter(Q(name__icontains=words) | Q(number__icontains=words))
    if asked.get("status") in Status.values:
        found = found.filter(status=asked["status"])
    for key, column in (
        ("division", "division_id"),
        ("template", "template_id"),
        ("connection", "connection_id"),
        ("import", "imported_in"),
    ):
        if asked.get(key, "").isdecimal():
            found = found.filter(**{column: int(asked[key])})
    if asked.get("user", "").isdecimal():
        found = found.filter(
            Exists(Assignment.objects.filter(administration=OuterRef("pk"), membership_id=int(asked["user"])))
        )
    found = _of_age(found, asked.get("freshness", ""))
    star = Exists(Favourite.objects.filter(administration=OuterRef("pk"), membership_id=actor.membership_id))
    found = found.annotate(starred=star)
    if asked.get("favourites"):
        found = found.filter(starred=True)
    return found.order_by(*SORTS.get(asked.get("sort", ""), SORTS["name"]))


def _of_age(found: "QuerySet[Administration]", freshness: str) -> "QuerySet[Administration]":
    since = timezone.now() - timedelta(hours=FRESH_HOURS)
    if freshness == "fresh":
        return found.filter(complete_as_of__gte=since)
    if freshness == "stale":
        return found.filter(complete_as_of__lt=since)
    if freshness == "never":
        return found.filter(complete_as_of=None)
    return found


def page_of(found: "QuerySet[Administration]", number: int) -> Page:
    total = found.count()
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(number, 1), pages)
    return Page(list(found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]), total, number, pages)


def import_state(actor: Actor, import_id: int) -> ImportState | None:
    """None when the actor sees nothing of it."""
    counts = dict(
        visible_to(actor).filter(imported_in=import_id).values_list("status").annotate(Count("pk")).order_by()
    )
    if not counts:
        return None
    waiting = counts.get(Status.QUEUED, 0) + counts.get(Status.CONFIGURING, 0)
    active, total = counts.get(Status.ACTIVE, 0), sum(counts.values())
    return ImportState(import_id, total, active, waiting, total - active - waiting)


def choices(actor: Actor) -> dict[str, list[tuple[int, str]]]:
    """Divisions, templates and people to filter by or assign."""
    own = {"organisation_id": actor.organisation_id}
    people = Membership.objects.filter(**own, is_active=True).select_related("user").order_by("user__name")
    return {
        "divisions": list(Division.objects.filter(**own, archived_at=None).order_by("name").values_list("pk", "name")),
        "templates": list(Template.objects.filter(**own, archived_at=None).order_by("name").values_list("pk", "name")),
        "people": [(one.pk, str(one.user)) for one in people],
    }


def history_of(one: Administration, limit: int = 200) -> list[AuditEntry]:
    """The newest acts on this administration, those on many at once among them."""
    on_it = Q(subject_kind="administration", subject_id=one.pk)
    on_many = Q(act__startswith="administrations.", details__administrations__contains=[one.pk])
    found = AuditEntry.objects.filter(on_it | on_many, organisation_id=one.organisation_id)
    return list(found.order_by("-at", "-pk")[:limit])
