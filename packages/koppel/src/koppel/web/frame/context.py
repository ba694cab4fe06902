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

from koppel.kit import quarantine
from koppel.kit.tenancy import has_scope_of, organisation_scope
from koppel.onboarding.flow import open_flows
from koppel.onboarding.models import Flow
from koppel.organisations.people.page_preferences import theme_of_browser
from koppel.organisations.roles import Actor, Permission
from koppel.web.frame.frame_data import load_frame_data
from koppel.web.help.topics import help_url


@dataclass(frozen=True, kw_only=True)
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
    NavItem(
        key="dashboard",
        label=_("Dashboard"),
        url_name="web:dashboard",
        permission=Permission.VIEW,
        icon="layout-dashboard",
    ),
    NavItem(
        key="administrations",
        label=_("Administrations"),
        url_name="administrations:list",
        permission=Permission.VIEW,
        icon="building-2",
    ),
    NavItem(
        key="issues",
        label=_("Issues"),
        url_name="issues:list",
        permission=Permission.VIEW,
        icon="circle-alert",
    ),
    NavItem(
        key="changes",
        label=_("Recent changes"),
        url_name="web:changes",
        permission=Permission.VIEW,
        icon="git-compare-arrows",
    ),
)
ORGANISATION = (
    NavItem(
        key="connections",
        label=_("Connections"),
        url_name="connections:list",
        permission=Permission.IMPORT_ADMINISTRATIONS,
        icon="plug",
    ),
    NavItem(
        key="people",
        label=_("People"),
        url_name="organisations:people",
        permission=Permission.MANAGE_PEOPLE,
        icon="users",
    ),
    NavItem(
        key="divisions",
        label=_("Divisions"),
        url_name="organisations:divisions",
        permission=Permission.MANAGE_PEOPLE,
        icon="network",
    ),
    NavItem(
        key="templates",
        label=_("Templates"),
        url_name="organisations:templates",
        permission=Permission.MANAGE_PEOPLE,
        icon="sliders-horizontal",
    ),
    NavItem(
        key="activity",
        label=_("Activity"),
        url_name="web:activity",
        permission=Permission.MANAGE_ORGANISATION,
        icon="scroll-text",
    ),
    NavItem(
        key="security",
        label=_("Security"),
        url_name="organisations:security",
        permission=Permission.MANAGE_ORGANISATION,
        icon="shield-check",
    ),
    NavItem(
        key="webhooks",
        label=_("Webhooks"),
        url_name="webhooks:list",
        permission=Permission.MANAGE_ORGANISATION,
        icon="webhook",
    ),
    NavItem(
        key="settings",
        label=_("Settings"),
        url_name="organisations:settings",
        permission=Permission.MANAGE_ORGANISATION,
        icon="settings",
    ),
)


T = TypeVar("T")
UNFINISHED_SHOWN_ON = frozenset({"web:dashboard", "administrations:list", "connections:list"})


@dataclass(frozen=True, kw_only=True)
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
    # One statement, and none where no page shows what it reads.
    data = cache(partial(_in_scope, actor, load_frame_data))
    return {
        **context,
        "preferences": SimpleLazyObject(lambda: data().preferences),
        "theme": SimpleLazyObject(lambda: data().preferences.theme),
        "unread_notifications": SimpleLazyObject(lambda: data().unread_notifications),
        "unfinished_imports": _unfinished_imports(request, actor),
        "open_issues": SimpleLazyObject(lambda: data().open_issues),
        "organisation_name": SimpleLazyObject(lambda: data().organisation_name),
        "organisation_logo_url": SimpleLazyObject(
            lambda: _url_or_empty("organisations:logo", data().logo_digest)
        ),
        "organisation_colour_url": SimpleLazyObject(
            lambda: _url_or_empty("organisations:colour", data().colour.removeprefix("#"))
        ),
        "nav_groups": [
            NavGroup(
                key="work", label=_("Work"), items=[item for item in MAIN if actor.can(item.permission)]
            ),
            NavGroup(
                key="manage",
                label=_("Manage"),
                items=[item for item in ORGANISATION if actor.can(item.permission)],
            ),
        ],
        "may": {permission.value: actor.can(permission) for permission in Permission},
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
    """Return what a query finds. Pages of refusal, and those about one's own account, are rendered without a
    scope.
    """
    if has_scope_of(actor.organisation_id):
        return read(actor)
    with organisation_scope(actor.organisation_id):
        return read(actor)
