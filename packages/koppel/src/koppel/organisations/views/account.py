"""A person's own account: sessions, organisations, and the required second step."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import public
from koppel.kit.web.parameters import id_of
from koppel.organisations.access import mfa, sessions
from koppel.organisations.access.actors import choose, list_organisations
from koppel.organisations.requests import AuthenticatedRequest, switch_organisation
from koppel.organisations.views import confirmations


def own_sessions(request: AuthenticatedRequest) -> HttpResponse:
    """Show one's own sessions; each can be ended."""
    own_key = str(request.session.session_key)
    # Whom an identity provider lets in is shown, and may end, what acts in its organisation.
    active_organisation_id = request.session.get("sso_organisation_id")
    if request.method == "POST":
        only = id_of(request.POST.get("id", ""))
        other_sessions = [
            session
            for session in sessions.sessions_of(request.actor.user_id, active_organisation_id)
            if session.session_key != own_key
        ]
        if only is None and (page := unconfirmed(request, confirmations.end_other_sessions(len(other_sessions)))):
            return page
        count = sessions.end_own_sessions(request.actor, own_key, only, active_organisation_id=active_organisation_id)
        messages.success(request, ngettext("%d session is ended.", "%d sessions are ended.", count) % count)
        return HttpResponseRedirect(reverse("own:sessions"))
    context = {
        "account_place": "sessions",
        "sessions": sessions.sessions_of(request.actor.user_id, active_organisation_id),
        "own_key": own_key,
    }
    return render(request, "organisations/sessions.html", context)


def organisations(request: AuthenticatedRequest) -> HttpResponse:
    """Show one's organisations, and switch between them."""
    choices = list_organisations(request.actor.user_id, only=request.session.get("sso_organisation_id"))
    if request.method == "POST":
        organisation_id = id_of(request.POST.get("organisation", ""))
        if organisation_id and any(choice.organisation_id == organisation_id for choice in choices):
            switch_organisation(request, organisation_id)
            if "sso_organisation_id" not in request.session:
                choose(request.actor.user_id, organisation_id)
            return redirect(settings.LOGIN_REDIRECT_URL)
        messages.error(request, _("You do not belong to that organisation any more."))
    context = {"account_place": "organisations", "choices": choices}
    return render(request, "organisations/choices.html", context)


@public
def second_step_needed(request: HttpRequest) -> HttpResponse:
    """Tell a member that the organisation requires a second step."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(reverse("account_login"))
    if mfa.has_mfa(request.user.pk or 0):
        return redirect(settings.LOGIN_REDIRECT_URL)
    own_organisations = list_organisations(request.user.pk or 0, only=request.session.get("sso_organisation_id"))
    other_organisations = [
        choice for choice in own_organisations if choice.organisation_id != request.session.get("organisation")
    ]
    return render(request, "organisations/second_step_needed.html", {"others": other_organisations})
