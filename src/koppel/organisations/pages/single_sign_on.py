"""Signing in through an organisation's identity provider: the way there and the way back."""

from dataclasses import asdict
from typing import Any

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.kit.callers import address_of
from koppel.organisations import single_sign_on
from koppel.organisations.errors import Refused
from koppel.organisations.models import User
from koppel.organisations.oidc import Attempt
from koppel.web.doors import public

KEY = "sign_in_attempt"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@public
def choose(request: HttpRequest) -> HttpResponse:
    """By the address's domain, the organisation's provider; whether such a person exists is told to nobody."""
    email = request.POST.get("email", "").replace("\0", "")
    found = single_sign_on.provider_for(email) if request.method == "POST" else None
    context = {"email": email, "provider": found, "is_asked": request.method == "POST"}
    return render(request, "organisations/sign_in_choose.html", context)


@public
def go(request: HttpRequest, provider_id: int) -> HttpResponse:
    """Send the person to the provider."""
    provider = single_sign_on.active_provider(provider_id)
    if provider is None:
        return _refused(request, _("This organisation has no identity provider."), status=404)
    attempt = Attempt.new(provider.pk)
    try:
        address = single_sign_on.go(provider, attempt)
    except Refused as refusal:
        return _refused(request, str(refusal))
    request.session[KEY] = asdict(attempt)
    return HttpResponseRedirect(address)


@public
def callback(request: HttpRequest) -> HttpResponse:
    """The provider sends the person back with a code. The state must be of this browser's own attempt."""
    kept: dict[str, Any] | None = request.session.pop(KEY, None)
    state, code = request.GET.get("state", ""), request.GET.get("code", "")
    if kept is None or not state or state != kept["state"]:
        return _refused(request, _("That sign-in was not begun in this browser. Please try again."), status=400)
    provider = single_sign_on.active_provider(kept["provider_id"])
    if provider is None or not code:
        return _refused(request, _("The identity provider did not sign you in. Please try again."))
    try:
        user = single_sign_on.come_back(provider, Attempt(**kept), code, address_of(request))
        with single_sign_on.switched_on(provider):
            _sign_in(request, user, provider.organisation_id)
    except Refused as refusal:
        return _refused(request, str(refusal))
    return HttpResponseRedirect("/")


def _sign_in(request: HttpRequest, user: User, organisation_id: int) -> None:
    # A session of somebody else, or of the same person's password, must not lend this one its reach.
    request.session.flush()
    request.session["organisation"] = request.session["vouched_by"] = organisation_id
    # Not by allauth's stages: the provider has asked for the second step that the organisation wants.
    login(request, user, backend=BACKEND)


def _refused(request: HttpRequest, sentence: str, status: int = 403) -> HttpResponse:
    return render(request, "organisations/sign_in_refused.html", {"sentence": sentence}, status=status)
