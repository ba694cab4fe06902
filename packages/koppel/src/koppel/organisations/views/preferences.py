"""A person's own preferences, stored by scripts and by forms."""

from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from koppel.kit.web.decorators import action_of
from koppel.kit.web.forms import return_url
from koppel.organisations.forms.preferences import PreferencesForm
from koppel.organisations.people.page_preferences import change_layout, change_preferences, remember_theme
from koppel.organisations.requests import AuthenticatedRequest


@action_of("account:sessions")
def save_preferences(request: AuthenticatedRequest) -> HttpResponse:
    """Store what the form has. A script gets an empty answer, a form goes back to its page."""
    form = PreferencesForm.of(request)
    if changes := form.changes():
        change_preferences(request.actor, changes)
    values = form.values_or_refusal()
    if values["list_name"]:
        columns = [] if values["reset"] else values["columns"]
        change_layout(request.actor, values["list_name"], columns=columns, widths=values["widths"])
    response = (
        HttpResponse(status=204)
        if request.htmx
        else HttpResponseRedirect(return_url(request, reverse("account:sessions")))
    )
    if values["theme"]:
        remember_theme(response, values["theme"])
    return response
