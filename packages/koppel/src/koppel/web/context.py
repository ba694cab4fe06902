"""Template context of every page's frame."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from koppel.kit import quarantine
from koppel.notifications.inbox.queries import unread_count
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor, Permission
from koppel.web.help.topics import help_url


@dataclass(frozen=True)
class NavItem:
    """An entry of the navigation. `key` is compared with the page's section."""

    key: str
    label: str | Promise
    url_name: str
    permission: Permission

    @property
    def url(self) -> str:
        return reverse(self.url_name)


MAIN = (
    NavItem("dashboard", _("Dashboard"), "web:dashboard", Permission.VIEW),
    NavItem("administrations", _("Administrations"), "administrations:list", Permission.VIEW),
    NavItem("issues", _("Issues"), "issues:list", Permission.VIEW),
)
ORGANISATION = (
    NavItem("connections", _("Connections"), "connections:list", Permission.IMPORT_ADMINISTRATIONS),
    NavItem("people", _("People"), "organisations:people", Permission.MANAGE_PEOPLE),
    NavItem("divisions", _("Divisions"), "organisations:divisions", Permission.MANAGE_PEOPLE),
    NavItem("templates", _("Templates"), "organisations:templates", Permission.MANAGE_PEOPLE),
    NavItem("activity", _("Activity"), "web:activity", Permission.MANAGE_ORGANISATION),
    NavItem("security", _("Security"), "organisations:security", Permission.MANAGE_ORGANISATION),
    NavItem("webhooks", _("Webhooks"), "webhooks:list", Permission.MANAGE_ORGANISATION),
    NavItem("settings", _("Settings"), "organisations:settings", Permission.MANAGE_ORGANISATION),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    actor: Actor | None = getattr(request, "actor", None)
    context: dict[str, Any] = {
        "actor": actor,
        "languages": settings.LANGUAGES,
        "nav_items": (),
        "organisation_nav_items": (),
        "sends_mail": settings.SENDS_MAIL,
        "quarantine": SimpleLazyObject(quarantine.last_known),
        "help_url": help_url(request.resolver_match.view_name if request.resolver_match else ""),
    }
    if actor is None:
        return context
    # Used by the frame only: pages of refusal are rendered without a scope.
    return {
        **context,
        "organisation_name": SimpleLazyObject(lambda: _name_of(actor)),
        "unread_notifications": SimpleLazyObject(lambda: unread_count(actor)),
        "nav_items": [item for item in MAIN if actor.can(item.permission)],
        "organisation_nav_items": [item for item in ORGANISATION if actor.can(item.permission)],
        "may": {permission.value: actor.can(permission) for permission in Permission},
    }


def _name_of(actor: Actor) -> str:
    return Organisation.objects.values_list("name", flat=True).get(pk=actor.organisation_id)
