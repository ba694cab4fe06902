"""Return from a sign-in at the vendor: `receive_callback` stores the response, `finish_sign_in` uses it."""

from urllib.parse import urlencode

import structlog
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from koppel.connections.consent import attempts, browser_binding, services
from koppel.connections.consent.services import SignInResult
from koppel.connections.errors import ConsentRefused
from koppel.connections.forms import CallbackForm
from koppel.connections.models import ConsentPurpose
from koppel.connector.errors import ConnectorError
from koppel.kit.web.decorators import outside_transaction, public, query_parameters
from koppel.kit.web.parameters import IDENTIFIER
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.requests import AuthenticatedRequest

log = structlog.get_logger(__name__)


@csrf_exempt
@public
@require_http_methods(["GET", "POST"])
def receive_callback(request: AuthenticatedRequest) -> HttpResponse:
    """Store the vendor's response, a query or a form_post, under its `state`, and redirect to
    `finish_sign_in`.

    Nothing of the response is shown, logged or used here.
    """
    inbound = CallbackForm(request.POST if request.method == "POST" else request.GET).inbound
    if not inbound:
        return render(request, "connections/unknown_answer.html", status=400)
    attempt_id = attempts.receive_callback(inbound.get("state", ""), inbound)
    if attempt_id is None:
        log.warning("consent_callback_unknown_state")
    # 303, because the vendor may have posted: the browser's GET sends Koppel's cookies, and leaves no code in
    # the address bar.
    done_url = f"{reverse('connections:done')}?{urlencode({'attempt': attempt_id})}"
    return HttpResponse(status=303, headers={"Location": request.path if attempt_id is None else done_url})


@outside_transaction
@query_parameters(attempt=IDENTIFIER)
def finish_sign_in(request: AuthenticatedRequest) -> HttpResponse:
    """Use the vendor's response, and continue where the sign-in began, also when it was refused."""
    attempt_id = request.parameters["attempt"] or 0
    return_path = attempts.return_path(request.actor, attempt_id) or reverse("connections:list")
    try:
        result = services.finish_sign_in(
            request.actor, attempt_id, request.COOKIES.get(browser_binding.COOKIE, "")
        )
    except ConsentRefused as refusal:
        messages.error(request, str(refusal))
    except ConnectorError as error:
        text = _("You are signed in, but the list of companies could not be loaded: %s")
        messages.error(request, text % render_sentence(error.sentence))
    else:
        _show_success(request, result)
    return HttpResponseRedirect(return_path)


def _show_success(request: AuthenticatedRequest, result: SignInResult) -> None:
    purpose = result.outcome.purpose
    if purpose == ConsentPurpose.RECONNECT:
        messages.success(request, _("Signed in again as %s. Syncing resumes.") % result.outcome.account)
    elif purpose == ConsentPurpose.TRANSFER and result.is_transfer_complete:
        messages.success(request, _("You are now the owner of this connection. It uses your account."))
    elif purpose == ConsentPurpose.TRANSFER:
        messages.info(request, _("This company now uses your account. Sign in once for each of the others."))
