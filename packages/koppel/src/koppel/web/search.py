"""Search for administrations, people and pages, within what the actor may see."""

from dataclasses import dataclass

from django.db.models import Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.company_registers.numbers import mask_number
from koppel.kit.database.text import clean_text
from koppel.kit.database.text_search import search_condition
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission
from koppel.web.context import MAIN, ORGANISATION, NavItem

RESULTS_SHOWN = 8
LETTERS_MIN = 2
SYNONYMS = {
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
class SearchResult:
    """`detail` distinguishes equal names."""

    kind: str | Promise
    label: str
    detail: str
    url: str


def search(actor: Actor, text: str) -> list[SearchResult]:
    """Return what begins with or contains the text, the best match
    first; nothing for less than two letters."""
    query = clean_text(text)
    if len(query) < LETTERS_MIN:
        return []
    return [*_pages(actor, query), *_administrations(actor, query), *_people(actor, query)]


def _administrations(actor: Actor, text: str) -> list[SearchResult]:
    queryset = Administration.objects.visible_to(actor)
    queryset = queryset.filter(search_condition(text, lambda word: Q(search_key__contains=word)))
    rows = queryset.order_by("sort_name", "pk").values_list("pk", "name", "number", "country")[:RESULTS_SHOWN]
    kind = _("Administration")
    return [
        SearchResult(
            kind,
            name,
            " · ".join(filter(None, (mask_number(number, country), country))),
            reverse("administrations:detail", args=[key]),
        )
        for key, name, number, country in rows
    ]


def _people(actor: Actor, text: str) -> list[SearchResult]:
    if not actor.can(Permission.MANAGE_PEOPLE):
        return []
    queryset = Membership.objects.for_actor(actor).filter(is_active=True)
    queryset = queryset.filter(Q(user__name__icontains=text) | Q(user__email__icontains=text)).select_related(
        "user"
    )
    people_url = reverse("organisations:people")
    return [
        SearchResult(
            _("Person"),
            str(membership.user),
            membership.user.email,
            f"{people_url}?q={membership.user.email}",
        )
        for membership in queryset.order_by("user__name", "pk")[:RESULTS_SHOWN]
    ]


def _pages(actor: Actor, text: str) -> list[SearchResult]:
    query = text.lower()
    return [
        SearchResult(_("Page"), str(item.label), "", item.url)
        for item in (*MAIN, *ORGANISATION)
        if actor.can(item.permission) and _matches(item, query)
    ]


def _matches(item: NavItem, query: str) -> bool:
    names = (str(item.label).lower(), *SYNONYMS.get(item.key, ()))
    return any(name.startswith(query) for name in names)
