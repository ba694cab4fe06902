"""Reads of administrations: the list people live in."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from koppel.administrations.models import Administration, Assignment, Favourite, Status
from koppel.administrations.scope import visible_to
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
FILTERS = ("status", "division", "template", "user", "connection")


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


def search(actor: Actor, asked: Mapping[str, str]) -> "QuerySet[Administration]":
    """What the address bar asks for (`FILTERS`, q, import, favourites, sort). Rubbish is left out."""
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
    star = Exists(Favourite.objects.filter(administration=OuterRef("pk"), membership_id=actor.membership_id))
    found = found.annotate(starred=star)
    if asked.get("favourites"):
        found = found.filter(starred=True)
    return found.order_by(*SORTS.get(asked.get("sort", ""), SORTS["name"]))


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
