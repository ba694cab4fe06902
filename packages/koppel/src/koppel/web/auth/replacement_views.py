"""A copy that asks to take the place of this installation: its questions, and the operator's confirmation.

No input types: only a copy asks, and only a browser confirms.
"""

from http import HTTPStatus

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from koppel.connections.vault import export_grants, renewals_under_way
from koppel.kit.errors import KoppelError
from koppel.kit.quarantine import replacement
from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.decorators import public, query_parameters
from koppel.kit.web.forms import Form, TextField
from koppel.kit.web.parameters import IDENTIFIER
from koppel.kit.web.schemas import Input
from koppel.organisations.bootstrap import shell_operator
from koppel.organisations.people.quarantine import confirm_replacement
from koppel.organisations.views.operators import require_operator

WRONG_CODE = _("This is not the code that the terminal of the copy shows.")

SHOWN_MAX = 20
"""Requests on the page; a code is compared with all of them."""


class ReplacementForm(Form[Input]):
    """What a copy sends. Its code stays with it; this is the digest."""

    installation = TextField(required=True)
    code_digest = forms.RegexField(r"^[0-9a-f]{64}$")
    sender = TextField(required=True)


class ConfirmationForm(Form[Input]):
    """What an operator types: the one-time code that the terminal of the copy shows."""

    code = TextField(max_length=20, required=True)


@public
@csrf_exempt
@require_POST
def request_replacement(request: HttpRequest) -> HttpResponse:
    """Store the request of a copy; answer 404 to everybody who does not have this installation's id."""
    form = ReplacementForm.of(request)
    if not form.is_valid():
        return JsonResponse({"error": "invalid"}, status=HTTPStatus.UNPROCESSABLE_ENTITY)
    fields = form.cleaned_data
    try:
        token = replacement.request_replacement(
            fields["installation"], fields["code_digest"], fields["sender"], client_ip(request)
        )
    except KoppelError as refusal:
        return _refusal(refusal)
    return JsonResponse({"token": token, "page": reverse("operator_replacement")})


@public
@require_GET
def show_request(request: HttpRequest, token: str) -> HttpResponse:
    """Tell a copy whether an operator has confirmed, and whether all renewals have ended."""
    try:
        state = replacement.state_of(replacement.request_of(token))
    except KoppelError as refusal:
        return _refusal(refusal)
    return JsonResponse({"state": state, "renewals_under_way": renewals_under_way()})


@public
@require_GET
@query_parameters(after=IDENTIFIER)
def list_grants(request: HttpRequest, token: str) -> HttpResponse:
    """Return the encrypted tokens to the copy that takes the place of this installation."""
    try:
        replacement.require_confirmed(replacement.request_of(token))
    except KoppelError as refusal:
        return _refusal(refusal)
    parameters = request.parameters  # type: ignore[attr-defined]
    return JsonResponse({"grants": export_grants(parameters["after"] or 0)})


@public
def confirm(request: HttpRequest) -> HttpResponse:
    """Let an operator stop this installation for a copy that takes its place. The page does not exist for
    others, nor without a request.
    """
    user = require_operator(request)
    pending = replacement.pending_requests()
    if not pending:
        raise Http404
    form = ConfirmationForm.of(request)
    if request.method == "POST" and form.is_valid():
        if (confirmed := replacement.find_by_code(pending, form.cleaned_data["code"])) is not None:
            confirm_replacement(shell_operator(user.email, client_ip(request)), confirmed)
            return HttpResponseRedirect(reverse("operator"))
        replacement.count_wrong_code(pending)
        form.add_error("code", WRONG_CODE)
    status = HTTPStatus.FORBIDDEN if form.errors else HTTPStatus.OK
    context = {"form": form, "pending": pending[:SHOWN_MAX]}
    return render(request, "web/replacement.html", context, status=status)


def _refusal(refusal: KoppelError) -> JsonResponse:
    return JsonResponse({"error": refusal.code}, status=refusal.status)
