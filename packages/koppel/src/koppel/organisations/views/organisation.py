"""The page of the organisation's own settings."""

from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.organisations.forms.settings_values import OrganisationForm
from koppel.organisations.hooks import audience_events
from koppel.organisations.models import Organisation, SettingsMap
from koppel.organisations.organisation_settings import change_organisation
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.organisations.settings_schema import (
    AUDIENCE_LABELS,
    RESOURCES,
    SCHEDULE_NAMES,
    WEEKDAYS,
    notification_audiences,
)


def show_settings(request: AuthenticatedRequest) -> HttpResponse:
    """Show and change the organisation's name, and the settings that
    hold beneath administrations and templates."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = OrganisationForm.of(request)
    if request.method == "POST":
        with form.refusals():
            change_organisation(request.actor, form.input)
            messages.success(request, _("Saved."))
            return HttpResponseRedirect(request.path)
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    current = form.typed_settings if form.is_bound else organisation.settings
    context = {
        "nav_section": "settings",
        "form": form,
        "name": form["name"].value() if form.is_bound else organisation.name,
        "current": current,
        **_choices(form, current),
    }
    return render(request, "organisations/settings.html", context)


def _choices(form: OrganisationForm, current: SettingsMap) -> dict[str, Any]:
    """Return what a form of settings offers."""
    audiences = notification_audiences(current)
    return {
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "audiences": list(AUDIENCE_LABELS.items()),
        "notify": [
            (key, label, audiences.get(key, ""), "", form[f"notify-{key}"])
            for key, label in audience_events().items()
        ],
    }
