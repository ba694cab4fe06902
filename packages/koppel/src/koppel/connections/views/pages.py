"""The list of connections, and the page of one."""

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from koppel.connections import queries, summaries
from koppel.connections.errors import NoSuchConnection
from koppel.connections.hooks import exclude_restricted
from koppel.connections.lifecycle import ownership
from koppel.connector.registry import connectors
from koppel.issues.queries import open_issues
from koppel.kit.web.decorators import takes
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission


@takes()
def overview(request: AuthenticatedRequest) -> HttpResponse:
    """All connections with their health; those that need somebody first."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    cards = summaries.list_summaries(request.actor)
    broken = [connection for connection in cards if connection.needs_sign_in]
    context = {
        "cards": cards,
        "broken": broken,
        "waiting": sum(connection.awaiting_sign_in for connection in broken),
        "nav_section": "connections",
    }
    return render(request, "connections/list.html", context)


def detail(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """One connection: health, administrations, what is released, whose it is, what happened."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    try:
        connection = queries.connection_for(request.actor, connection_id)
    except NoSuchConnection:
        raise Http404 from None
    may = request.actor.can(Permission.MANAGE_CONNECTIONS)
    request.csp_forms = queries.sign_in_origins(request.actor)  # type: ignore[attr-defined]
    context = {
        "card": summaries.summarize(connection),
        "connection": connection,
        "setup_requirements": str(connectors()[connection.connector].descriptor.setup_requirements)
        if connection.connector in connectors()
        else "",
        "events": queries.timeline(request.actor, connection),
        "rows": summaries.company_rows(request.actor, connection),
        "other_companies": summaries.other_companies(request.actor, connection),
        "now": timezone.now(),
        "companies": exclude_restricted(request.actor, queries.companies_of(request.actor, connection)).count(),
        "listed": queries.listed_companies(request.actor, connection) if may else [],
        "others": [m for m in ownership.possible_owners(request.actor) if m.pk != connection.owner_id] if may else [],
        "issues": open_issues(connection.organisation_id, "connection", [connection.pk]).get(connection.pk, []),
        "may_change": may,
        "companies_awaiting_transfer": ownership.companies_awaiting_transfer(request.actor, connection),
        "is_pending_owner": connection.pending_owner_id == request.actor.membership_id,
        "nav_section": "connections",
    }
    return render(request, "connections/detail.html", context)
