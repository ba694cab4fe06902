"""The page of the organisation's own settings."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.organisations.forms.branding import BrandingForm
from koppel.organisations.forms.settings_values import OrganisationForm
from koppel.organisations.models import Organisation
from koppel.organisations.organisation_settings.branding import DEFAULT_COLOUR, branding_of
from koppel.organisations.organisation_settings.services import change_organisation
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.organisations.views.settings_fields import fields_context


def show_settings(request: AuthenticatedRequest) -> HttpResponse:
    """Show and change the organisation's name, and the settings that hold beneath administrations and
    templates.
    """
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = OrganisationForm.of(request)
    if request.method == "POST":
        with form.refusals():
            change_organisation(request.actor, form.input)
            messages.success(request, _("Saved."))
            return HttpResponseRedirect(request.path)
    return settings_page(request, form=form)


def settings_page(
    request: AuthenticatedRequest,
    *,
    form: OrganisationForm | None = None,
    branding_form: BrandingForm | None = None,
) -> HttpResponse:
    """Return the page, with what was typed in the form that was refused."""
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    form = form or OrganisationForm()
    branding = branding_of(request.actor)
    if branding_form is None:
        branding_form = BrandingForm(initial={"colour": branding.colour or DEFAULT_COLOUR})
    context = {
        "nav_section": "settings",
        "name": form["name"].value() if form.is_bound else organisation.name,
        "branding": branding,
        "branding_form": branding_form,
        **fields_context(form, form.typed_settings if form.is_bound else organisation.settings, {}),
    }
    return render(request, "organisations/settings.html", context)
