"""The page of the organisation's own settings."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.organisations.errors import Refused
from koppel.organisations.hooks import audience_events
from koppel.organisations.models import Organisation
from koppel.organisations.organisation_settings import change_organisation
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.organisations.settings_schema import (
    AUDIENCE_LABELS,
    RESOURCES,
    SCHEDULE_NAMES,
    WEEKDAYS,
    notification_audiences,
    parse_settings_form,
)


def settings_page(request: AuthenticatedRequest) -> HttpResponse:
    """Show the organisation's name, and the settings in force where neither administration nor template sets
    one.
    """
    request.actor.require(Permission.MANAGE_ORGANISATION)
    if request.method == "POST":
        return _perform(request, _change_organisation)
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    audiences = notification_audiences(organisation.settings)
    context = {
        "nav_section": "settings",
        "organisation": organisation,
        "notify": [(key, label, audiences.get(key, ""), "") for key, label in audience_events().items()],
        **_choices(),
    }
    return render(request, "organisations/settings.html", context)


def _perform(request: AuthenticatedRequest, action: Any) -> HttpResponse:
    """Perform an action, show its result or the reason of a refusal, and the page again."""
    try:
        action(request)
        messages.success(request, _("Saved."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(request.path)


def _change_organisation(request: AuthenticatedRequest) -> None:
    values = parse_settings_form(request.POST)
    change_organisation(request.actor, name=request.POST.get("name", ""), settings=values)


def _choices() -> dict[str, Any]:
    """Return the choices of a form of settings."""
    return {
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "audiences": list(AUDIENCE_LABELS.items()),
    }
