"""Pages of operators: organisations that grant access, and starting and ending it."""

from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.decorators import public
from koppel.organisations.audit_actions import OperatorAction
from koppel.organisations.forms.sign_in import OperatorForm
from koppel.organisations.models import User
from koppel.organisations.people import operators

SESSION_KEY = "operator_in"


@public
def list_organisations(request: HttpRequest) -> HttpResponse:
    """Show operators the organisations that grant access. The page does not exist for others."""
    require_operator(request)
    return render(request, "organisations/operator.html", {"open": operators.list_open_organisations()})


@public
@require_POST
def enter_organisation(request: HttpRequest) -> HttpResponse:
    """Start reading an organisation's data as an operator."""
    user = require_operator(request)
    form = OperatorForm.of(request)
    if form.is_valid():
        with form.refusals():
            actor = operators.start_support_session(user.pk, form.values["organisation"], client_ip(request))
            request.session[SESSION_KEY] = actor.organisation_id
            rotate_token(request)
            return redirect(settings.LOGIN_REDIRECT_URL)
    return _refused_page(request, form)


@public
@require_POST
def leave_organisation(request: HttpRequest) -> HttpResponse:
    """Stop reading the organisation's data."""
    user = require_operator(request)
    entered_id = request.session.pop(SESSION_KEY, None)
    # Forms of pages that were opened over there must not be sent into the operator's own organisation.
    rotate_token(request)
    actor = operators.operator_actor(user.pk, entered_id, client_ip(request)) if entered_id else None
    if actor is not None:
        operators.record_action(actor, OperatorAction.ACCESS_ENDED)
    return HttpResponseRedirect(reverse("operator"))


def require_operator(request: HttpRequest) -> User:
    """Return the operator, signed in by themselves: an organisation's identity provider vouches for no
    account outside it.
    """
    user = User.objects.filter(pk=request.user.pk or 0, is_operator=True, is_active=True).first()
    if user is None or "sso_organisation_id" in request.session:
        raise Http404
    return user


def _refused_page(request: HttpRequest, form: OperatorForm) -> HttpResponse:
    context = {"open": operators.list_open_organisations(), "form": form}
    return render(request, "organisations/operator.html", context, status=HTTPStatus.FORBIDDEN)
