"""A person's own account: sessions, the organisations to act in, and the second step that one of them may ask for."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.confirmation import unconfirmed
from koppel.kit.parameters import id_of
from koppel.organisations import second_step, sessions
from koppel.organisations.pages import questions
from koppel.organisations.sign_in import choices_of, choose
from koppel.web.doors import MemberRequest, moved_to, public


def own_sessions(request: MemberRequest) -> HttpResponse:
    """Where one is signed in; each can be ended."""
    own_key = str(request.session.session_key)
    # Whom an identity provider lets in is shown, and may end, what acts in its organisation.
    acts_in = request.session.get("vouched_by")
    if request.method == "POST":
        only = id_of(request.POST.get("id", ""))
        others = [one for one in sessions.sessions_of(request.actor.user_id, acts_in) if one.session_key != own_key]
        if only is None and (page := unconfirmed(request, questions.end_other_sessions(len(others)))):
            return page
        count = sessions.end_own_sessions(request.actor, own_key, only, acts_in=acts_in)
        messages.success(request, ngettext("%d session is ended.", "%d sessions are ended.", count) % count)
        return HttpResponseRedirect(reverse("own:sessions"))
    context = {
        "account_place": "sessions",
        "sessions": sessions.sessions_of(request.actor.user_id, acts_in),
        "own_key": own_key,
    }
    return render(request, "organisations/sessions.html", context)


def organisations(request: MemberRequest) -> HttpResponse:
    """The organisations that one belongs to, and the way from one to another."""
    found = choices_of(request.actor.user_id, only=request.session.get("vouched_by"))
    if request.method == "POST":
        wanted = id_of(request.POST.get("organisation", ""))
        if wanted and any(one.organisation_id == wanted for one in found):
            moved_to(request, wanted)
            if "vouched_by" not in request.session:
                choose(request.actor.user_id, wanted)
            return HttpResponseRedirect("/")
        messages.error(request, _("You do not belong to that organisation any more."))
    context = {"account_place": "organisations", "choices": found}
    return render(request, "organisations/choices.html", context)


@public
def second_step_needed(request: HttpRequest) -> HttpResponse:
    """What a member is led to whose organisation asks for a second step."""
    if not request.user.is_authenticated:
        return HttpResponseRedirect(reverse("account_login"))
    if second_step.has_second_step(request.user.pk or 0):
        return HttpResponseRedirect("/")
    own = choices_of(request.user.pk or 0, only=request.session.get("vouched_by"))
    others = [one for one in own if one.organisation_id != request.session.get("organisation")]
    return render(request, "organisations/second_step_needed.html", {"others": others})
