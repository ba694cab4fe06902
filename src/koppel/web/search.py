"""Search everywhere: administrations, people, pages. Within what the actor may see, as everywhere."""

from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.scope import visible_to
from koppel.company_registers.numbers import masked
from koppel.kit.text_search import folded
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission
from koppel.web.context import MAIN, ORGANISATION, Place

SHOWN = 8
LETTERS_MIN = 2
ALSO = {
    "connections": ("verbinding", "koppelen", "link", "consent", "inloggen"),
    "people": ("gebruikers", "users", "medewerkers", "uitnodigen", "invite"),
    "divisions": ("teams", "groepen", "groups", "departments"),
    "templates": ("sjabloon", "schema", "schedule"),
    "activity": ("audit", "logboek", "history"),
    "issues": ("fouten", "errors", "problemen", "meldingen"),
    "settings": ("instellingen", "configuratie"),
    "dashboard": ("home", "start", "overzicht"),
}
"""Other words that people use for a page, in either language; its label is found anyway."""


@dataclass(frozen=True)
class Hit:
    """`detail` tells namesakes apart."""

    kind: str | Promise
    label: str
    detail: str
    url: str


def find(actor: Actor, text: str) -> list[Hit]:
    """What begins with or contains the text, the likeliest first; nothing for less than two letters."""
    words = text.replace("\0", "").strip()
    if len(words) < LETTERS_MIN:
        return []
    return [*_pages(actor, words), *_administrations(actor, words), *_people(actor, words)]


def _administrations(actor: Actor, words: str) -> list[Hit]:
    found = visible_to(actor)
    for word in folded(words).split()[:8]:
        found = found.filter(search_key__contains=word)
    rows = found.order_by("sort_name", "pk").values_list("pk", "name", "number", "country")[:SHOWN]
    kind = _("Administration")
    return [
        Hit(
            kind,
            name,
            " · ".join(filter(None, (masked(number, country), country))),
            reverse("administrations:detail", args=[key]),
        )
        for key, name, number, country in rows
    ]


def _people(actor: Actor, words: str) -> list[Hit]:
    if not actor.may(Permission.PEOPLE):
        return []
    found = Membership.objects.filter(organisation_id=actor.organisation_id, is_active=True)
    found = found.filter(Q(user__name__icontains=words) | Q(user__email__icontains=words)).select_related("user")
    place = reverse("organisations:people")
    return [
        Hit(_("Person"), str(one.user), one.user.email, f"{place}?q={one.user.email}")
        for one in found.order_by("user__name", "pk")[:SHOWN]
    ]


def _pages(actor: Actor, words: str) -> list[Hit]:
    asked = words.lower()
    return [
        Hit(_("Page"), str(one.label), "", one.url)
        for one in (*MAIN, *ORGANISATION)
        if actor.may(one.permission) and _answers(one, asked)
    ]


def _answers(place: Place, asked: str) -> bool:
    names = (str(place.label).lower(), *ALSO.get(place.key, ()))
    return any(name.startswith(asked) for name in names)
