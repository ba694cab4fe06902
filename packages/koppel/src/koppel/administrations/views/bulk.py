"""Pages of bulk work: preview, progress, result and undo."""

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Case, QuerySet, When
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.administrations import bulk
from koppel.administrations.bulk import bulk_actions, describe_problems, get_action, parse_bulk_filter
from koppel.administrations.forms import BulkForm, BulkTableForm
from koppel.administrations.inputs import BulkInput
from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.models import Administration, BulkItem, BulkOperation, BulkState, ItemState
from koppel.administrations.queries import assignment_choices
from koppel.administrations.views.detail import redirect_back
from koppel.administrations.views.pager import page_links
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.parameters import PAGE, one_of
from koppel.kit.web.undo_messages import success_with_undo
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission

PAGE_SIZE = 200
PROBLEMS_SHOWN_MAX = 100
ATTENTION_STATES = (ItemState.SKIPPED, ItemState.KEPT)
"""The states that may need a person come first."""
OPEN_STATES = (BulkState.QUEUED, BulkState.RUNNING, BulkState.UNDOING)


@action_of("administrations:list")
def preview_operation(request: AuthenticatedRequest) -> HttpResponse:
    """Preview the action on the ticked administrations, or on all that match; a refusal leads back to
    the list.
    """
    form = BulkForm.of(request)
    with form.refusals():
        bulk_input = form.input
        bulk.get_allowed_action(request.actor, bulk_input.action)
        selection = _selection(request, bulk_input, form.values["query"])
        draft = bulk.preview(
            request.actor, bulk_input.action, bulk_input.params, selection, query=_query_of(form)
        )
        if not get_action(bulk_input.action).has_preview:
            return _start(request, draft)
        if form.values["start"]:
            return _start(request, draft, back=True)
        return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[draft.pk]))
    messages.warning(request, form.error_text)
    return redirect_back(request)


def _selection(request: AuthenticatedRequest, bulk_input: BulkInput, list_query: str) -> bulk.Selection:
    """Return the ticked administrations, or all that match. Raises `UnknownParameter`, also for ticks in a
    list whose own query was refused.
    """
    if bulk_input.filter is None:
        require_known(request.actor, parse_query_string(list_query))
        return bulk.Selection(ids=bulk_input.ids)
    query = parse_bulk_filter(bulk_input.filter)
    require_known(request.actor, query)
    return bulk.Selection(query=query)


def _query_of(form: BulkForm) -> str:
    """Return the query string of the list: the filter, the sorting and the columns, without unknown parts."""
    display_string = parse_query_string(form.values["display"]).display_string()
    return "&".join(text for text in (form.values["query"], display_string) if text)


@query_parameters(only=one_of(*ItemState.values), page=PAGE)
def show_operation(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Show the preview of an operation that has not started; else its progress, its result and the undo."""
    operation = bulk.get_operation(request.actor, operation_id)
    return render(request, "administrations/bulk.html", _operation_context(request, operation))


@query_parameters(only=one_of(*ItemState.values), page=PAGE)
def show_progress(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Show the part of the page that is refreshed during the operation."""
    operation = bulk.get_operation(request.actor, operation_id)
    return render(request, "administrations/bulk_state.html", _operation_context(request, operation))


@action_of("administrations:bulk_detail", "operation_id")
def start_operation(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Start a previewed operation."""
    return _start(request, bulk.get_operation(request.actor, operation_id))


@action_of("administrations:bulk_detail", "operation_id")
def undo_operation(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Undo the operation, except for values that were changed since."""
    operation = bulk.get_operation(request.actor, operation_id)
    if not bulk.undo(request.actor, operation.pk):
        messages.info(request, _("This is already being undone."))
    return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[operation.pk]))


@action_of("administrations:bulk_detail", "operation_id")
def discard_operation(request: AuthenticatedRequest, operation_id: int) -> HttpResponse:
    """Discard a preview and return to the list as it was."""
    operation = bulk.get_operation(request.actor, operation_id)
    query = parse_query_string(operation.query).to_query_string() or "all=1"
    bulk.discard(request.actor, operation.pk)
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{query}")


@query_parameters()
def list_operations(request: AuthenticatedRequest) -> HttpResponse:
    """Show the actor's previews, then the bulk operations, newest first."""
    request.actor.require(Permission.VIEW)
    operation_rows = [
        (operation, get_action(operation.action).label, bulk.count_items(operation))
        for operation in (*bulk.list_drafts(request.actor), *bulk.list_operations(request.actor))
    ]
    return render(
        request, "administrations/bulk_list.html", {"nav_section": "administrations", "rows": operation_rows}
    )


def import_table(request: AuthenticatedRequest) -> HttpResponse:
    """Preview changes from a CSV, pasted or uploaded."""
    request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
    form = BulkTableForm.of(request)
    if request.method == "POST":
        with form.refusals():
            return _preview_table(request, form)
    actions = [action for action in bulk_actions.values() if request.actor.can(action.permission)]
    choices = cast("bulk.Choices", SimpleLazyObject(lambda: assignment_choices(request.actor)))
    context = {
        "nav_section": "administrations",
        "form": form,
        "text": form["text"].value() or "",
        "chosen": form["action"].value() or form.default_action(),
        "actions": actions,
        "action_forms": [
            (action, form.action_form(action, choices)) for action in actions if not action.reads_csv_values
        ],
    }
    return render(request, "administrations/bulk_csv.html", context)


def _preview_table(request: AuthenticatedRequest, form: BulkTableForm) -> HttpResponse:
    action = get_action(form.values["action"])
    text = form.values["file"] or form.values["text"]
    changes = bulk.read_changes(request.actor, text, names_only=not action.reads_csv_values)
    if not changes.values_by_id:
        problems = describe_problems(changes.problems, 5)
        raise Refused(_("No line of the file could be processed. %s") % problems, field="text")
    params = {} if action.reads_csv_values else form.params()
    selection = bulk.Selection(ids=sorted(changes.values_by_id), values_by_id=changes.values_by_id)
    draft = bulk.preview(request.actor, action.code, params, selection)
    BulkOperation.objects.filter(pk=draft.pk).update(
        csv_problems=changes.problems[:PROBLEMS_SHOWN_MAX], csv_problem_count=len(changes.problems)
    )
    if changes.unread:
        columns = {"columns": ", ".join(changes.unread)}
        messages.info(request, _("A file does not change these columns: %(columns)s.") % columns)
    return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[draft.pk]))


def _start(request: AuthenticatedRequest, operation: BulkOperation, *, back: bool = False) -> HttpResponse:
    """Start the operation. A small one ends at once, and the next page has its result: the list as before, or
    with `back` the page that the form names. A large one has a page that shows its progress.
    """
    if not bulk.start_operation(request.actor, operation.pk):
        messages.info(request, _("Already started."))
    operation.refresh_from_db()
    if operation.state != BulkState.DONE or operation.has_item_values:
        return HttpResponseRedirect(reverse("administrations:bulk_detail", args=[operation.pk]))
    _add_result_messages(request, operation)
    if back:
        return redirect_back(request)
    query = parse_query_string(operation.query).to_query_string() or "all=1"
    return HttpResponseRedirect(f"{reverse('administrations:list')}?{query}")


def _add_result_messages(request: AuthenticatedRequest, operation: BulkOperation) -> None:
    """Add messages with the numbers of changed and unchanged administrations, and the undo."""
    counts = bulk.count_items(operation)
    text = get_action(operation.action).describe_result(counts.changed)
    if counts.changed and bulk.can_undo(operation):
        undo_url = reverse("administrations:bulk_undo", args=[operation.pk])
        success_with_undo(request, text, undo_url)
    elif counts.changed or not counts.skipped:
        messages.success(request, text)
    if counts.skipped:
        skipped = ngettext("%(count)d unchanged.", "%(count)d unchanged.", counts.skipped)
        reasons = " ".join(bulk.list_skip_reasons(operation))
        messages.warning(request, f"{skipped % {'count': counts.skipped}} {reasons}")


def _operation_context(request: AuthenticatedRequest, operation: BulkOperation) -> dict[str, Any]:
    actor, action = request.actor, get_action(operation.action)
    only = request.parameters["only"] or ""
    page = Paginator(_sorted_items(actor, operation, only), PAGE_SIZE).get_page(request.parameters["page"])
    counts, shows_params = bulk.count_items(operation), bulk.may_read_params(actor, operation)
    problems = operation.csv_problems if shows_params else []
    problem_count = operation.csv_problem_count if shows_params else 0
    return {
        "nav_section": "administrations",
        "operation": operation,
        "action": action,
        "counts": counts,
        "result_text": action.describe_result(counts.changed),
        "handled": counts.total
        - (counts.changed if operation.state == BulkState.UNDOING else counts.waiting),
        "is_draft": operation.state == BulkState.DRAFT,
        "is_open": operation.state in OPEN_STATES,
        "can_undo": bulk.can_undo(operation) and counts.changed > 0,
        "undo_hours": bulk.UNDO_HOURS,
        "sentences": action.describe(actor, operation.params) if shows_params else (),
        "problems": problems,
        "problem_count": problem_count,
        "more_problems": problem_count - len(problems),
        "only": only,
        "page": page,
        "items": _items(actor, list(page)),
        "state_counts": _state_counts(operation, counts),
        "pager": page_links(request, page.number, page.paginator.num_pages),
    }


def _state_counts(operation: BulkOperation, counts: bulk.ItemCounts) -> list[tuple[str, str, int]]:
    """Return (state, label, count) of each state that some items have."""
    waiting = _("Changes") if operation.state == BulkState.DRAFT else _("Waiting")
    labelled = (
        (ItemState.WAITING, waiting, counts.waiting),
        (ItemState.CHANGED, _("Changed"), counts.changed),
        (ItemState.UNDONE, _("Undone"), counts.undone),
        (ItemState.KEPT, _("Not undone"), counts.kept),
        (ItemState.SKIPPED, _("Unchanged"), counts.skipped),
    )
    return [(state.value, label, count) for state, label, count in labelled if count]


def _sorted_items(actor: Actor, operation: BulkOperation, only: str) -> "QuerySet[BulkItem]":
    items = bulk.readable_items(actor, operation)
    if only:
        return items.filter(state=only).order_by("pk")
    return items.order_by(Case(When(state__in=ATTENTION_STATES, then=0), default=1), "pk")


def _items(actor: Actor, items: list[BulkItem]) -> list[dict[str, Any]]:
    visible = Administration.objects.visible_to(actor).filter(
        pk__in=[item.administration_id for item in items]
    )
    administrations = {
        administration.pk: administration for administration in visible.only("pk", "name", "country")
    }
    names = bulk.NameLookup(actor, [state for item in items for state in (item.before, item.after)])
    return [
        {
            "id": item.administration_id,
            "name": administrations[item.administration_id].name
            if item.administration_id in administrations
            else "",
            "state": item.state,
            "label": ItemState(item.state).label,
            "reason": bulk.describe_reason(item.reason_code),
            "differences": _differences(item, administrations.get(item.administration_id), names),
        }
        for item in items
    ]


def _differences(item: BulkItem, administration: Administration | None, names: bulk.NameLookup) -> list[str]:
    """Return the changes in sentences; none of an administration that the reader may not see."""
    if administration is None:
        return []
    before, after = (bulk.mask_values(values, administration.country) for values in (item.before, item.after))
    # What was undone has gone back: the last thing that happened is shown.
    if item.state == ItemState.UNDONE:
        before, after = after, before
    return bulk.describe_changes(before, after, names)
