"""A person's own account: sessions, organisations, and the required second step."""

from collections.abc import Iterable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import public
from koppel.organisations.access import api_tokens, mfa, sessions
from koppel.organisations.access.actors import (
    OrganisationChoice,
    list_organisations,
    record_chosen_organisation,
)
from koppel.organisations.errors import Refused
from koppel.organisations.forms.account import NOT_A_MEMBER, OrganisationChoiceForm, SessionForm
from koppel.organisations.requests import AuthenticatedRequest, switch_organisation
from koppel.organisations.views import confirmations


def list_sessions(request: AuthenticatedRequest) -> HttpResponse:
    """Show where the person is signed in; each session can be ended."""
    form = SessionForm.of(request)
    if request.method == "POST":
        with form.refusals():
            return _END_ALL.get(form.values["all"], _end_sessions)(request, form.values["id"])
    organisation_id = _sso_organisation_id(request)
    context = {
        "account_place": "sessions",
        "form": form,
        "sessions": sessions.sessions_of(request.actor.user_id, organisation_id),
        "tokens": api_tokens.count_own_tokens(request.actor, organisation_id),
        "own_key": str(request.session.session_key),
    }
    return render(request, "organisations/sessions.html", context)


def choose_organisation(request: AuthenticatedRequest) -> HttpResponse:
    """Show the organisations of the person, and switch to another one."""
    choices = list_organisations(request.actor.user_id, only=_sso_organisation_id(request))
    form = OrganisationChoiceForm.of(request)
    if request.method == "POST":
        with form.refusals():
            _switch_to(request, form.values["organisation"], choices)
            return redirect(settings.LOGIN_REDIRECT_URL)
    context = {"account_place": "organisations", "choices": choices, "form": form}
    return render(request, "organisations/choices.html", context)


def _end_sessions(request: AuthenticatedRequest, session_id: int | None) -> HttpResponse:
    """End this session of the person's own, or all others when none is named."""
    own_key, organisation_id = str(request.session.session_key), _sso_organisation_id(request)
    own_sessions = sessions.sessions_of(request.actor.user_id, organisation_id)
    other_sessions = [session for session in own_sessions if session.session_key != own_key]
    if session_id is None and (
        page := unconfirmed(request, confirmations.confirm_ending_other_sessions(len(other_sessions)))
    ):
        return page
    count = sessions.end_own_sessions(
        request.actor, own_key, session_id, active_organisation_id=organisation_id
    )
    messages.success(request, ngettext("%d session ended.", "%d sessions ended.", count) % count)
    return HttpResponseRedirect(reverse("account:sessions"))


def _sign_out_everywhere(request: AuthenticatedRequest, _session_id: int | None) -> HttpResponse:
    """End all sessions of the person, this one included."""
    organisation_id = _sso_organisation_id(request)
    count = len(sessions.sessions_of(request.actor.user_id, organisation_id))
    if page := unconfirmed(request, confirmations.confirm_signing_out_everywhere(count)):
        return page
    sessions.end_own_sessions(request.actor, "", None, active_organisation_id=organisation_id)
    logout(request)
    return redirect("account_login")


def _revoke_tokens(request: AuthenticatedRequest, _session_id: int | None) -> HttpResponse:
    """Revoke all API tokens of the person, which outlive a session."""
    organisation_id = _sso_organisation_id(request)
    count = api_tokens.count_own_tokens(request.actor, organisation_id)
    if page := unconfirmed(request, confirmations.confirm_revoking_own_tokens(count)):
        return page
    count = api_tokens.revoke_own_tokens(request.actor, organisation_id)
    messages.success(request, ngettext("%d token revoked.", "%d tokens revoked.", count) % count)
    return redirect("account:sessions")


_END_ALL = {"sessions": _sign_out_everywhere, "tokens": _revoke_tokens}


def _switch_to(
    request: AuthenticatedRequest, organisation_id: int, choices: Iterable[OrganisationChoice]
) -> None:
    if organisation_id not in {choice.organisation_id for choice in choices}:
        raise Refused(NOT_A_MEMBER, field="organisation")
    switch_organisation(request, organisation_id)
    if _sso_organisation_id(request) is None:
        record_chosen_organisation(request.actor.user_id, organisation_id)


def _sso_organisation_id(request: HttpRequest) -> int | None:
    """Return the organisation whose provider opened the session: only sessions in it are shown and can be
    ended.
    """
    return request.session.get("sso_organisation_id")


@public
def require_second_step(request: HttpRequest) -> HttpResponse:
    """Show a member how to set up the second step that the organisation requires."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(reverse("account_login"))
    if mfa.has_mfa(request.user.pk or 0):
        return redirect(settings.LOGIN_REDIRECT_URL)
    own_organisations = list_organisations(request.user.pk or 0, only=_sso_organisation_id(request))
    other_organisations = [
        choice
        for choice in own_organisations
        if choice.organisation_id != request.session.get("organisation")
    ]
    return render(request, "organisations/second_step_needed.html", {"others": other_organisations})
