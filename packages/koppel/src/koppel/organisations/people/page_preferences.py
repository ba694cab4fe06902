"""A member's own preferences: read for every page, changed by the member alone."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from koppel.organisations.models import Membership
from koppel.organisations.preference_types import DEFAULT_PREFERENCES, THEMES, ListLayout, Preferences
from koppel.organisations.roles import Actor

VISIT = timedelta(hours=1)
THEME_COOKIE = "koppel_theme"
"""The theme chosen last in this browser, for pages without a signed-in member."""


def theme_of_browser(request: HttpRequest) -> str:
    """Return the theme chosen last in this browser, else that of its system."""
    theme = request.COOKIES.get(THEME_COOKIE, "")
    return theme if theme in THEMES else DEFAULT_PREFERENCES.theme


def remember_theme(response: HttpResponse, theme: str) -> None:
    """Store the theme in the browser, for pages without a signed-in member."""
    response.set_cookie(THEME_COOKIE, theme, max_age=365 * 24 * 3600, samesite="Lax", httponly=True)


def preferences_of(actor: Actor) -> Preferences:
    """Return the member's preferences; the default ones of an operator, who is no member."""
    rows = Membership.objects.for_actor(actor).filter(pk=actor.membership_id)
    return rows.values_list("preferences", flat=True).first() or DEFAULT_PREFERENCES


def change_preferences(actor: Actor, changes: Mapping[str, Any]) -> None:
    """Store the named preferences; the others stay."""
    _store(actor, msgspec.structs.replace(preferences_of(actor), **changes))


def change_layout(
    actor: Actor, name: str, *, columns: list[str] | None = None, widths: dict[str, int] | None = None
) -> None:
    """Store columns or widths of a list; None leaves them."""
    preferences = preferences_of(actor)
    layout = preferences.layout(name)
    changed = ListLayout(
        layout.columns if columns is None else columns, layout.widths if widths is None else widths
    )
    _store(actor, msgspec.structs.replace(preferences, lists={**preferences.lists, name: changed}))


def begin_visit_to_changes(actor: Actor) -> datetime | None:
    """Return when the member last looked at the recent changes before this visit; None: never. Pages within
    `VISIT` are one visit.
    """
    preferences, now = preferences_of(actor), timezone.now()
    seen_at = preferences.changes_seen_at
    if seen_at and now - seen_at < VISIT:
        return preferences.changes_seen_before
    _store(actor, msgspec.structs.replace(preferences, changes_seen_at=now, changes_seen_before=seen_at))
    return seen_at


def _store(actor: Actor, preferences: Preferences) -> None:
    Membership.objects.for_actor(actor).filter(pk=actor.membership_id).update(preferences=preferences)
