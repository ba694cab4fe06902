"""The list of connections, and the page of one."""

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from koppel.connections import queries
from koppel.connections.display import summaries
from koppel.connections.display.connection_page import load_connection_page
from koppel.connections.display.summaries import ConnectionSummary, Grouping
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import PAGE, TEXT, one_of
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

GROUPINGS = (
    ("", _("Not grouped")),
    (Grouping.ACCOUNT, _("Sign-in account")),
    (Grouping.OWNER, _("Owner")),
    (Grouping.SYSTEM, _("Accounting system")),
)
PAGE_ROWS = 100
CONNECTIONS_FOR_SEARCH_MIN = 6
"""The number of connections from which the list offers search and grouping."""


@query_parameters(q=TEXT, group=one_of(*Grouping), page=PAGE)
def list_connections(request: AuthenticatedRequest) -> HttpResponse:
    """Show all connections with their health; connections that need a person come first."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    search, grouping = request.parameters["q"] or "", request.parameters["group"] or ""
    cards = summaries.list_summaries(request.actor)
    selected = summaries.find_summaries(request.actor, cards, search)
    groups = summaries.group_summaries(selected, Grouping(grouping)) if grouping else [selected]
    page = Paginator([card for group in groups for card in group], PAGE_ROWS).get_page(
        request.parameters["page"]
    )
    request.csp_forms = queries.sign_in_origins(request.actor)
    broken = [card for card in cards if card.needs_sign_in]
    context = {
        "count": len(cards),
        "has_tools": len(cards) >= CONNECTIONS_FOR_SEARCH_MIN or bool(search or grouping),
        "page": page,
        "groups": _titled_groups(list(page.object_list), grouping),
        "groupings": GROUPINGS,
        "grouping": grouping,
        "search": search,
        "broken": broken,
        "waiting": sum(card.awaiting_sign_in for card in broken),
        "nav_section": "connections",
    }
    return render(request, "connections/list.html", context)


def _titled_groups(
    cards: list[ConnectionSummary], grouping: str
) -> list[tuple[str, list[ConnectionSummary]]]:
    """Return (title, connections) of a page; one group without a title when nothing is grouped."""
    if not grouping:
        return [("", cards)] if cards else []
    by = Grouping(grouping)
    return [(group[0].group_title(by), group) for group in summaries.group_summaries(cards, by)]


def show_connection(request: AuthenticatedRequest, connection_id: int) -> HttpResponse:
    """Show one connection: health, administrations, import policy, owner and timeline."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    page = load_connection_page(request.actor, connection_id)
    request.csp_forms = queries.sign_in_origins(request.actor)
    return render(request, "connections/detail.html", {**vars(page), "nav_section": "connections"})
