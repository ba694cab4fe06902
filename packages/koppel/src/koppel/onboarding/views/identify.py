"""④ Identify: a table of inputs. Each row is stored when the cursor leaves it, so that no input is lost."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations.identity.shared_numbers import SHARED_REASONS
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SECTIONS, search
from koppel.kit.database.text_search import is_found
from koppel.kit.tabular.writers import csv_lines
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import FLAG, IDENTIFIERS, PAGE, TEXT, one_of
from koppel.kit.web.sentences import shorten_list
from koppel.onboarding import services
from koppel.onboarding.forms import IdentifyForm
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.results import Advance
from koppel.onboarding.steps import identify as identify_step
from koppel.onboarding.steps import still_client
from koppel.onboarding.steps.identify import IdentityAnswer
from koppel.onboarding.steps.pasted_list import store_pasted_list
from koppel.onboarding.steps.succession import Succession, answer_successions, list_successions
from koppel.onboarding.views.guard import step_page, to_step, wizard_context
from koppel.onboarding.views.questions import same_company_page, still_client_page
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor

PAGE_ROWS = 250
"""The most rows of a page; with more rows, incomplete ones come first."""


@query_parameters(q=TEXT, show=one_of("incomplete"), page=PAGE, tried=FLAG)
@step_page(Step.IDENTIFY)
def identify_companies(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Ask for the COC number of each company, or a reason and a sector (step 4)."""
    if request.method == "POST":
        return _handle_action(request, flow)
    answers, tried = identify_step.list_answers(flow), request.parameters["tried"] is not None
    context = _rows_context(request, answers, tried=tried) | {"tried": tried, "reasons": REASONS.items()}
    context["shared_reasons"] = SHARED_REASONS.items()
    successions = list_successions(request.actor, flow, context["answers"])
    context["rows"] = [(answer, successions.get(answer.company.pk)) for answer in context["answers"]]
    context["sectors"] = [(letter, f"{letter} – {label}") for letter, label in SECTIONS.items()]
    return render(request, "onboarding/identify.html", context | wizard_context(Step.IDENTIFY, flow))


def _handle_action(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Perform the action of the button that was pressed. Typed values are stored first, so that nothing typed
    is lost.
    """
    form = IdentifyForm.of(request, flow.chosen_company_ids)
    identify_step.save_answers(flow, form.answers)
    action, company_id = ("fill", None) if "file" in form.errors else form.values_or_refusal()["action"]
    if action == "fill":
        with form.refusals():
            _store_pasted_list(request, flow, form)
        if form.errors:
            messages.error(request, form.error_text)
        return HttpResponseRedirect(request.path)
    if action == "accept":
        _accept_suggestions(request, flow)
        return HttpResponseRedirect(_filtered_url(request, form))
    if company_id is not None:
        if action in ("continues", "separate"):
            answers = identify_step.list_answers(flow, [company_id])
            answer_successions(request.actor, flow, answers, continues=action == "continues")
        elif action == "undo":
            identify_step.undo_rejection(flow, company_id)
        else:
            identify_step.answer_same_company(request.actor, flow, [company_id], same=action == "same")
        return HttpResponseRedirect(f"{request.get_full_path()}#row-{company_id}")
    if action == "same":
        return _confirm_ticked(request, flow, form)
    outcome = services.identify(request.actor, flow, form.input_or_refusal())
    if isinstance(outcome, Advance):
        return _ask_closed(request, flow, form) or to_step(flow, outcome.step)
    # What was typed is kept: a reload of the next page sends nothing again over what was stored meanwhile.
    return HttpResponseRedirect(f"{request.path}?tried=1")


def _filtered_url(request: AuthenticatedRequest, form: IdentifyForm) -> str:
    """Return the address of the page with the search and the filter that were set when the form was sent."""
    values = form.values_or_refusal()
    filters = {name: values[name] for name in ("q", "show") if values[name]}
    return f"{request.path}?{urlencode(filters)}" if filters else request.get_full_path()


def _accept_suggestions(request: AuthenticatedRequest, flow: Flow) -> None:
    accepted = identify_step.accept_suggestions(flow)
    identify_step.enqueue_lookups(flow, accepted)
    text = ngettext("%(count)d number accepted.", "%(count)d numbers accepted.", len(accepted))
    messages.success(request, text % {"count": len(accepted)})


def _confirm_ticked(request: AuthenticatedRequest, flow: Flow, form: IdentifyForm) -> HttpResponse:
    """Answer “Is this the same company?” with yes for all ticked rows, after showing them once more with both
    names; there each can still be left out.
    """
    return_url = request.get_full_path()
    unanswered = [answer for answer in identify_step.list_answers(flow, form.ticked_ids) if answer.question]
    if not unanswered:
        messages.warning(request, _("Tick the rows that are the same company."))
        return HttpResponseRedirect(return_url)
    if page := same_company_page(request, flow, unanswered, return_url):
        return page
    ticked = set(form.values["discrepancy"])
    confirmed_ids = [answer.company.pk for answer in unanswered if answer.company.pk in ticked]
    count = identify_step.answer_same_company(request.actor, flow, confirmed_ids, same=True)
    text = ngettext("%(count)d row confirmed.", "%(count)d rows confirmed.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(return_url)


def _ask_closed(request: AuthenticatedRequest, flow: Flow, form: IdentifyForm) -> HttpResponse | None:
    """Ask which deregistered companies are still clients. The answers are stored; None: go on."""
    closed = still_client.unanswered(flow, identify_step.list_answers(flow))
    if not closed:
        return None
    if page := still_client_page(request, flow, closed, request.path):
        return page
    ticked = set(form.values["client"])
    still_client.confirm_clients(
        request.actor, flow, [answer for answer in closed if answer.company.pk in ticked]
    )
    unticked = [answer.company for answer in closed if answer.company.pk not in ticked]
    if unticked:
        still_client.leave_out(flow, [company.pk for company in unticked])
        text = _("Left out of this import: %s") % shorten_list([company.name for company in unticked])
        messages.info(request, text)
    return None if flow.chosen_company_ids else to_step(flow, Step.CHOOSE)


@require_POST
@step_page(Step.IDENTIFY)
def save_row(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Store one row when it is left, start a lookup, and return its state."""
    form = IdentifyForm.of(request, flow.chosen_company_ids)
    stored_ids = identify_step.save_answers(flow, form.answers)
    if not stored_ids:
        return JsonResponse({"error": "not_found"}, status=404)
    if form.row_errors:
        return JsonResponse({"error": "invalid", "message": " ".join(form.row_errors)}, status=422)
    identify_step.enqueue_lookups(flow, stored_ids)
    return _row_states(request.actor, flow, stored_ids)


@query_parameters(id=IDENTIFIERS)
@step_page(Step.IDENTIFY)
def list_row_states(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Return the states of the rows `?id=…&id=…`, with the registers' answers, for the open page."""
    company_ids = request.parameters["id"][:PAGE_ROWS]
    return _row_states(request.actor, flow, company_ids)


@query_parameters(q=TEXT)
@step_page(Step.IDENTIFY)
def list_sectors(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Return the sectors that a few typed letters may mean."""
    choices = search((request.parameters["q"] or "")[:60], get_language() or "en")
    return JsonResponse(
        {
            "sectors": [
                {"text": choice.text, "match": choice.matched_division or choice.example}
                for choice in choices[:25]
            ]
        }
    )


def _row_states(actor: Actor, flow: Flow, company_ids: Sequence[int]) -> JsonResponse:
    """Return the states of these rows, and the figures of all: rows of other pages are looked up too."""
    answers, requested_ids = identify_step.list_answers(flow), set(company_ids)
    complete = sum(answer.is_complete for answer in answers)
    requested = [answer for answer in answers if answer.company.pk in requested_ids]
    successions = list_successions(actor, flow, requested)
    return JsonResponse(
        {
            "rows": [_as_json(answer, successions.get(answer.company.pk)) for answer in requested],
            "complete": complete,
            "incomplete": len(answers) - complete,
            "waiting": sum(_is_waiting(answer) for answer in answers),
            "suggested": _count_suggested(answers),
        }
    )


def _is_waiting(answer: IdentityAnswer) -> bool:
    return bool(answer.lookup and answer.lookup.is_waiting and answer.lookup.outcome is None)


def _count_suggested(answers: Sequence[IdentityAnswer]) -> int:
    return sum(bool(answer.equal_suggestion) for answer in answers)


def _as_json(answer: IdentityAnswer, succession: Succession | None) -> dict[str, Any]:
    tone, message = answer.badge
    name, continues = (succession.predecessor.name, succession.continues) if succession else ("", None)
    return {
        "id": answer.company.pk,
        "complete": answer.is_complete,
        "tone": tone,
        "message": message,
        "question": answer.question is not None,
        "waiting": _is_waiting(answer),
        "number": answer.number,
        "reason": answer.reason,
        "rejected": answer.rejected_number,
        "shared": answer.shared.message if answer.shared else "",
        "shared_reason": answer.shared.reason if answer.shared else "",
        "predecessor": name,
        "continues": continues,
        "asks_about_number": answer.asks_about_number,
        "asks_about_succession": answer.asks_about_succession,
        "suggestions": [
            {"number": number, "name": name, "is_closed": is_closed}
            for number, name, is_closed in answer.suggestions
        ],
        "problems": {
            name: str(problem.message) for name, problem in answer.problems.items() if name != "number"
        },
    }


def _rows_context(
    request: AuthenticatedRequest, answers: list[IdentityAnswer], *, tried: bool
) -> dict[str, Any]:
    """Return the rows, filtered and in pages. After a failed attempt to continue: the incomplete ones."""
    incomplete = [answer for answer in answers if not answer.is_complete]
    default_filter = (
        "incomplete" if tried and len(answers) > PAGE_ROWS and request.parameters["show"] is None else ""
    )
    only, search_text = request.parameters["show"] or default_filter, request.parameters["q"] or ""
    rows = incomplete if only == "incomplete" else answers
    if search_text:
        rows = [answer for answer in rows if is_found(search_text, f"{answer.company.name} {answer.number}")]
    if len(answers) > PAGE_ROWS:
        rows = sorted(rows, key=lambda row: row.is_complete)
    page = Paginator(rows, PAGE_ROWS).get_page(request.parameters["page"])
    return {
        "answers": list(page.object_list),
        "page": page,
        "total": len(answers),
        "incomplete": len(incomplete),
        "discrepancy_count": sum(answer.question is not None for answer in answers),
        "complete": len(answers) - len(incomplete),
        "waiting": sum(_is_waiting(answer) for answer in answers),
        "suggested": _count_suggested(answers),
        "filter": only,
        "search": search_text,
        "first_open": incomplete[0].company.pk if incomplete else None,
        "undescribed": sum(answer.company.described_at is None for answer in answers),
    }


@step_page(Step.IDENTIFY)
def download_template(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Return a CSV of the chosen companies with the columns that an upload reads."""
    headings = [_("Name"), _("Number"), _("Reason"), _("Sector")]
    rows = [
        (
            answer.company.name,
            answer.number,
            str(REASONS.get(answer.reason, "")),
            f"{answer.sector} – {SECTIONS[answer.sector]}" if answer.sector in SECTIONS else "",
        )
        for answer in identify_step.list_answers(flow)
    ]
    response = HttpResponse("".join(csv_lines(headings, rows)), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{_("numbers")}.csv"'
    return response


def _store_pasted_list(request: AuthenticatedRequest, flow: Flow, form: IdentifyForm) -> None:
    result = store_pasted_list(flow, form.values["file"] or form.values["pasted"])
    identify_step.enqueue_lookups(flow)
    message = ngettext("%(count)d row filled in.", "%(count)d rows filled in.", result.matched_count)
    tell = messages.success if result.matched_count else messages.warning
    tell(request, message % {"count": result.matched_count})
    if result.unmatched:
        messages.warning(request, _("Not matched: %s") % shorten_list(result.unmatched))
    if result.unread:
        messages.info(request, _("Columns not used: %s") % shorten_list(result.unread))
