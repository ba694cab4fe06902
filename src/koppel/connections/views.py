"""Pages of connections, and the two ends of a sign-in at the vendor: callback and done."""

from urllib.parse import urlencode

import structlog
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from koppel.connections import browser, consent, queries, services
from koppel.connections.doors import sign_in_at_vendor
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.listing import refresh_companies
from koppel.connections.models import ConsentPurpose
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connector
from koppel.issues.queries import open_issues
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, outside_transaction, public

log = structlog.get_logger(__name__)
ANSWER_CHARACTERS_MAX = 4000


def overview(request: MemberRequest) -> HttpResponse:
    """All connections with their health."""
    request.actor.require(Permission.IMPORT)
    found = [(one, connector(one.connector).descriptor.title) for one in queries.connections_of(request.actor)]
    waiting = [one for one, _title in found if one.state == "needs_reauth"]
    return render(request, "connections/list.html", {"connections": found, "waiting": waiting, "place": "connections"})


def detail(request: MemberRequest, connection_id: int) -> HttpResponse:
    """One connection: state, what it reaches, timeline, and the buttons of DESIGN's repair."""
    request.actor.require(Permission.IMPORT)
    try:
        one = queries.connection_for(request.actor, connection_id)
    except NoSuchConnection:
        raise Http404 from None
    request.csp_forms = queries.sign_in_origins(request.actor)  # type: ignore[attr-defined]
    context = {
        "connection": one,
        "system": connector(one.connector).descriptor.title,
        "events": queries.timeline(one),
        "companies": queries.companies_of(request.actor, one).count(),
        "unreachable": list(queries.companies_of(request.actor, one).exclude(unreachable_code="")[:50]),
        "issues": open_issues(one.organisation_id, "connection", [one.pk]).get(one.pk, []),
        "may_reconnect": request.actor.may(Permission.CONNECTIONS),
        "place": "connections",
    }
    return render(request, "connections/detail.html", context)


@require_POST
def reconnect(request: MemberRequest, connection_id: int) -> HttpResponse:
    """Sign in again, in place: administrations, settings and checkpoints stay as they are."""
    try:
        one = queries.connection_for(request.actor, connection_id)
        return sign_in_at_vendor(
            request, request.actor, one.app_id, ConsentPurpose.RECONNECT, f"/connections/{one.pk}/",
            connection_id=one.pk, force_sign_in=True,
        )  # fmt: skip
    except NoSuchConnection:
        raise Http404 from None


@csrf_exempt
@public
@require_http_methods(["GET", "POST"])
def callback(request: MemberRequest) -> HttpResponse:
    """The vendor's answer, by query or form_post: kept by its `state`, then on to a page that has our cookies.

    Nothing of the answer is shown, logged or used here."""
    given = request.POST if request.method == "POST" else request.GET
    inbound = {key: str(value)[:ANSWER_CHARACTERS_MAX] for key, value in given.items()}
    attempt_id = consent.receive_answer(inbound.get("state", ""), inbound)
    if attempt_id is None:
        log.warning("consent_callback_unknown_state")
        return render(request, "connections/unknown_answer.html", status=400)
    # 303: the vendor may have posted; a GET of our own is what brings our cookies.
    location = f"/connections/consent/done?{urlencode({'attempt': attempt_id})}"
    return HttpResponse(status=303, headers={"Location": location})


@outside_transaction
def done(request: MemberRequest) -> HttpResponse:
    """Exchange the code, list the companies, and go on where the person came from."""
    text = request.GET.get("attempt", "")
    attempt_id = int(text) if text.isdigit() and len(text) < 19 else 0
    back = consent.return_to_of(request.actor, attempt_id) or "/connections/"
    try:
        outcome = consent.complete_consent(request.actor, attempt_id, request.COOKIES.get(browser.COOKIE, ""))
        refresh_companies(request.actor, outcome.connection_id)
    except ConsentRefused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(back)
    except ConnectorError as error:
        text = _("You are signed in, but the list of companies could not be read: %s")
        messages.error(request, text % _(str(error)))
        return HttpResponseRedirect(back)
    if outcome.purpose == ConsentPurpose.RECONNECT:
        with organisation_scope(request.actor.organisation_id):
            services.after_reconnect(request.actor, outcome.connection_id)
        messages.success(request, _("Signed in again as %s. The administrations go on.") % outcome.account)
    return HttpResponseRedirect(outcome.return_to)
