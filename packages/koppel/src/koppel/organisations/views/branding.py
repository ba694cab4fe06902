"""The organisation's logo and colour: changed on the page of settings, shown on every page."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.kit.web.decorators import action_of
from koppel.organisations.forms.branding import BrandingForm
from koppel.organisations.organisation_settings import branding
from koppel.organisations.organisation_settings.colours import parse_colour, stylesheet
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.organisations.views.organisation import settings_page

FOR_GOOD = "private, max-age=31536000, immutable"
"""The address of a logo or stylesheet changes with its content."""


def change_branding(request: AuthenticatedRequest) -> HttpResponse:
    """Store colour and logo, or show the settings again with errors."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = BrandingForm.of(request)
    if request.method == "POST":
        with form.refusals():
            values = form.values
            colour = "" if values["default_colour"] else values["colour"]
            branding.change_branding(request.actor, colour=colour, logo=values["logo"])
            messages.success(request, _("Saved."))
            return _redirect()
    return settings_page(request, branding_form=form)


@action_of("organisations:settings")
def remove_logo(request: AuthenticatedRequest) -> HttpResponse:
    """Remove the logo."""
    branding.remove_logo(request.actor)
    messages.success(request, _("Logo removed."))
    return _redirect()


def show_logo(request: AuthenticatedRequest, digest: str) -> HttpResponse:
    """Return the logo to a member of its organisation, with headers that allow nothing but a picture."""
    logo = branding.get_logo(request.actor, digest)
    headers = {
        "Cache-Control": FOR_GOOD,
        "Content-Disposition": "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(bytes(logo.content), content_type=logo.media_type, headers=headers)


def show_colour(request: AuthenticatedRequest, colour: str) -> HttpResponse:
    """Return the stylesheet of a colour. It needs no organisation: the address has the colour."""
    parsed = parse_colour(colour)
    if parsed is None:
        raise Http404
    return HttpResponse(stylesheet(parsed), content_type="text/css", headers={"Cache-Control": FOR_GOOD})


def _redirect() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:settings"))
