"""Pages of the list: its page, its rows during an import, its export, saved views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from koppel.administrations import bulk, hooks, queries, restriction
from koppel.administrations.forms import SavedViewForm
from koppel.administrations.list import saved_views
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.list.export import export_list
from koppel.administrations.list.filter_checks import unknown_in
from koppel.administrations.list.filter_menu import SINGLE_LABELS, chips, menus
from koppel.administrations.list.page_rows import render_rows
from koppel.administrations.list.query import ListQuery, has_columns, parse_query_string, read_query
from koppel.administrations.list.queryset import PAGE_SIZE, get_page
from koppel.administrations.list.row_context import load_row_context
from koppel.administrations.models import SavedView, Status
from koppel.administrations.views.pager import page_links
from koppel.kit.tabular.writers import MEDIA_TYPES, Format
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.parameters import UnknownPart, first_parts, removal_links
from koppel.organisations.people.page_preferences import preferences_of
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

NAV_SECTION = "administrations"
LIST_NAME = "administrations"
"""The name of this list in a person's preferences."""


@dataclass(frozen=True)
class ColumnHeading:
    """The heading of a column: a link that sorts by the column, or reverses the order. `width` in pixels;
    None: never resized.
    """

    key: str
    label: str | Promise
    query: str
    direction: str
    is_figure: bool
    width: int | None


def show_list(request: AuthenticatedRequest) -> HttpResponse:
    """Show the list, whose rows are refreshed every two seconds during an import.

    Without a query string it shows the person's default view, if there is one.
    """
    views = saved_views.list_views(request.actor)
    default = next((view for view in views if view.is_default and view.query), None)
    if default and not _query_of(request):
        return HttpResponseRedirect(f"{request.path}?{default.query}")
    list_query = read_query(request)
    query = list_query.to_query_string()
    if unknown := unknown_in(request.actor, list_query):
        return _refusal_response(
            request,
            unknown,
            next(
                (saved_view for saved_view in views if saved_view.query in (query, _query_of(request))), None
            ),
        )
    choices = queries.assignment_choices(request.actor)
    context = _list_context(request, list_query) | {
        "menus": menus(list_query, choices),
        "chips": chips(list_query, choices),
        "more_filters": _single_filters(list_query),
        "hidden_count": restriction.count_hidden(request.actor),
        "has_connection": bool(choices["connections"]),
        "views": views,
        "view": next((view for view in views if view.query == query), None),
        "formats": [
            (Format.CSV, "CSV"),
            (Format.EXCEL, "Excel"),
            (Format.PARQUET, "Parquet"),
            (Format.PLAIN_CSV, _("CSV for programs")),
        ],
        "done_id": list_query.operation_id,
        "assigned_text": bulk.describe_assignments(request.actor, list_query.operation_id)
        if list_query.operation_id
        else "",
        "bar": bulk.load_bar(request.actor, choices),
    }
    return render(request, "administrations/list.html", context)


def _refusal_response(
    request: AuthenticatedRequest, unknown: Sequence[UnknownPart], view: SavedView | None
) -> HttpResponse:
    """Show no rows, nothing to tick and nothing to export: a filter that is left out would show
    everything.
    """
    parts = first_parts(unknown)
    context = {
        "nav_section": NAV_SECTION,
        "parts": [
            (message, "" if part.more else f"?{query or 'all=1'}")
            for part, (message, query) in zip(parts, removal_links(request, parts), strict=True)
        ],
        "view": view,
    }
    return render(request, "administrations/refused.html", context, status=422)


def _query_of(request: AuthenticatedRequest) -> str:
    return str(request.META.get("QUERY_STRING", ""))


def show_rows(request: AuthenticatedRequest) -> HttpResponse:
    """Show the part of the list that is refreshed during an import."""
    return render(request, "administrations/rows.html", _list_context(request, read_query(request)))


def export_administrations(request: AuthenticatedRequest, file_format: str) -> HttpResponse | FileResponse:
    """Export all administrations that match, with the columns of the list, in one of the formats."""
    request.actor.require(Permission.VIEW)
    if file_format not in set(Format):
        raise Http404
    chosen_format = Format(file_format)
    content = export_list(request.actor, read_query(request), chosen_format)
    name = f"{_('administrations')}-{timezone.localdate().isoformat()}.{chosen_format.extension}"
    return FileResponse(content, as_attachment=True, filename=name, content_type=MEDIA_TYPES[chosen_format])


@action_of("administrations:list")
def update_view(request: AuthenticatedRequest) -> HttpResponse:
    """Save a view, make it the default or remove it; then show the list as before."""
    actor, values = request.actor, SavedViewForm.of(request).values_or_refusal()
    view_id = values["id"] or 0
    if values["action"] == "remove":
        saved_views.remove_view(actor, view_id)
    elif values["action"] in ("default", "no_default"):
        saved_views.make_default(actor, view_id, is_default=values["action"] == "default")
    else:
        saved_views.save_view(actor, values["name"], values["query"], is_default=values["is_default"])
        messages.success(request, _("View saved."))
    query = parse_query_string(values["query"]).to_query_string() or "all=1"
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{query}")


@query_parameters()
def list_hidden(request: AuthenticatedRequest) -> HttpResponse:
    """Show Administrators that restricted administrations exist, and who is named on them."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    context = {
        "nav_section": NAV_SECTION,
        "rows": restriction.list_hidden(request.actor),
        "people": queries.assignment_choices(request.actor)["people"],
    }
    return render(request, "administrations/hidden.html", context)


def _list_context(request: AuthenticatedRequest, list_query: ListQuery) -> dict[str, Any]:
    actor = request.actor
    layout = preferences_of(actor).layout(LIST_NAME)
    displayed_query = list_query if has_columns(request) else list_query.with_columns(layout.columns)
    page = get_page(actor, list_query)
    row_context = load_row_context(actor, page.rows, displayed_query.columns)
    import_id = list_query.single_filters.get("import")
    state = queries.import_state(actor, int(import_id)) if import_id else None
    read = list(row_context.progress.values()) if state else []
    percent = state.percent(progress.percent or 0 for progress in read) if state else 0
    return {
        "nav_section": NAV_SECTION,
        "list_query": list_query,
        "query": list_query.to_query_string(),
        "display_query": displayed_query.to_query_string(),
        "columns": _column_choices(displayed_query.columns),
        "columns_next": f"{request.path}?{list_query.with_columns(()).to_query_string() or 'all=1'}",
        "is_sized": bool(layout.widths),
        "page": page,
        "pager": page_links(request, page.number, page.pages),
        "first": (page.number - 1) * PAGE_SIZE + 1,
        "last": (page.number - 1) * PAGE_SIZE + len(page.rows),
        "headings": _headings(list_query, displayed_query.columns, layout.widths),
        "rows": render_rows(page.rows, displayed_query.columns, row_context),
        "state": state,
        "percent": percent,
        "seconds_left": state and hooks.import_seconds_left(actor, state.id, state.progress_counts, read),
        "busy": any(row.status in (Status.QUEUED, Status.CONFIGURING) for row in page.rows)
        or bool(row_context.progress)
        or bool(state and state.open),
    }


def _column_choices(visible_keys: Sequence[str]) -> Sequence[tuple[str, str | Promise, bool]]:
    """Return (key, label, is shown) of every column: shown columns in their order, then the others."""
    keys = dict.fromkeys((*visible_keys, *COLUMNS))
    return [(key, COLUMNS[key].label, key in visible_keys) for key in keys]


def _next_sort(key: str, sort: str) -> str:
    """Return the sorting after a click on a heading: reversed, or largest first for a figure."""
    if key == sort.removeprefix("-"):
        return key if sort.startswith("-") else f"-{key}"
    return f"-{key}" if COLUMNS[key].is_figure else key


def _headings(
    list_query: ListQuery, columns: Sequence[str], widths: Mapping[str, int]
) -> Sequence[ColumnHeading]:
    now, descending = list_query.sort.removeprefix("-"), list_query.sort.startswith("-")
    return [
        ColumnHeading(
            key,
            COLUMNS[key].label,
            list_query.sorted_by(_next_sort(key, list_query.sort)).to_query_string(),
            ("descending" if descending else "ascending") if key == now else "",
            COLUMNS[key].is_figure,
            widths.get(key),
        )
        for key in columns
    ]


def _single_filters(list_query: ListQuery) -> Sequence[Mapping[str, Any]]:
    """Return the filters of one value, as one menu."""
    return [
        {
            "name": key,
            "value": value,
            "label": label,
            "is_chosen": list_query.single_filters.get(key) == value,
        }
        for (key, value), label in SINGLE_LABELS.items()
    ]
