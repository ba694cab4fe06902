"""The list: its page, its rows while something is being read in, its files, saved views."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations import access, cells, queries, saved_views
from koppel.administrations.asked import Asked, asked_of, asked_of_text
from koppel.administrations.columns import COLUMNS
from koppel.administrations.export import export_list
from koppel.administrations.filter_checks import unknown_in
from koppel.administrations.filters import SINGLE, chips, menus
from koppel.administrations.listing import PAGE_SIZE, page_of
from koppel.administrations.models import SavedView, Status
from koppel.kit.parameters import UnknownParameter, UnknownPart, first_parts, id_of, unknown_value, without
from koppel.kit.table_files import MEDIA_TYPES, Format
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission
from koppel.registers.sectors import SECTIONS
from koppel.web.doors import MemberRequest, takes

PLACE = "administrations"
VIEW_ACTS = ("save", "default", "no_default", "remove")


@dataclass(frozen=True)
class Heading:
    """A column's head: a link that sorts by it, the other way when it is sorted by it already."""

    label: str | Promise
    query: str
    direction: str
    is_figure: bool


def listing(request: MemberRequest) -> HttpResponse:
    """The list; asks for its rows again every two seconds while something is being read in.

    Opened without asking for anything it shows the person's default view, if there is one."""
    views = saved_views.views_of(request.actor)
    default = next((one for one in views if one.is_default and one.query), None)
    if default and not request.GET:
        return HttpResponseRedirect(f"{request.path}?{default.query}")
    asked = asked_of(request.GET)
    query = asked.query()
    if unknown := unknown_in(request.actor, asked):
        return _refused(
            request, unknown, next((one for one in views if one.query in (query, _query_of(request))), None)
        )
    choices = queries.choices(request.actor)
    context = _listed(request, asked) | {
        "menus": menus(asked, choices),
        "chips": chips(asked, choices),
        "more_filters": _more(asked),
        "all_columns": [(key, one.label, key in asked.columns) for key, one in COLUMNS.items()],
        "hidden_count": access.count_hidden_from(request.actor),
        "has_connection": bool(choices["connections"]),
        "views": views,
        "view": next((one for one in views if one.query == query), None),
        "formats": [(Format.CSV, "CSV"), (Format.EXCEL, "Excel")],
        "done_id": asked.done,
        "today": timezone.localdate().isoformat(),
        **choices,
        "sectors": [(letter, f"{letter} · {name}") for letter, name in SECTIONS.items()],
    }
    return render(request, "administrations/list.html", context)


def _refused(request: MemberRequest, unknown: Sequence[UnknownPart], view: SavedView | None) -> HttpResponse:
    """No rows, nothing to tick and nothing to export: a filter that is left out would show everything."""
    context = {
        "place": PLACE,
        "parts": [
            (part.sentence, "" if part.more else f"?{without(request.GET, part) or 'all=1'}")
            for part in first_parts(unknown)
        ],
        "view": view,
    }
    return render(request, "administrations/refused.html", context, status=422)


def _query_of(request: MemberRequest) -> str:
    return str(request.META.get("QUERY_STRING", ""))


def rows(request: MemberRequest) -> HttpResponse:
    """The part of the list that changes by itself."""
    return render(request, "administrations/rows.html", _listed(request, asked_of(request.GET)))


def export(request: MemberRequest, file_format: str) -> HttpResponse | FileResponse:
    """What the list shows, all of it that matches, as CSV or Excel."""
    request.actor.require(Permission.SEE)
    wanted = Format.EXCEL if file_format == "xlsx" else Format.CSV
    content = export_list(request.actor, asked_of(request.GET), wanted)
    name = f"{_('administrations')}-{timezone.localdate().isoformat()}.{wanted.value}"
    return FileResponse(content, as_attachment=True, filename=name, content_type=MEDIA_TYPES[wanted])


@require_POST
def keep_view(request: MemberRequest) -> HttpResponse:
    """Save, make default or remove a view, then show the list as it was."""
    form, actor = request.POST, request.actor
    query = form.get("query", "")
    key = id_of(form.get("id", "")) or 0
    try:
        if form.get("act") == "remove":
            saved_views.remove_view(actor, key)
        elif form.get("act") in ("default", "no_default"):
            saved_views.make_default(actor, key, is_default=form["act"] == "default")
        elif form.get("act", "") not in ("", "save"):
            messages.error(request, unknown_value("act", form["act"], VIEW_ACTS).sentence)
        else:
            saved_views.save_view(actor, form.get("name", ""), query, is_default=form.get("is_default") == "1")
            messages.success(request, _("The view is saved."))
    except (Refused, UnknownParameter) as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{asked_of_text(query).query() or 'all=1'}")


@takes()
def hidden(request: MemberRequest) -> HttpResponse:
    """For Administrators: that restricted administrations exist, and who is named on them."""
    request.actor.require(Permission.ORGANISATION)
    context = {
        "place": PLACE,
        "rows": access.hidden_from(request.actor),
        "people": queries.choices(request.actor)["people"],
    }
    return render(request, "administrations/hidden.html", context)


def _listed(request: MemberRequest, asked: Asked) -> dict[str, Any]:
    actor = request.actor
    page = page_of(actor, asked)
    facts = cells.facts_of(actor, page.rows, asked.columns)
    import_id = asked.one.get("import")
    state = queries.import_state(actor, int(import_id)) if import_id else None
    read = list(facts.progress.values()) if state else []
    percent = state.percent(one.percent or 0 for one in read) if state else 0
    longest = max((one.seconds_left or 0 for one in read), default=0)
    return {
        "place": PLACE,
        "asked": asked,
        "query": asked.query(),
        "page": page,
        "first": (page.number - 1) * PAGE_SIZE + 1,
        "last": (page.number - 1) * PAGE_SIZE + len(page.rows),
        "headings": _headings(asked),
        "rows": cells.rows_of(page.rows, asked.columns, facts),
        "state": state,
        "percent": percent,
        "seconds_left": state.seconds_left(percent, longest) if state else None,
        "busy": any(one.status in (Status.QUEUED, Status.CONFIGURING) for one in page.rows)
        or bool(state and state.open),
    }


def _headings(asked: Asked) -> Sequence[Heading]:
    now, descending = asked.sort.removeprefix("-"), asked.sort.startswith("-")
    return [
        Heading(
            COLUMNS[key].label,
            asked.sorted_by(f"-{key}" if key == now and not descending else key).query(),
            ("descending" if descending else "ascending") if key == now else "",
            COLUMNS[key].is_figure,
        )
        for key in asked.columns
    ]


def _more(asked: Asked) -> Sequence[Mapping[str, Any]]:
    """The filters of one value, as one menu."""
    return [
        {"name": key, "value": value, "label": label, "is_chosen": asked.one.get(key) == value}
        for (key, value), label in SINGLE.items()
        if key != "favourites"
    ]
