"""Template context of every page's frame."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from koppel.administrations.issues.queries import open_count
from koppel.kit import quarantine
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.inbox.queries import unread_count
from koppel.onboarding.flow import open_flows
from koppel.onboarding.models import Flow
from koppel.organisations.organisation_settings.branding import branding_of
from koppel.organisations.people.page_preferences import preferences_of, theme_of_browser
from koppel.organisations.roles import Actor, Permission
from koppel.web.help.topics import help_url


@dataclass(frozen=True)
class NavItem:
    """An entry of the navigation. `key` is compared with the page's section."""

    key: str
    label: str | Promise
    url_name: str
    permission: Permission
    icon: str

    @property
    def url(self) -> str:
        return reverse(self.url_name)


MAIN = (
    NavItem("dashboard", _("Dashboard"), "web:dashboard", Permission.VIEW, "layout-dashboard"),
    NavItem("administrations", _("Administrations"), "administrations:list", Permission.VIEW, "building-2"),
    NavItem("issues", _("Issues"), "issues:list", Permission.VIEW, "circle-alert"),
    NavItem("changes", _("Recent changes"), "web:changes", Permission.VIEW, "git-compare-arrows"),
)
ORGANISATION = (
    NavItem("connections", _("Connections"), "connections:list", Permission.IMPORT_ADMINISTRATIONS, "plug"),
    NavItem("people", _("People"), "organisations:people", Permission.MANAGE_PEOPLE, "users"),
    NavItem("divisions", _("Divisions"), "organisations:divisions", Permission.MANAGE_PEOPLE, "network"),
    NavItem(
        "templates", _("Templates"), "organisations:templates", Permission.MANAGE_PEOPLE, "sliders-horizontal"
    ),
    NavItem("activity", _("Activity"), "web:activity", Permission.MANAGE_ORGANISATION, "scroll-text"),
    NavItem(
        "security", _("Security"), "organisations:security", Permission.MANAGE_ORGANISATION, "shield-check"
    ),
    NavItem("webhooks", _("Webhooks"), "webhooks:list", Permission.MANAGE_ORGANISATION, "webhook"),
    NavItem("settings", _("Settings"), "organisations:settings", Permission.MANAGE_ORGANISATION, "settings"),
)


T = TypeVar("T")
UNFINISHED_SHOWN_ON = frozenset({"web:dashboard", "administrations:list", "connections:list"})


@dataclass(frozen=True)
class NavGroup:
    """Entries under one heading; those that the member may open."""

    key: str
    label: str | Promise
    items: list[NavItem]


def frame(request: HttpRequest) -> dict[str, Any]:
    """Return the context of every page. Pages about one's own account have a frame without an actor of their
    request (`ActorMiddleware`).
    """
    actor: Actor | None = getattr(request, "actor", None) or getattr(request, "frame_actor", None)
    context: dict[str, Any] = {
        "actor": actor,
        "languages": settings.LANGUAGES,
        "nav_groups": (),
        "sends_mail": settings.SENDS_MAIL,
        "demo_mail_folder": settings.EMAIL_FILE_PATH if settings.IS_DEMO else None,
        "quarantine": SimpleLazyObject(quarantine.last_known),
        "help_url": help_url(request.resolver_match.view_name if request.resolver_match else ""),
        "theme": theme_of_browser(request),
        "account_layout": "web/frame.html" if actor else "web/bare.html",
    }
    if actor is None:
        return context
    # Pages of refusal, and those about one's own account, are rendered without a scope.
    preferences = SimpleLazyObject(lambda: _in_scope(actor, preferences_of))
    return {
        **context,
        **_branding_context(actor),
        "preferences": preferences,
        "theme": SimpleLazyObject(lambda: preferences.theme),
        "unread_notifications": SimpleLazyObject(lambda: _in_scope(actor, unread_count)),
        "unfinished_imports": _unfinished_imports(request, actor),
        "open_issues": SimpleLazyObject(lambda: _in_scope(actor, open_count)),
        "nav_groups": [
            NavGroup("work", _("Work"), [item for item in MAIN if actor.can(item.permission)]),
            NavGroup("manage", _("Manage"), [item for item in ORGANISATION if actor.can(item.permission)]),
        ],
        "may": {permission.value: actor.can(permission) for permission in Permission},
    }


def _branding_context(actor: Actor) -> dict[str, Any]:
    """Return name, logo and colour of the organisation: one query, and none where no page shows them."""
    branding = cache(partial(_in_scope, actor, branding_of))
    return {
        "organisation_name": SimpleLazyObject(lambda: branding().name),
        "organisation_logo_url": SimpleLazyObject(
            lambda: _url_or_empty("organisations:logo", branding().logo_digest)
        ),
        "organisation_colour_url": SimpleLazyObject(
            lambda: _url_or_empty("organisations:colour", branding().colour.removeprefix("#"))
        ),
    }


def _url_or_empty(url_name: str, part: str) -> str:
    return reverse(url_name, args=[part]) if part else ""


def _unfinished_imports(request: HttpRequest, actor: Actor) -> Sequence[Flow]:
    """Return the actor's unfinished imports on the pages where work begins, else none."""
    view_name = request.resolver_match.view_name if request.resolver_match else ""
    if view_name not in UNFINISHED_SHOWN_ON or not actor.can(Permission.IMPORT_ADMINISTRATIONS):
        return ()
    return _in_scope(actor, open_flows)


def _in_scope(actor: Actor, read: Callable[[Actor], T]) -> T:
    """Return what a query finds; a page of refusal is rendered after the scope of its request has ended."""
    with organisation_scope(actor.organisation_id):
        return read(actor)
