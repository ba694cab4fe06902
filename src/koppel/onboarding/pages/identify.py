"""④ Identify: a table to type in. Each row is stored when it is left, so that nothing typed is lost."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.kit.confirmation import Confirmation, Group, unconfirmed
from koppel.kit.parameters import FLAG, IDENTIFIERS, PAGE, TEXT, UnknownParameter, id_of, one_of, unknown_value
from koppel.onboarding import identifying, steps
from koppel.onboarding.identifying import FIELDS, Answer
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.outcomes import Advance
from koppel.onboarding.pages.guard import UPLOAD_BYTES_MAX, frame, step_page, to_step
from koppel.registers.paste import decode
from koppel.registers.reasons import REASONS
from koppel.registers.sectors import SECTIONS, search
from koppel.web.doors import MemberRequest, takes

PAGE_ROWS = 250
"""More rows than these are shown in pages; those that need a person come first."""


@takes(q=TEXT, show=one_of("needs"), page=PAGE, tried=FLAG)
@step_page(Step.IDENTIFY)
def identify(request: MemberRequest, flow: Flow) -> HttpResponse:
    """④ A COC number for each, or a reason and a sector."""
    if request.method == "POST":
        if request.POST.get("act", "next") not in ("fill", "next"):
            raise UnknownParameter([unknown_value("act", request.POST["act"], ("fill", "next"))])
        if request.POST.get("act") == "fill":
            identifying.keep(flow, _given(request, flow))
            _fill_in(request, flow)
            return HttpResponseRedirect(request.path)
        if request.POST.get("act", "").startswith(("same", "other")):
            return _settle(request, flow)
        outcome = steps.identify(flow, _given(request, flow))
        if isinstance(outcome, Advance):
            return to_step(flow, outcome.step)
        # What was typed is kept: a reload of the next page sends nothing again over what was stored meanwhile.
        return HttpResponseRedirect(f"{request.path}?tried=1")
    found, tried = identifying.answers(flow), request.parameters["tried"] is not None
    context = _shown(request, found, tried=tried) | {"tried": tried, "reasons": REASONS.items()}
    context["sectors"] = [(letter, f"{letter} – {label}") for letter, label in SECTIONS.items()]
    return render(request, "onboarding/identify.html", context | frame(Step.IDENTIFY, flow))


def _settle(request: MemberRequest, flow: Flow) -> HttpResponse:
    """“Is this the same company?”: yes or no of one row (`same-7`, `other-7`), yes of all that are ticked (`same`).

    Many are shown once more, with both names, before it is stored."""
    identifying.keep(flow, _given(request, flow))
    act, _dash, one = request.POST.get("act", "").partition("-")
    back = request.get_full_path()
    if one:
        ids = [*filter(None, [id_of(one)])]
        identifying.confirm(request.actor, flow, ids, same=act == "same")
        return HttpResponseRedirect(f"{back}#row-{one}")
    asked = [answer for answer in identifying.answers(flow, _ticked(request, flow)) if answer.question]
    if not asked:
        messages.warning(request, _("Tick the rows that are the same company first."))
        return HttpResponseRedirect(back)
    if page := unconfirmed(request, _question(asked, back)):
        return page
    count = identifying.confirm(request.actor, flow, [answer.company.pk for answer in asked], same=True)
    text = ngettext("%(count)d row is confirmed.", "%(count)d rows are confirmed.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(back)


def _ticked(request: MemberRequest, flow: Flow) -> list[int] | None:
    """Those that are ticked, or all rows of all pages."""
    if request.POST.get("doubts") == "all":
        return None
    ids = [*request.POST.getlist("doubt"), *request.POST.get("doubts", "").split(",")]
    return [*filter(None, map(id_of, ids))]


def _question(asked: list[Answer], back: str) -> Confirmation:
    count = len(asked)
    question = ngettext("Is %(count)d row the same company?", "Are %(count)d rows the same companies?", count)
    doubts = [answer.doubt for answer in asked if answer.doubt]
    return Confirmation(
        title=_("The same company?"),
        question=question % {"count": count},
        button=ngettext("Yes, the same for %(count)d row", "Yes, the same for %(count)d rows", count)
        % {"count": count},
        back=back,
        consequences=[_("Your name and the time are kept with each answer.")],
        groups=[Group(_("Rows"), [" ".join([f"{doubt.company.name}:", *doubt.differences]) for doubt in doubts])],
        fields={"act": "same", "doubts": ",".join(str(doubt.company.pk) for doubt in doubts)},
        facts=[doubt.facts for doubt in doubts],
        place="connections",
    )


@require_POST
@step_page(Step.IDENTIFY)
def row(request: MemberRequest, flow: Flow) -> HttpResponse:
    """One row was left: store it, ask a register, and say how it stands."""
    own = identifying.keep(flow, _given(request, flow))
    if not own:
        return JsonResponse({"error": "not_there"}, status=404)
    identifying.ask_registers(flow, own)
    return JsonResponse({"rows": [_as_json(one) for one in identifying.answers(flow, own)]})


@takes(id=IDENTIFIERS)
@step_page(Step.IDENTIFY)
def marks(request: MemberRequest, flow: Flow) -> HttpResponse:
    """What registers have answered meanwhile about the rows `?id=…&id=…`, for the open page."""
    wanted = request.parameters["id"][:PAGE_ROWS]
    return JsonResponse({"rows": [_as_json(one) for one in identifying.answers(flow, wanted)]})


@takes(q=TEXT)
@step_page(Step.IDENTIFY)
def sectors(request: MemberRequest, flow: Flow) -> HttpResponse:
    """What a few typed letters may mean."""
    found = search((request.parameters["q"] or "")[:60], get_language() or "en")
    return JsonResponse({"sectors": [{"text": one.text, "because": one.because or one.example} for one in found[:25]]})


def _as_json(one: Answer) -> dict[str, Any]:
    tone, sentence = one.mark
    return {
        "id": one.company.pk,
        "complete": one.is_complete,
        "tone": tone,
        "sentence": sentence,
        "question": one.question is not None,
        "waiting": bool(one.finding and one.finding.is_waiting and one.finding.outcome is None),
        "suggestions": [{"number": number, "name": name} for number, name in one.suggestions],
        "problems": {name: str(problem.sentence) for name, problem in one.problems.items() if name != "number"},
    }


def _shown(request: MemberRequest, found: list[Answer], *, tried: bool) -> dict[str, Any]:
    """Which rows: by filter, and in pages when there are many. After an attempt to go on: those that need somebody."""
    incomplete = [one for one in found if not one.is_complete]
    unasked = "needs" if tried and len(found) > PAGE_ROWS and "show" not in request.GET else ""
    only, words = request.parameters["show"] or unasked, request.parameters["q"] or ""
    rows = incomplete if only == "needs" else found
    if words:
        rows = [one for one in rows if words.casefold() in f"{one.company.name} {one.number}".casefold()]
    if len(found) > PAGE_ROWS:
        rows = sorted(rows, key=lambda one: one.is_complete)
    page = Paginator(rows, PAGE_ROWS).get_page(request.parameters["page"])
    return {
        "answers": list(page.object_list),
        "page": page,
        "total": len(found),
        "incomplete": len(incomplete),
        "doubtful": sum(one.question is not None for one in found),
        "complete": len(found) - len(incomplete),
        "elsewhere": len(found) - len(page.object_list),
        "only": only,
        "words": words,
        "undescribed": sum(one.company.described_at is None for one in found),
    }


def _given(request: MemberRequest, flow: Flow) -> dict[int, dict[str, str]]:
    """What was typed for rows of the flow. Rows that the page did not show stay as they are."""
    return {
        company_id: {name: request.POST.get(f"{name}-{company_id}", "").replace("\0", "")[:60] for name in FIELDS}
        for company_id in flow.chosen
        if f"number-{company_id}" in request.POST
    }


def _fill_in(request: MemberRequest, flow: Flow) -> None:
    text = request.POST.get("pasted", "")
    upload = request.FILES.get("file")
    if upload is not None:
        if (upload.size or 0) > UPLOAD_BYTES_MAX:
            messages.error(request, _("This file is larger than 2 MB. A list of numbers is much smaller."))
            return
        text = decode(upload.read())
    found = identifying.fill_in(flow, text)
    identifying.ask_registers(flow)
    sentence = ngettext("%(count)d row was filled in.", "%(count)d rows were filled in.", found.placed)
    messages.success(request, sentence % {"count": found.placed})
    if found.missed:
        messages.warning(request, _("Not placed: %s") % "; ".join(found.missed[:8]))
