"""Bulk work: what will happen, that it happens, what happened, and its undo."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, QuerySet, When
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.administrations import bulk
from koppel.administrations.bulk import bulk_actions, get_action, parse_bulk_filter
from koppel.administrations.errors import NotFound
from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import NONE, parse_query_string
from koppel.administrations.models import Administration, BulkItem, BulkOperation, BulkState, ItemState
from koppel.administrations.scope import visible_to
from koppel.administrations.views.detail import redirect_back
from koppel.kit.tabular.reader import TableError, decode
from koppel.kit.web.decorators import takes
from koppel.kit.web.parameters import PAGE, UnknownParameter, id_of, is_id, one_of, unknown_value
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission

PAGE_SIZE = 200
ATTENTION_STATES = (ItemState.SKIPPED, ItemState.KEPT)
"""What may need somebody stands before the rest."""
UPLOAD_BYTES_MAX = 5 * 1024 * 1024
OPEN_STATES = (BulkState.QUEUED, BulkState.RUNNING, BulkState.UNDOING)


@require_POST
def preview(request: AuthenticatedRequest) -> HttpResponse:
    """Preview what the action would do to what is ticked, or to all that match."""
    form = request.POST
    action = form.get("action", "")
    try:
        bulk.get_allowed_action(request.actor, action)
        selection = _selection(request)
        params = _action_params(action, request)
        draft = bulk.preview(request.actor, action, params, selection, query=_address_of(request))
    except (Refused, UnknownParameter) as refusal:
        messages.warning(request, str(refusal))
        return redirect_back(request)
    except NotFound:
        messages.error(request, _("That division, template or person no longer exists. Nothing was changed."))
        return redirect_back(request)
    if action in ("add_favourite", "remove_favourite"):
        return _start(request, draft)
    return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[draft.pk]))


def _selection(request: AuthenticatedRequest) -> bulk.Selection:
    """Select what is ticked, or all that match. Raises `UnknownParameter`, also for a list that was refused."""
    form = request.POST
    text = form.get("query", "")
    query = parse_bulk_filter(text) if "all" in form else parse_query_string(text)
    require_known(request.actor, query)
    if strange := [text for text in form.getlist("id") if not is_id(text)]:
        raise UnknownParameter([unknown_value("id", text) for text in strange])
    if form.get("all", "1") != "1":
        raise UnknownParameter([unknown_value("all", form["all"], ("1",))])
    if "all" in form:
        return bulk.Selection(query=query)
    return bulk.Selection(ids=[int(text) for text in form.getlist("id")])


def _address_of(request: AuthenticatedRequest) -> str:
    """Return the list's address: the filter, the sorting and the columns. What is unknown of it is left out."""
    form = request.POST
    items = parse_query_string(form.get("shown", ""))
    return "&".join(text for text in (form.get("query", ""), items.arrangement()) if text)


@takes(only=one_of(*ItemState.values), page=PAGE)
def detail(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Show before it starts what changes, what does not and why; afterwards how far it is, what happened, and the undo."""
    operation = _get_or_404(request.actor, operation_id)
    return render(request, "administrations/bulk.html", _operation_context(request, operation))


@takes(only=one_of(*ItemState.values), page=PAGE)
def progress(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Show the part that changes by itself."""
    operation = _get_or_404(request.actor, operation_id)
    return render(request, "administrations/bulk_state.html", _operation_context(request, operation))


@require_POST
def start(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    return _start(request, _get_or_404(request.actor, operation_id))


@require_POST
def undo(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    operation = _get_or_404(request.actor, operation_id)
    try:
        if not bulk.undo(request.actor, operation.pk):
            messages.info(request, _("This is being undone already."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[operation.pk]))


@require_POST
def discard(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    operation = _get_or_404(request.actor, operation_id)
    query = operation.query
    bulk.discard(request.actor, operation.pk)
    return HttpResponseRedirect(
        f"{reverse('administrations:list')}?{parse_query_string(query).to_query_string() or 'all=1'}"
    )


@takes()
def recent(request: AuthenticatedRequest) -> HttpResponse:
    """Show what was done to many at once, newest first."""
    request.actor.require(Permission.VIEW)
    operation_rows = [
        (operation, get_action(operation.action).label, bulk.count_items(operation))
        for operation in bulk.list_operations(request.actor)
    ]
    return render(request, "administrations/bulk_list.html", {"nav_section": "administrations", "rows": operation_rows})


def spreadsheet_page(request: AuthenticatedRequest) -> HttpResponse:
    """Take changes from a CSV, pasted or uploaded, to the same preview."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    text = request.POST.get("text", "")
    if request.method == "POST":
        try:
            return _read_spreadsheet(request, text)
        except (Refused, TableError, UnknownParameter) as refusal:
            messages.error(request, str(refusal))
    context = {
        "nav_section": "administrations",
        "text": text,
        "chosen": request.POST.get("action", "change"),
        "actions": [action for action in bulk_actions.values() if request.actor.can(action.permission)],
        "today": timezone.localdate().isoformat(),
    }
    return render(request, "administrations/bulk_csv.html", context)


def _read_spreadsheet(request: AuthenticatedRequest, text: str) -> HttpResponse:
    upload = request.FILES.get("file")
    if upload:
        if (upload.size or 0) > UPLOAD_BYTES_MAX:
            raise Refused(_("This file is too large."))
        text = decode(upload.read())
    action = get_action(request.POST.get("action", "change"))
    changes = bulk.read_changes(request.actor, text, names_only=action.key != "change")
    if not changes.values_by_id:
        lines = "; ".join(f"{number}: {problem}" for number, _text, problem in changes.problems[:5])
        raise Refused(_("No line of the file can be followed. %s") % lines)
    extra_params = {"per_item": True, "problems": changes.problems[:100]}
    params = extra_params if action.key == "change" else _action_params(action.key, request)
    selection = bulk.Selection(ids=sorted(changes.values_by_id), values_by_id=changes.values_by_id)
    draft = bulk.preview(request.actor, action.key, params, selection)
    BulkOperation.objects.filter(pk=draft.pk).update(params={**draft.params, **extra_params})
    return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[draft.pk]))


def _start(request: AuthenticatedRequest, operation: BulkOperation) -> HttpResponse:
    """Start it. Few are changed at once, and the list says what happened; many are followed on their own page."""
    if not bulk.start_operation(request.actor, operation.pk):
        messages.info(request, _("This was started already."))
    operation.refresh_from_db()
    if operation.state != BulkState.DONE or operation.params.get("per_item"):
        return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[operation.pk]))
    counts = bulk.count_items(operation)
    text = ngettext("%(count)d administration was changed.", "%(count)d administrations were changed.", counts.changed)
    messages.success(request, text % {"count": counts.changed})
    if counts.skipped:
        skipped = ngettext("%(count)d was left as it is.", "%(count)d were left as they are.", counts.skipped)
        messages.warning(request, skipped % {"count": counts.skipped})
    query = parse_query_string(operation.query).to_query_string() or "all=1"
    undo_parameter = f"&done={operation.pk}" if bulk.can_undo(operation) and counts.changed else ""
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{query}{undo_parameter}")


def _action_params(action: str, request: AuthenticatedRequest) -> Mapping[str, Any]:
    """Return the parameters of the bar's menus; empty fields ask for nothing. Raises `UnknownParameter`."""
    form = request.POST
    if action == "deactivate":
        return {"reason": form.get("reason", ""), "on": form.get("on", "")}
    if action != "change":
        return {}
    params: dict[str, Any] = {}
    for key in ("division", "template"):
        if text := form.get(f"set_{key}", ""):
            params[key] = None if text == NONE else _id(f"set_{key}", text)
    for key in ("add", "remove"):
        params[key] = [_id(key, text) for text in form.getlist(key)]
    if sector := form.get("set_sector", ""):
        params["sector"] = "" if sector == "none" else sector
    return params


def _id(name: str, text: str) -> int:
    if (number := id_of(text)) is None:
        raise UnknownParameter([unknown_value(name, text)])
    return number


def _get_or_404(actor: Actor, operation_id: int) -> BulkOperation:
    try:
        return bulk.get_operation(actor, operation_id)
    except NotFound:
        raise Http404 from None


def _operation_context(request: AuthenticatedRequest, operation: BulkOperation) -> dict[str, Any]:
    actor, action = request.actor, get_action(operation.action)
    only = request.parameters["only"] or ""
    page = Paginator(_sorted_items(operation, only), PAGE_SIZE).get_page(request.parameters["page"])
    counts = bulk.count_items(operation)
    return {
        "nav_section": "administrations",
        "operation": operation,
        "action": action,
        "counts": counts,
        "handled": counts.total - (counts.changed if operation.state == BulkState.UNDOING else counts.waiting),
        "is_draft": operation.state == BulkState.DRAFT,
        "is_open": operation.state in OPEN_STATES,
        "can_undo": bulk.can_undo(operation) and counts.changed > 0,
        "undo_hours": bulk.UNDO_HOURS,
        "sentences": bulk.describe_params(actor, operation.params),
        "problems": operation.params.get("problems", ()),
        "only": only,
        "page": page,
        "items": _items(actor, list(page)),
        "states": ItemState.choices,
    }


def _sorted_items(operation: BulkOperation, only: str) -> "QuerySet[BulkItem]":
    items = BulkItem.objects.filter(organisation_id=operation.organisation_id, operation=operation)
    if only:
        return items.filter(state=only).order_by("pk")
    return items.order_by(Case(When(state__in=ATTENTION_STATES, then=0), default=1), "pk")


def _items(actor: Actor, items: list[BulkItem]) -> list[dict[str, Any]]:
    visible = visible_to(actor).filter(pk__in=[item.administration_id for item in items])
    administrations = {one.pk: one for one in visible.only("pk", "name", "country")}
    names = bulk.NameLookup(actor, [state for item in items for state in (item.before, item.after)])
    return [
        {
            "id": item.administration_id,
            "name": administrations[item.administration_id].name if item.administration_id in administrations else "",
            "state": item.state,
            "label": ItemState(item.state).label,
            "reason": bulk.describe_reason(item.reason_code),
            "differences": _differences(item, administrations.get(item.administration_id), names),
        }
        for item in items
    ]


def _differences(item: BulkItem, administration: Administration | None, names: bulk.NameLookup) -> list[str]:
    """Return nothing of an administration that the reader may not see."""
    if administration is None:
        return []
    return bulk.describe_changes(
        bulk.mask_values(item.before, administration.country),
        bulk.mask_values(item.after, administration.country),
        names,
    )
