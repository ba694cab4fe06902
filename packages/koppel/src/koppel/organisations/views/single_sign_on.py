"""Sign-in through an organisation's identity provider: to the provider, back, and linking an account."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor
from koppel.kit import quarantine
from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.decorators import outside_transaction, public, shows_refusals_on
from koppel.organisations.forms.sign_in import AuthorizationForm, EmailForm
from koppel.organisations.models import IdentityProvider, User
from koppel.organisations.requests import (
    REAUTHENTICATION,
    SIGNED_IN_AT,
    AuthenticatedRequest,
    recent_sign_in_required,
)
from koppel.organisations.sso import calls, links
from koppel.organisations.sso import services as single_sign_on
from koppel.organisations.sso.links import UnlinkedIdentity
from koppel.organisations.sso.oidc import AuthorisationResponse, LoginAttempt
from koppel.organisations.sso.services import AuthorizationRefused

ATTEMPTS = "sign_in_attempts"
ATTEMPTS_MAX = 5
"""Several tabs may be on their way at once; the oldest gives way."""
UNLINKED = "unlinked_identity"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
REFUSED_PAGE = "organisations/sign_in_refused.html"


@public
def choose_provider(request: HttpRequest) -> HttpResponse:
    """Find the organisation's provider by the address's domain, without revealing whether the person
    exists.
    """
    form = EmailForm.of(request)
    if request.method == "POST":
        with form.refusals():
            provider = single_sign_on.provider_for(form.values["email"])
            if provider is not None:
                return _confirmation(request, provider)
    return render(request, "organisations/sign_in_choose.html", {"form": form})


@public
@shows_refusals_on(REFUSED_PAGE, HTTPStatus.FORBIDDEN)
def begin_sign_in(request: HttpRequest, provider_id: int) -> HttpResponse:
    """Show the provider's host, and redirect there after the person confirms."""
    provider = single_sign_on.active_provider(provider_id)
    if provider is None:
        return _refusal_response(request, _("This organisation has no identity provider."), status=404)
    if request.method != "POST":
        return _confirmation(request, provider)
    calls.count_begin(provider, client_ip(request))
    is_repeated = request.session.get("sso_organisation_id") == provider.organisation_id
    requires_auth_time = is_repeated and bool(request.session.pop(REAUTHENTICATION, False))
    attempt = LoginAttempt.new(
        provider.pk, provider.issuer, is_repeated=is_repeated, requires_auth_time=requires_auth_time
    )
    address = single_sign_on.authorization_url(provider, attempt)
    other_attempts = list(_attempts(request).items())[1 - ATTEMPTS_MAX :]
    request.session[ATTEMPTS] = {**dict(other_attempts), attempt.state: asdict(attempt)}
    return HttpResponseRedirect(address)


@public
@shows_refusals_on(REFUSED_PAGE, HTTPStatus.FORBIDDEN)
def complete_sign_in(request: HttpRequest, provider_id: int) -> HttpResponse:
    """Take the person back from the provider with a code: at its own address, and for an attempt of this
    browser at it.
    """
    quarantine.refuse()  # before the attempt is used up
    form = AuthorizationForm(request.GET)
    attempt = _take_attempt(request, form.state_sent)
    if attempt is None:
        return _refusal_response(
            request, _("This sign-in was started in another browser. Please try again."), status=400
        )
    try:
        return _complete(request, provider_id, attempt, form.response)
    except AuthorizationRefused as refusal:  # audited, whatever becomes of this request
        if refusal.code == "busy":
            # The code was not sent to the provider: loading the page again redeems it.
            request.session[ATTEMPTS] = {**_attempts(request), attempt.state: asdict(attempt)}
        single_sign_on.audit_refused_sign_in(
            {provider_id, attempt.provider_id}, refusal.code, _audit_actor(request)
        )
        raise


@outside_transaction
@recent_sign_in_required
@shows_refusals_on(REFUSED_PAGE, HTTPStatus.FORBIDDEN)
def link_sign_in(request: AuthenticatedRequest, provider_id: int) -> HttpResponse:
    """Link the provider to this person, in a session opened with their own credentials."""
    provider = single_sign_on.active_provider(provider_id)
    if provider is None:
        raise Http404
    if "sso_organisation_id" in request.session:
        return render(request, "web/managed_by_identity_provider.html", status=403)
    identity = _unlinked_identity(request, provider)
    if identity is None:
        return HttpResponseRedirect(reverse("sign_in_through", args=[provider.pk]))
    if request.method != "POST":
        context = {
            "provider": provider,
            "identity": identity,
            "account": User.objects.get(pk=request.actor.user_id),
            "home_url": resolve_url(settings.LOGIN_REDIRECT_URL),
        }
        return render(request, "organisations/sign_in_link.html", context)
    request.session.pop(UNLINKED, None)
    if not links.link(request.actor.user_id, provider, identity, client_ip(request)):
        return _refusal_response(request, links.approval_needed())
    messages.success(request, _("Sign-in linked. From now on you can sign in with %s.") % provider.name)
    if request.actor.must_use_sso:
        return redirect("sign_in_through", provider.pk)
    return redirect(settings.LOGIN_REDIRECT_URL)


def _complete(
    request: HttpRequest, provider_id: int, attempt: LoginAttempt, response: AuthorisationResponse
) -> HttpResponse:
    """Sign in the user whom the provider identified. Raises `AuthorizationRefused` and `Refused`."""
    provider = single_sign_on.active_provider(provider_id)
    if provider is None:
        raise AuthorizationRefused("other_provider" if attempt.provider_id != provider_id else "code_refused")
    identity = single_sign_on.identity_of(provider, attempt, response)
    user = links.find_or_create_member(provider, identity, client_ip(request))
    if user is None:
        return _unlinked_response(request, provider, UnlinkedIdentity.of(provider, identity))
    with single_sign_on.locked_active_provider(provider):
        _sign_in(request, user, provider.organisation_id, identity.auth_time)
    return redirect(settings.LOGIN_REDIRECT_URL)


def _confirmation(request: HttpRequest, provider: IdentityProvider) -> HttpResponse:
    quarantine.refuse()  # refuse before showing a button that would fail
    # The provider may lead on to hosts that are unknown here; browsers hold the whole way against the form.
    request.csp_forms = ("https:",) if settings.PUBLIC_URL.startswith("https://") else ("https:", "http:")  # type: ignore[attr-defined]
    return render(request, "organisations/sign_in_confirm.html", {"provider": provider})


def _attempts(request: HttpRequest) -> Mapping[str, Any]:
    attempts = request.session.get(ATTEMPTS)
    return attempts if isinstance(attempts, dict) else {}


def _take_attempt(request: HttpRequest, state: str) -> LoginAttempt | None:
    """Return this browser's own attempt with the state of the response; it serves once, whatever the provider
    says to the response.
    """
    attempts = dict(_attempts(request))
    attempt = attempts.pop(state, None)
    if attempt is None:
        return None
    request.session[ATTEMPTS] = attempts
    return LoginAttempt(**attempt)


def _unlinked_response(
    request: HttpRequest, provider: IdentityProvider, identity: UnlinkedIdentity
) -> HttpResponse:
    """Sign nobody in. Who proves an account by its own password can link it; the same page for everybody
    else.
    """
    if "sso_organisation_id" in request.session:
        # It proves nothing of the person, so it must not be what links another sign-in.
        logout(request)
    request.session[UNLINKED] = asdict(identity)
    if request.user.is_authenticated:
        return HttpResponseRedirect(reverse("sign_in_link", args=[provider.pk]))
    return render(request, "organisations/sign_in_unlinked.html", {"provider": provider}, status=403)


def _unlinked_identity(request: HttpRequest, provider: IdentityProvider) -> UnlinkedIdentity | None:
    stored = request.session.get(UNLINKED)
    identity = UnlinkedIdentity(**stored) if isinstance(stored, dict) else None
    return identity if identity is not None and identity.belongs_to(provider) else None


def _sign_in(request: HttpRequest, user: User, organisation_id: int, auth_time: float | None) -> None:
    # Another session, also one that the same person's password opened, must not extend this one's rights.
    request.session.flush()
    request.session["organisation"] = request.session["sso_organisation_id"] = organisation_id
    # A provider signs people in without asking them; only what it says of their last sign-in is one.
    request.session[SIGNED_IN_AT] = min(auth_time or 0.0, time.time())
    # Skip allauth's stages: the provider is responsible for the second step.
    login(request, user, backend=BACKEND)


def _audit_actor(request: HttpRequest) -> AuditActor:
    """Return the actor of a refused response, whose identity is unknown."""
    return AuditActor(
        kind=ActorKind.PERSON, id=None, name="–", ip_address=client_ip(request), interface=Interface.WEB
    )


def _refusal_response(request: HttpRequest, message: str, status: int = 403) -> HttpResponse:
    return render(request, REFUSED_PAGE, {"message": message}, status=status)
