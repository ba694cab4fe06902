"""The way back from a sign-in at the vendor: `receive_callback` stores the
vendor's response, `complete_consent` uses it."""

from urllib.parse import urlencode

import structlog
from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent import attempts, browser_binding
from koppel.connections.errors import ConsentRefused
from koppel.connections.forms import CallbackForm
from koppel.connections.hooks import connection_reconnected
from koppel.connections.lifecycle import ownership
from koppel.connections.models import ConsentPurpose
from koppel.connector.errors import ConnectorError
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.decorators import outside_transaction, public, query_parameters
from koppel.kit.web.parameters import IDENTIFIER
from koppel.organisations.requests import AuthenticatedRequest

log = structlog.get_logger(__name__)


@csrf_exempt
@public
@require_http_methods(["GET", "POST"])
def receive_callback(request: AuthenticatedRequest) -> HttpResponse:
    """Store the vendor's response, by query or form_post, by its
    `state`, and go on to a page that has our cookies.

    Nothing of the response is shown, logged or used here."""
    inbound = CallbackForm(request.POST if request.method == "POST" else request.GET).inbound
    if not inbound:
        return render(request, "connections/unknown_answer.html", status=400)
    attempt_id = attempts.receive_callback(inbound.get("state", ""), inbound)
    if attempt_id is None:
        log.warning("consent_callback_unknown_state")
    # 303: the vendor may have posted; a GET of our own is what brings our
    # cookies, and leaves no code in the address bar.
    done_url = f"{reverse('connections:done')}?{urlencode({'attempt': attempt_id})}"
    return HttpResponse(status=303, headers={"Location": request.path if attempt_id is None else done_url})


@outside_transaction
@query_parameters(attempt=IDENTIFIER)
def complete_consent(request: AuthenticatedRequest) -> HttpResponse:
    """Exchange the code, list the companies, and go on where the person came from."""
    attempt_id = request.parameters["attempt"] or 0
    return_path = attempts.return_path(request.actor, attempt_id) or reverse("connections:list")
    try:
        outcome = attempts.complete_consent(
            request.actor, attempt_id, request.COOKIES.get(browser_binding.COOKIE, "")
        )
        if outcome.purpose == ConsentPurpose.TRANSFER:
            is_complete = ownership.complete_transfer(request.actor, outcome.connection_id)
        sync_company_list(request.actor, outcome.connection_id)
    # Return to where the person came from, also after a refusal.
    except ConsentRefused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(return_path)
    except ConnectorError as error:
        text = _("You are signed in, but the list of companies could not be loaded: %s")
        messages.error(request, text % _(str(error)))
        return HttpResponseRedirect(return_path)
    if outcome.purpose == ConsentPurpose.RECONNECT:
        with organisation_scope(request.actor.organisation_id):
            connection_reconnected(request.actor, outcome.connection_id)
        messages.success(request, _("Signed in again as %s. Syncing resumes.") % outcome.account)
    elif outcome.purpose == ConsentPurpose.TRANSFER and is_complete:
        messages.success(request, _("You are now the owner of this connection. It uses your account."))
    elif outcome.purpose == ConsentPurpose.TRANSFER:
        messages.info(request, _("This company now uses your account. Sign in once for each of the others."))
    return HttpResponseRedirect(outcome.return_to)
