"""The list of connections, and the page of one."""

from django.http import HttpResponse
from django.shortcuts import render

from koppel.connections import queries, summaries
from koppel.connections.connection_page import load_connection_page
from koppel.kit.web.decorators import query_parameters
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission


@query_parameters()
def list_connections(request: AuthenticatedRequest) -> HttpResponse:
    """Show all connections with their health; those that need a person come first."""
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


def show_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Show one connection: health, administrations, what is released, whose it is, what happened."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    page = load_connection_page(request.actor, connection_id)
    request.csp_forms = queries.sign_in_origins(request.actor)
    return render(request, "connections/detail.html", {**vars(page), "nav_section": "connections"})
