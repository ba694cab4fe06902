"""The wizard's pages. A page shows its step, or sends to the step that the flow has reached."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.administrations.errors import NotThere
from koppel.administrations.queries import choices
from koppel.connections.doors import sign_in_at_vendor
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.listing import refresh_companies
from koppel.connections.models import ConsentPurpose
from koppel.connections.queries import apps_for, connections_of, sign_in_origins
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connectors
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding import services
from koppel.onboarding.errors import FlowExpired, NoSuchFlow
from koppel.onboarding.models import Flow, FlowState, Step
from koppel.organisations.models import Membership
from koppel.organisations.policy import Permission, Role
from koppel.registers.paste import read_lines
from koppel.registers.reasons import REASONS
from koppel.registers.sectors import SECTIONS
from koppel.web.doors import MemberRequest, outside_transaction

LATER_SYSTEMS = ("Exact Online", "Twinfield", "AFAS", "Fortnox", "Tripletex")
UPLOAD_BYTES_MAX = 2 * 1024 * 1024
View = Callable[[MemberRequest, Flow], HttpResponse]


def system(request: MemberRequest) -> HttpResponse:
    """① Choose the accounting system."""
    request.actor.require(Permission.CONNECTIONS)
    if request.method == "POST":
        key = request.POST.get("connector", "")
        if key not in connectors():
            raise Http404
        return HttpResponseRedirect(reverse("onboarding:sign_in", args=[services.start(request.actor, key).token]))
    found = [(one.descriptor, bool(apps_for(request.actor, key))) for key, one in connectors().items()]
    context = {"systems": found, "later": LATER_SYSTEMS, "open_flows": services.open_flows(request.actor)}
    return render(request, "onboarding/system.html", context | _frame(Step.SYSTEM))


@outside_transaction
def import_more(request: MemberRequest) -> HttpResponse:
    """More through a connection that exists: the list is fetched through the stored consent, no sign-in."""
    request.actor.require(Permission.IMPORT)
    with organisation_scope(request.actor.organisation_id):
        found = list(connections_of(request.actor))
    asked = request.GET.get("connection", "")
    if not asked and len(found) == 1:
        asked = str(found[0].pk)
    if not asked.isdecimal():
        return HttpResponseRedirect(reverse("connections:list") if found else reverse("onboarding:new"))
    try:
        with organisation_scope(request.actor.organisation_id):
            flow = services.start_import(request.actor, int(asked))
        refresh_companies(request.actor, int(asked))
    except NoSuchConnection:
        raise Http404 from None
    except ConnectorError as error:
        messages.warning(request, _("The list could not be renewed, so this is the last one: %s") % error)
    return HttpResponseRedirect(reverse("onboarding:choose", args=[flow.token]))


def _step(step: Step) -> Callable[[View], Callable[[MemberRequest, UUID], HttpResponse]]:
    """The actor's own flow, not expired, not finished, far enough: else the page that helps."""

    def decorate(view: View) -> Callable[[MemberRequest, UUID], HttpResponse]:
        @wraps(view)
        def guarded(request: MemberRequest, token: UUID) -> HttpResponse:
            request.actor.require(Permission.IMPORT)
            try:
                flow = services.flow_for(request.actor, token)
            except NoSuchFlow:
                raise Http404 from None
            except FlowExpired:
                return render(request, "onboarding/expired.html", _frame(step), status=410)
            if flow.state == FlowState.FINISHED:
                return _finished(flow)
            services.take_over_sign_ins(request.actor, flow, reverse("onboarding:choose", args=[flow.token]))
            if not services.has_reached(flow, step):
                return HttpResponseRedirect(_url(flow, Step(flow.step)))
            return view(request, flow)

        return guarded

    return decorate


@_step(Step.SIGN_IN)
def resume(request: MemberRequest, flow: Flow) -> HttpResponse:
    """To the step that was reached."""
    return HttpResponseRedirect(_url(flow, Step(flow.step)))


@_step(Step.SIGN_IN)
def sign_in(request: MemberRequest, flow: Flow) -> HttpResponse:
    """② What is needed, what Koppel may do, and on to the vendor's own page."""
    request.actor.require(Permission.CONNECTIONS)
    apps = apps_for(request.actor, flow.connector)
    if request.method == "POST":
        chosen = next((one for one in apps if str(one.app.pk) == request.POST.get("app")), None)
        if chosen is None:
            raise Http404
        purpose = ConsentPurpose.ADD_COMPANY if flow.connection_id else ConsentPurpose.CONNECT
        try:
            return sign_in_at_vendor(
                request, request.actor, chosen.app.pk, purpose, _url(flow, Step.CHOOSE),
                force_sign_in=request.POST.get("another") == "1",
            )  # fmt: skip
        except ConsentRefused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.path)
    request.csp_forms = sign_in_origins(request.actor)  # type: ignore[attr-defined]
    context = {"flow": flow, "apps": apps, "system": connectors()[flow.connector].descriptor}
    return render(request, "onboarding/sign_in.html", context | _frame(Step.SIGN_IN))


@_step(Step.CHOOSE)
def choose(request: MemberRequest, flow: Flow) -> HttpResponse:
    """③ Tick administrations."""
    if request.method == "POST":
        ids = [int(one) for one in request.POST.getlist("company") if one.isdecimal()]
        if services.choose(request.actor, flow, ids):
            return HttpResponseRedirect(_url(flow, Step.IDENTIFY))
        messages.warning(request, _("Tick at least one administration."))
        return HttpResponseRedirect(request.path)
    found = services.rows(request.actor, flow)
    is_import = flow.message == services.FROM_CONNECTION
    shown = [one for one in found if one.marks != "imported"] if is_import else found
    request.csp_forms = sign_in_origins(request.actor)  # type: ignore[attr-defined]
    apps = apps_for(request.actor, flow.connector)
    context = {
        "flow": flow,
        "rows": shown,
        "found": len(found),
        "imported": sum(one.marks == "imported" for one in found),
        "unreachable": sum(one.marks == "unreachable" for one in found),
        "fresh": sum(one.can_be_chosen for one in found),
        "undescribed": sum(one.company.described_at is None for one in shown),
        "chosen": set(flow.chosen) or {one.company.pk for one in shown if one.can_be_chosen and not is_import},
        "app": next((one for one in apps if one.app.pk == flow.app_id), None),
        "is_import": is_import,
    }
    return render(request, "onboarding/choose.html", context | _frame(Step.CHOOSE))


@_step(Step.CHOOSE)
def companies(request: MemberRequest, flow: Flow) -> HttpResponse:
    """What the background job has found out meanwhile, for the open page."""
    found = [one.company for one in services.rows(request.actor, flow)]
    guesses = {one.company.pk: one for one in services.answers(flow)}
    described = [
        {
            "id": one.pk,
            "number": one.number,
            "country": one.country,
            "currency": one.base_currency,
            "guess": guesses[one.pk].number if one.pk in guesses else "",
            "reason": one.unreachable_reason,
        }
        for one in found
        if one.described_at is not None
    ]
    return JsonResponse({"companies": described, "left": len(found) - len(described)})


@_step(Step.IDENTIFY)
def identify(request: MemberRequest, flow: Flow) -> HttpResponse:
    """④ A COC number for each, or a reason and a sector."""
    tried = False
    if request.method == "POST":
        act = request.POST.get("act", "next")
        found = services.identify(flow, _given(request, flow))
        if act == "fill":
            _fill_in(request, flow)
            return HttpResponseRedirect(request.path)
        if all(one.is_complete for one in found):
            return HttpResponseRedirect(_url(flow, Step.ASSIGN))
        tried = True
    else:
        found = services.answers(flow)
    incomplete = sum(not one.is_complete for one in found)
    context = {
        "flow": flow,
        "answers": found,
        "incomplete": incomplete,
        "complete": len(found) - incomplete,
        "tried": tried,
        "undescribed": sum(one.company.described_at is None for one in found),
        "reasons": REASONS.items(),
        "sectors": SECTIONS.items(),
    }
    return render(request, "onboarding/identify.html", context | _frame(Step.IDENTIFY), status=422 if tried else 200)


@_step(Step.ASSIGN)
def assign(request: MemberRequest, flow: Flow) -> HttpResponse:
    """⑤ Hand them out, or skip; then Finish."""
    if request.method == "POST":
        act = request.POST.get("act", "")
        if act in ("apply", "finish"):
            _assign(request, flow, announce=act == "apply")
        if act == "apply":
            return HttpResponseRedirect(request.path)
        return _finish(request, flow)
    names = choices(request.actor)
    lookup = {key: dict(pairs) for key, pairs in names.items()}
    shown = []
    for one in services.answers(flow):
        own = flow.assignments.get(str(one.company.pk), {})
        people = [lookup["people"][user] for user in own.get("users", []) if user in lookup["people"]]
        division, template = (
            lookup["divisions"].get(own.get("division", 0)),
            lookup["templates"].get(own.get("template", 0)),
        )
        shown.append((one, division, template, people))
    administrators = Membership.objects.filter(
        organisation_id=request.actor.organisation_id, role=Role.ADMINISTRATOR, is_active=True
    ).count()
    context = {"flow": flow, "rows": shown, "administrators": administrators, **names}
    return render(request, "onboarding/assign.html", context | _frame(Step.ASSIGN))


def _finish(request: MemberRequest, flow: Flow) -> HttpResponse:
    try:
        made = services.finish(request.actor, flow.token)
    except NotThere:
        messages.error(request, _("A division, template or person that you chose is gone. Nothing was imported yet."))
        return HttpResponseRedirect(request.path)
    if made is None:
        return HttpResponseRedirect(_url(flow, Step.IDENTIFY))
    text = ngettext(
        "The import of %(count)d administration has begun.",
        "The import of %(count)d administrations has begun.",
        made.count,
    )
    messages.success(request, text % {"count": made.count})
    return HttpResponseRedirect(f"{reverse('administrations:list')}?import={made.pk}")


def _finished(flow: Flow) -> HttpResponse:
    query = f"?import={flow.result_id}" if flow.result_id else ""
    return HttpResponseRedirect(f"{reverse('administrations:list')}{query}")


def _given(request: MemberRequest, flow: Flow) -> dict[int, dict[str, str]]:
    given = {}
    for company_id in flow.chosen:
        if f"number-{company_id}" in request.POST:
            given[company_id] = {
                "number": request.POST.get(f"number-{company_id}", "")[:60],
                "reason": request.POST.get(f"reason-{company_id}", "")[:40],
                "sector": services.sector_letter(request.POST.get(f"sector-{company_id}", "")),
            }
    return given


def _fill_in(request: MemberRequest, flow: Flow) -> None:
    text = request.POST.get("pasted", "")
    upload = request.FILES.get("file")
    if upload is not None:
        if (upload.size or 0) > UPLOAD_BYTES_MAX:
            messages.error(request, _("This file is larger than 2 MB. A list of numbers is much smaller."))
            return
        text = upload.read().decode("utf-8-sig", errors="replace")
    placed, missed = services.fill_in(flow, read_lines(text)) if text.strip() else (0, [])
    filled = ngettext("%(count)d number was filled in.", "%(count)d numbers were filled in.", placed) % {
        "count": placed
    }
    messages.success(request, filled)
    if missed:
        messages.warning(request, _("No administration has this name: %s") % ", ".join(missed[:10]))


def _assign(request: MemberRequest, flow: Flow, *, announce: bool) -> None:
    asked = request.POST
    ids = [int(one) for one in asked.getlist("company") if one.isdecimal()]
    users = [int(one) for one in asked.getlist("users") if one.isdecimal()]
    division, template = asked.get("division", ""), asked.get("template", "")
    if not (division or template or users):
        if announce:
            messages.warning(request, _("Choose a division, users or a template first."))
        return
    count = services.assign(
        flow, ids, division_id=int(division) if division.isdecimal() else None,
        template_id=int(template) if template.isdecimal() else None, users=users,
    )  # fmt: skip
    if announce:
        text = ngettext("Applied to %(count)d administration.", "Applied to %(count)d administrations.", count)
        messages.success(request, text % {"count": count})


def _url(flow: Flow, step: Step) -> str:
    names = {
        Step.SYSTEM: "sign_in",
        Step.SIGN_IN: "sign_in",
        Step.CHOOSE: "choose",
        Step.IDENTIFY: "identify",
        Step.ASSIGN: "assign",
    }
    return reverse(f"onboarding:{names[step]}", args=[flow.token])


def _frame(step: Step) -> dict[str, Any]:
    order = list(Step)
    steps = [(one, one.label, order.index(one) < order.index(step)) for one in order]
    return {"place": "connections", "steps": steps, "step": step}
