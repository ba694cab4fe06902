"""Pages of operators: which organisations grant access, starting and ending it."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.decorators import public
from koppel.kit.web.parameters import id_of
from koppel.organisations.audit_actions import OperatorAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import User
from koppel.organisations.people import operators

SESSION_KEY = "operator_in"


@public
def list_operators(request: HttpRequest) -> HttpResponse:
    """Show organisations to operators; to others this page does not exist."""
    _operator(request)
    return render(request, "organisations/operator.html", {"open": operators.list_open_organisations()})


@public
@require_POST
def enter(request: HttpRequest) -> HttpResponse:
    user = _operator(request)
    try:
        organisation_id = id_of(request.POST.get("organisation", "")) or 0
        actor = operators.start_support_session(user.pk, organisation_id, client_ip(request))
    except Refused as refusal:
        context = {"open": operators.list_open_organisations(), "problem": str(refusal)}
        return render(request, "organisations/operator.html", context, status=403)
    request.session[SESSION_KEY] = actor.organisation_id
    rotate_token(request)
    return redirect(settings.LOGIN_REDIRECT_URL)


@public
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    user = _operator(request)
    entered_id = request.session.pop(SESSION_KEY, None)
    # Forms of pages that were opened over there must not be sent into the operator's own organisation.
    rotate_token(request)
    actor = operators.operator_actor(user.pk, entered_id, client_ip(request)) if entered_id else None
    if actor is not None:
        operators.record_action(actor, OperatorAction.ACCESS_ENDED)
    return HttpResponseRedirect(reverse("operator"))


def _operator(request: HttpRequest) -> User:
    """Return the operator, signed in by their own proof: an organisation's identity provider vouches for
    nobody outside it.
    """
    user = User.objects.filter(pk=request.user.pk or 0, is_operator=True, is_active=True).first()
    if user is None or "sso_organisation_id" in request.session:
        raise Http404
    return user
