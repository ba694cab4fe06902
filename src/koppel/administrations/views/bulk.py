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

from koppel.administrations.asked import NONE, asked_of_text
from koppel.administrations.bulk import operations, spreadsheet, words
from koppel.administrations.bulk.acts import act_named, acts
from koppel.administrations.bulk.selecting import asked_for_bulk
from koppel.administrations.errors import NotThere
from koppel.administrations.filter_checks import require_known
from koppel.administrations.models import Administration, BulkItem, BulkOperation, BulkState, ItemState
from koppel.administrations.scope import visible_to
from koppel.administrations.views.one import back
from koppel.kit.parameters import PAGE, UnknownParameter, id_of, is_id, one_of, unknown_value
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Actor, Permission
from koppel.registers.paste import decode
from koppel.web.doors import MemberRequest, takes

PAGE_SIZE = 200
FIRST = (ItemState.SKIPPED, ItemState.KEPT)
"""What may need somebody stands before the rest."""
UPLOAD_BYTES_MAX = 5 * 1024 * 1024
OPEN = (BulkState.QUEUED, BulkState.RUNNING, BulkState.UNDOING)


@require_POST
def preview(request: MemberRequest) -> HttpResponse:
    """What the act would do to what is ticked, or to all that match."""
    form = request.POST
    act = form.get("act", "")
    try:
        operations.allowed_act(request.actor, act)
        selection = _selection(request)
        asked = _asked(act, request)
        draft = operations.preview(request.actor, act, asked, selection, source=_address_of(request))
    except (Refused, UnknownParameter) as refusal:
        messages.warning(request, str(refusal))
        return back(request)
    except NotThere:
        messages.error(request, _("That division, template or person no longer exists. Nothing was changed."))
        return back(request)
    if act in ("star", "unstar"):
        return _start(request, draft)
    return HttpResponseRedirect(reverse("administrations:bulk_one", args=[draft.pk]))


def _selection(request: MemberRequest) -> operations.Selection:
    """What is ticked, or all that match. Raises `UnknownParameter`, also for what is ticked on a list that was refused."""
    form = request.POST
    text = form.get("query", "")
    asked = asked_for_bulk(text) if "all" in form else asked_of_text(text)
    require_known(request.actor, asked)
    if strange := [text for text in form.getlist("id") if not is_id(text)]:
        raise UnknownParameter([unknown_value("id", text) for text in strange])
    if form.get("all", "1") != "1":
        raise UnknownParameter([unknown_value("all", form["all"], ("1",))])
    if "all" in form:
        return operations.Selection(asked=asked)
    return operations.Selection(ids=[int(text) for text in form.getlist("id")])


def _address_of(request: MemberRequest) -> str:
    """The list as it was: the filter, and how it was sorted and with which columns. What is unknown of it is left out."""
    form = request.POST
    shown = asked_of_text(form.get("shown", ""))
    return "&".join(text for text in (form.get("query", ""), shown.arrangement()) if text)


@takes(only=one_of(*ItemState.values), page=PAGE)
def one(request: MemberRequest, operation_id: int) -> HttpResponse:
    """Before it starts: who changes, who does not and why. Afterwards: how far it is, what happened, and the undo."""
    operation = _or_404(request.actor, operation_id)
    return render(request, "administrations/bulk.html", _told(request, operation))


@takes(only=one_of(*ItemState.values), page=PAGE)
def progress(request: MemberRequest, operation_id: int) -> HttpResponse:
    """The part that changes by itself."""
    operation = _or_404(request.actor, operation_id)
    return render(request, "administrations/bulk_state.html", _told(request, operation))


@require_POST
def start(request: MemberRequest, operation_id: int) -> HttpResponse:
    return _start(request, _or_404(request.actor, operation_id))


@require_POST
def undo(request: MemberRequest, operation_id: int) -> HttpResponse:
    operation = _or_404(request.actor, operation_id)
    try:
        if not operations.undo(request.actor, operation.pk):
            messages.info(request, _("This is being undone already."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(reverse("administrations:bulk_one", args=[operation.pk]))


@require_POST
def discard(request: MemberRequest, operation_id: int) -> HttpResponse:
    operation = _or_404(request.actor, operation_id)
    query = operation.source
    operations.discard(request.actor, operation.pk)
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{asked_of_text(query).query() or 'all=1'}")


@takes()
def done_lately(request: MemberRequest) -> HttpResponse:
    """What was done to many at once, newest first."""
    request.actor.require(Permission.SEE)
    found = [
        (each, act_named(each.act).label, operations.counts_of(each))
        for each in operations.operations_of(request.actor)
    ]
    return render(request, "administrations/bulk_list.html", {"place": "administrations", "rows": found})


def spreadsheet_page(request: MemberRequest) -> HttpResponse:
    """Changes from a CSV, pasted or uploaded; leads to the same preview."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    text = request.POST.get("text", "")
    if request.method == "POST":
        try:
            return _read_spreadsheet(request, text)
        except (Refused, UnknownParameter) as refusal:
            messages.error(request, str(refusal))
    context = {
        "place": "administrations", "text": text, "chosen": request.POST.get("act", "change"),
        "acts": [one for one in acts() if request.actor.may(one.permission)], "today": timezone.localdate().isoformat(),
    }  # fmt: skip
    return render(request, "administrations/bulk_csv.html", context)


def _read_spreadsheet(request: MemberRequest, text: str) -> HttpResponse:
    upload = request.FILES.get("file")
    if upload:
        if (upload.size or 0) > UPLOAD_BYTES_MAX:
            raise Refused(_("This file is too large."))
        text = decode(upload.read())
    act = act_named(request.POST.get("act", "change"))
    found = spreadsheet.read(request.actor, text, names_only=act.key != "change")
    if not found.each:
        lines = "; ".join(f"{number}: {why}" for number, _text, why in found.problems[:5])
        raise Refused(_("No line of the file can be followed. %s") % lines)
    told = {"per_item": True, "problems": found.problems[:100]}
    asked = told if act.key == "change" else _asked(act.key, request)
    selection = operations.Selection(ids=sorted(found.each), each=found.each)
    draft = operations.preview(request.actor, act.key, asked, selection)
    BulkOperation.objects.filter(pk=draft.pk).update(asked={**draft.asked, **told})
    return HttpResponseRedirect(reverse("administrations:bulk_one", args=[draft.pk]))


def _start(request: MemberRequest, operation: BulkOperation) -> HttpResponse:
    """Few are changed at once: back to the list they came from, with what happened. Many are followed on their own page."""
    if not operations.start(request.actor, operation.pk):
        messages.info(request, _("This was started already."))
    operation.refresh_from_db()
    if operation.state != BulkState.DONE or operation.asked.get("per_item"):
        return HttpResponseRedirect(reverse("administrations:bulk_one", args=[operation.pk]))
    counts = operations.counts_of(operation)
    text = ngettext("%(count)d administration was changed.", "%(count)d administrations were changed.", counts.changed)
    messages.success(request, text % {"count": counts.changed})
    if counts.skipped:
        skipped = ngettext("%(count)d was left as it is.", "%(count)d were left as they are.", counts.skipped)
        messages.warning(request, skipped % {"count": counts.skipped})
    query = asked_of_text(operation.source).query() or "all=1"
    done = f"&done={operation.pk}" if operations.can_undo(operation) and counts.changed else ""
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{query}{done}")


def _asked(act: str, request: MemberRequest) -> Mapping[str, Any]:
    """The parameters that the bar's menus hold; empty fields ask for nothing. Raises `UnknownParameter`."""
    form = request.POST
    if act == "deactivate":
        return {"reason": form.get("reason", ""), "on": form.get("on", "")}
    if act != "change":
        return {}
    asked: dict[str, Any] = {}
    for key in ("division", "template"):
        if text := form.get(f"set_{key}", ""):
            asked[key] = None if text == NONE else _id(f"set_{key}", text)
    for key in ("add", "remove"):
        asked[key] = [_id(key, text) for text in form.getlist(key)]
    if sector := form.get("set_sector", ""):
        asked["sector"] = "" if sector == "none" else sector
    return asked


def _id(name: str, text: str) -> int:
    if (number := id_of(text)) is None:
        raise UnknownParameter([unknown_value(name, text)])
    return number


def _or_404(actor: Actor, operation_id: int) -> BulkOperation:
    try:
        return operations.operation_for(actor, operation_id)
    except NotThere:
        raise Http404 from None


def _told(request: MemberRequest, operation: BulkOperation) -> dict[str, Any]:
    actor, act = request.actor, act_named(operation.act)
    only = request.parameters["only"] or ""
    page = Paginator(_found(operation, only), PAGE_SIZE).get_page(request.parameters["page"])
    counts = operations.counts_of(operation)
    return {
        "place": "administrations",
        "operation": operation,
        "act": act,
        "counts": counts,
        "handled": counts.total - (counts.changed if operation.state == BulkState.UNDOING else counts.waiting),
        "is_draft": operation.state == BulkState.DRAFT,
        "is_open": operation.state in OPEN,
        "can_undo": operations.can_undo(operation) and counts.changed > 0,
        "undo_hours": operations.UNDO_HOURS,
        "sentences": words.asked_in_words(actor, operation.asked),
        "problems": operation.asked.get("problems", ()),
        "only": only,
        "page": page,
        "items": _items(actor, list(page)),
        "states": ItemState.choices,
    }


def _found(operation: BulkOperation, only: str) -> "QuerySet[BulkItem]":
    found = BulkItem.objects.filter(organisation_id=operation.organisation_id, operation=operation)
    if only:
        return found.filter(state=only).order_by("pk")
    return found.order_by(Case(When(state__in=FIRST, then=0), default=1), "pk")


def _items(actor: Actor, shown: list[BulkItem]) -> list[dict[str, Any]]:
    visible = visible_to(actor).filter(pk__in=[item.administration_id for item in shown])
    known = {one.pk: one for one in visible.only("pk", "name", "country")}
    names = words.Names(actor, [state for item in shown for state in (item.before, item.after)])
    return [
        {
            "id": item.administration_id,
            "name": known[item.administration_id].name if item.administration_id in known else "",
            "state": item.state,
            "label": ItemState(item.state).label,
            "why": words.why(item.why),
            "differences": _differences(item, known.get(item.administration_id), names),
        }
        for item in shown
    ]


def _differences(item: BulkItem, one: Administration | None, names: words.Names) -> list[str]:
    """Nothing of an administration that the reader may not see."""
    if one is None:
        return []
    return words.differences(words.shown(item.before, one.country), words.shown(item.after, one.country), names)
