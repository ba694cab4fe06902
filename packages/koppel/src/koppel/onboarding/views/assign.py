"""⑤ Assign: assign the companies or skip, then finish the import."""

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.administrations.queries import assignment_choices
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import TEXT
from koppel.kit.web.undo_messages import success_with_undo
from koppel.onboarding import services
from koppel.onboarding.forms import AssignForm
from koppel.onboarding.inputs import AssignInput
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.results import Complete
from koppel.onboarding.steps import assign as assign_step
from koppel.onboarding.views.guard import step_page, to_import, to_step, wizard_context
from koppel.organisations.models import Membership
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Role


@query_parameters(q=TEXT)
@step_page(Step.ASSIGN)
def assign_companies(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Assign the ticked rows, any number of times; then finish."""
    if request.method == "POST":
        return _handle_action(request, flow)
    administrators = Membership.objects.for_actor(request.actor).filter(
        role=Role.ADMINISTRATOR, is_active=True
    )
    rows = assign_step.list_assignments(request.actor, flow)
    assigned = sum(row.is_assigned for row in rows)
    context = {
        "rows": rows,
        "summary": assign_step.summarize(request.actor, flow, rows),
        "assigned": assigned,
        "unassigned": len(rows) - assigned,
        "search": request.parameters["q"] or "",
        "administrators": [
            str(member.user) for member in administrators.select_related("user").order_by("user__name")
        ],
        "is_administrator": request.actor.role == Role.ADMINISTRATOR,
        **assignment_choices(request.actor),
    }
    return render(request, "onboarding/assign.html", context | wizard_context(Step.ASSIGN, flow))


def _handle_action(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    form = AssignForm.of(request)
    values, data = form.values_or_refusal(), form.input_or_refusal()
    action = values["action"]
    page_url = f"{request.path}?{urlencode({'q': values['q']})}" if values["q"] else request.path
    if action == "apply":
        _store_assignments(request, flow, data, announce=True)
        return HttpResponseRedirect(page_url)
    if action == "clear":
        count = assign_step.clear(flow, data.companies)
        text = ngettext(
            "Cleared for %(count)d administration.", "Cleared for %(count)d administrations.", count
        )
        success_with_undo(request, text % {"count": count}, _undo_url(flow))
        return HttpResponseRedirect(page_url)
    if action == "finish":
        _store_assignments(request, flow, data, announce=False)
    return _finish(request, flow)


def _store_assignments(
    request: AuthenticatedRequest, flow: Flow, assign_input: AssignInput, *, announce: bool
) -> None:
    """Store the choices. Finish does so too, for choices that were not applied yet."""
    if not (assign_input.division or assign_input.template or assign_input.users):
        if announce:
            messages.warning(request, _("Choose a division, users or a template first."))
        return
    services.assign(flow, assign_input)
    if announce:
        count = len(assign_input.companies)
        text = ngettext(
            "Assigned to %(count)d administration.", "Assigned to %(count)d administrations.", count
        )
        success_with_undo(request, text % {"count": count}, _undo_url(flow))


@require_POST
@step_page(Step.ASSIGN)
def undo_assignment(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Put back the assignments that the last Apply or Clear replaced."""
    count = assign_step.undo(flow)
    text = ngettext("Undone for %(count)d administration.", "Undone for %(count)d administrations.", count)
    messages.success(request, text % {"count": count})
    return to_step(flow, Step.ASSIGN)


def _undo_url(flow: Flow) -> str:
    return reverse("onboarding:undo_assignment", args=[flow.token])


def _finish(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    outcome = services.finish(request.actor, flow.token)
    if not isinstance(outcome, Complete):
        messages.error(request, outcome.errors[0].message)
        return to_step(flow, outcome.step)
    text = ngettext(
        "Import of %(count)d administration started.",
        "Import of %(count)d administrations started.",
        outcome.count,
    )
    messages.success(request, text % {"count": outcome.count})
    if outcome.skipped:
        text = ngettext(
            "%(count)d skipped: already imported or no longer reachable.",
            "%(count)d skipped: already imported or no longer reachable.",
            outcome.skipped,
        )
        messages.warning(request, text % {"count": outcome.skipped})
    return to_import(request.actor, outcome.import_id)
