"""Pages of connections, and the two ends of a sign-in at the vendor: callback and done."""

from urllib.parse import urlencode

import structlog
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from koppel.connections import browser, consent, ownership, queries, services
from koppel.connections import overview as pages
from koppel.connections.dependants import without_hidden
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.listing import refresh_companies
from koppel.connections.models import ConsentPurpose
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connectors
from koppel.issues.queries import open_issues
from koppel.kit.parameters import id_of
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, outside_transaction, public, takes

log = structlog.get_logger(__name__)
ANSWER_CHARACTERS_MAX = 4000


@takes()
def overview(request: MemberRequest) -> HttpResponse:
    """All connections with their health; those that need somebody first."""
    request.actor.require(Permission.IMPORT)
    cards = pages.cards(request.actor)
    broken = [one for one in cards if one.needs_sign_in]
    context = {
        "cards": cards,
        "broken": broken,
        "waiting": sum(one.waiting for one in broken),
        "place": "connections",
    }
    return render(request, "connections/list.html", context)


def detail(request: MemberRequest, connection_id: int) -> HttpResponse:
    """One connection: health, administrations, what is released, whose it is, what happened."""
    request.actor.require(Permission.IMPORT)
    try:
        one = queries.connection_for(request.actor, connection_id)
    except NoSuchConnection:
        raise Http404 from None
    may = request.actor.may(Permission.CONNECTIONS)
    request.csp_forms = queries.sign_in_origins(request.actor)  # type: ignore[attr-defined]
    context = {
        "card": pages.card_of(one),
        "connection": one,
        "needs": str(connectors()[one.connector].descriptor.needs) if one.connector in connectors() else "",
        "events": queries.timeline(request.actor, one),
        "rows": pages.company_rows(request.actor, one),
        "other_companies": pages.other_companies(request.actor, one),
        "now": timezone.now(),
        "companies": without_hidden(request.actor, queries.companies_of(request.actor, one)).count(),
        "listed": queries.listed_companies(request.actor, one) if may else [],
        "others": [m for m in ownership.possible_owners(request.actor) if m.pk != one.owner_id] if may else [],
        "issues": open_issues(one.organisation_id, "connection", [one.pk]).get(one.pk, []),
        "may_change": may,
        "still_missing": ownership.still_missing(request.actor, one),
        "is_next": one.next_owner_id == request.actor.membership_id,
        "place": "connections",
    }
    return render(request, "connections/detail.html", context)


@csrf_exempt
@public
@require_http_methods(["GET", "POST"])
def callback(request: MemberRequest) -> HttpResponse:
    """The vendor's answer, by query or form_post: kept by its `state`, then on to a page that has our cookies.

    Nothing of the answer is shown, logged or used here."""
    given = request.POST if request.method == "POST" else request.GET
    if not given:
        return render(request, "connections/unknown_answer.html", status=400)
    inbound = {key: str(value)[:ANSWER_CHARACTERS_MAX] for key, value in given.items()}
    attempt_id = consent.receive_answer(inbound.get("state", ""), inbound)
    if attempt_id is None:
        log.warning("consent_callback_unknown_state")
    # 303: the vendor may have posted; a GET of our own is what brings our cookies, and leaves no code in the address bar.
    known = f"/connections/consent/done?{urlencode({'attempt': attempt_id})}"
    return HttpResponse(status=303, headers={"Location": request.path if attempt_id is None else known})


@outside_transaction
def done(request: MemberRequest) -> HttpResponse:
    """Exchange the code, list the companies, and go on where the person came from."""
    text = request.GET.get("attempt", "")
    attempt_id = id_of(text) or 0
    back = consent.return_to_of(request.actor, attempt_id) or "/connections/"
    try:
        outcome = consent.complete_consent(request.actor, attempt_id, request.COOKIES.get(browser.COOKIE, ""))
        if outcome.purpose == ConsentPurpose.TAKE_OVER:
            is_whole = ownership.finish_take_over(request.actor, outcome.connection_id)
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
    elif outcome.purpose == ConsentPurpose.TAKE_OVER and is_whole:
        messages.success(request, _("The connection is yours now, and runs on your account."))
    elif outcome.purpose == ConsentPurpose.TAKE_OVER:
        messages.info(request, _("This company runs on your account now. Sign in once for each of the others."))
    return HttpResponseRedirect(outcome.return_to)
