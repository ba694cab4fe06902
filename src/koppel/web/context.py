"""What every page's frame shows."""

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


@dataclass(frozen=True)
class Place:
    """An entry of the rail. `key` is compared with the page's `place`."""

    key: str
    label: str | Promise
    url_name: str
    permission: Permission

    @property
    def url(self) -> str:
        return reverse(self.url_name)


MAIN = (
    Place("dashboard", _("Dashboard"), "web:dashboard", Permission.SEE),
    Place("administrations", _("Administrations"), "administrations:list", Permission.SEE),
    Place("issues", _("Issues"), "issues:list", Permission.SEE),
)
ORGANISATION = (
    Place("connections", _("Connections"), "connections:list", Permission.IMPORT),
    Place("people", _("People"), "organisations:people", Permission.PEOPLE),
    Place("divisions", _("Divisions"), "organisations:divisions", Permission.PEOPLE),
    Place("templates", _("Templates"), "organisations:templates", Permission.PEOPLE),
    Place("activity", _("Activity"), "web:activity", Permission.ORGANISATION),
    Place("security", _("Security"), "organisations:security", Permission.ORGANISATION),
    Place("webhooks", _("Webhooks"), "webhooks:list", Permission.ORGANISATION),
    Place("settings", _("Settings"), "organisations:settings", Permission.ORGANISATION),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    actor: Actor | None = getattr(request, "actor", None)
    shown: dict[str, Any] = {
        "actor": actor,
        "languages": settings.LANGUAGES,
        "places": (),
        "organisation_places": (),
        "sends_mail": settings.SENDS_MAIL,
        "quarantine": SimpleLazyObject(quarantine.last_known),
    }
    if actor is None:
        return shown
    # Asked for by the frame only: pages of refusal are rendered where no scope is open.
    return {
        **shown,
        "organisation_name": SimpleLazyObject(lambda: _name_of(actor)),
        "unread_notices": SimpleLazyObject(lambda: unread_count(actor)),
        "places": [one for one in MAIN if actor.may(one.permission)],
        "organisation_places": [one for one in ORGANISATION if actor.may(one.permission)],
        "may": {permission.value: actor.may(permission) for permission in Permission},
    }


def _name_of(actor: Actor) -> str:
    return Organisation.objects.values_list("name", flat=True).get(pk=actor.organisation_id)
