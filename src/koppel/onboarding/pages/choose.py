"""③ Tick administrations; what a worker finds out about them meanwhile."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.connections.by_company_id import ask_again, forget
from koppel.connections.queries import AppChoice, apps_for, sign_in_origins
from koppel.kit.parameters import UnknownParameter, one_of, unknown_value
from koppel.onboarding import choosing, identifying, steps
from koppel.onboarding.choosing import Row
from koppel.onboarding.flow import is_import
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.outcomes import Stay
from koppel.onboarding.pages.guard import frame, ids_of, step_page, to_step
from koppel.web.doors import MemberRequest, takes


@step_page(Step.CHOOSE)
def choose(request: MemberRequest, flow: Flow) -> HttpResponse:
    """③ Everything that was reached; new ones can be ticked."""
    if request.method == "POST":
        act = request.POST.get("act", "next")
        if act not in (*ACTS, "next"):
            raise UnknownParameter([unknown_value("act", act, (*ACTS, "next"))])
        return ACTS[act](request, flow) if act in ACTS else _next(request, flow)
    found = choosing.rows(request.actor, flow)
    shown = _shown(flow, found)
    request.csp_forms = sign_in_origins(request.actor)  # type: ignore[attr-defined]
    way = _way(request, flow)
    context = {
        "rows": shown,
        "found": len(found),
        "imported": sum(one.is_imported for one in found),
        "unreachable": sum(one.marks == "unreachable" for one in found),
        "undescribed": sum(one.company.described_at is None for one in shown),
        "chosen": choosing.ticked(flow, found, collects_many=way is not None and way.mode.collects_many),
        "way": way,
        "accounts": len({one.account for one in found}) > 1,
        "may_release": choosing.may_release(request.actor, flow),
    }
    return render(request, "onboarding/choose.html", context | frame(Step.CHOOSE, flow))


@takes(of=one_of("chosen"))
@step_page(Step.CHOOSE)
def companies(request: MemberRequest, flow: Flow) -> HttpResponse:
    """What the background job has found out meanwhile, for the open page: of what that shows, or `?of=chosen`."""
    found = [one.company for one in _shown(flow, choosing.rows(request.actor, flow))]
    if request.parameters["of"]:
        found = [one for one in found if one.pk in set(flow.chosen)]
    guesses = {one.company.pk: one for one in identifying.answers(flow)}
    described = [
        {
            "id": one.pk,
            "name": one.name,
            "number": one.number,
            "country": one.country,
            "currency": one.base_currency,
            "guess": guesses[one.pk].number if one.pk in guesses else "",
            "reason": _(one.unreachable_reason) if one.unreachable_code else "",
        }
        for one in found
        if one.described_at is not None
    ]
    return JsonResponse({"companies": described, "left": len(found) - len(described)})


def _shown(flow: Flow, found: list[Row]) -> list[Row]:
    return [one for one in found if not one.is_imported] if is_import(flow) else found


def _next(request: MemberRequest, flow: Flow) -> HttpResponse:
    outcome = steps.choose(request.actor, flow, ids_of(request, "company"))
    if isinstance(outcome, Stay):
        messages.warning(request, outcome.troubles[0].sentence)
        return HttpResponseRedirect(request.path)
    return to_step(flow, outcome.step)


def _release(request: MemberRequest, flow: Flow) -> HttpResponse:
    released = request.POST.get("act") == "release"
    count = choosing.release(request.actor, flow, ids_of(request, "company"), released=released)
    if released:
        text = ngettext(
            "%(count)d company can be imported by others now.",
            "%(count)d companies can be imported by others now.",
            count,
        )
    else:
        text = ngettext(
            "%(count)d company is hidden from others now.", "%(count)d companies are hidden from others now.", count
        )
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(request.path)


def _ask_again(request: MemberRequest, flow: Flow) -> HttpResponse:
    count = sum(ask_again(request.actor, one) for one in flow.collected)
    text = ngettext("%(count)d company is asked about again.", "%(count)d companies are asked about again.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(request.path)


def _forget(request: MemberRequest, flow: Flow) -> HttpResponse:
    rows = [one.company.pk for one in choosing.rows(request.actor, flow) if one.marks == "unreachable"]
    count = sum(forget(request.actor, one, rows) for one in flow.collected)
    text = ngettext("%(count)d line was taken off the list.", "%(count)d lines were taken off the list.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(request.path)


ACTS = {"release": _release, "withhold": _release, "ask_again": _ask_again, "forget": _forget}


def _way(request: MemberRequest, flow: Flow) -> AppChoice | None:
    return next((one for one in apps_for(request.actor, flow.connector) if one.app.pk == flow.app_id), None)
