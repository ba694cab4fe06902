"""Access to the pages of the steps: only with the actor's own flow that is open and has reached the step;
otherwise a redirect, or a page that says how to start again.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from koppel.administrations.bulk import undoable_operation_of_import
from koppel.onboarding import flow as flows
from koppel.onboarding.errors import FlowExpired
from koppel.onboarding.models import Flow, FlowState, Step
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission

View = Callable[[AuthenticatedRequest, Flow], HttpResponse]
URL_NAMES = {
    Step.SYSTEM: "sign_in",
    Step.SIGN_IN: "sign_in",
    Step.CHOOSE: "choose",
    Step.IDENTIFY: "identify",
    Step.ASSIGN: "assign",
}


def step_page(step: Step) -> Callable[[View], Callable[[AuthenticatedRequest, UUID], HttpResponse]]:
    """Decorate the view of a step: call it with the actor's flow, and only when the flow has reached the
    step.
    """

    def decorate(view: View) -> Callable[[AuthenticatedRequest, UUID], HttpResponse]:
        @wraps(view)
        def wrapper(request: AuthenticatedRequest, token: UUID) -> HttpResponse:
            request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
            try:
                flow = flows.get_flow(request.actor, token)
            except FlowExpired:  # a page of the wizard's own, which says how to start again
                return render(request, "onboarding/expired.html", wizard_context(step), status=410)
            if flow.state == FlowState.FINISHED:
                return to_import(request.actor, flow.import_record_id)
            flows.collect_completed_sign_ins(request.actor, flow, url_of(flow, Step.CHOOSE))
            if not flows.has_reached(flow, step):
                return to_step(flow, Step(flow.step))
            return view(request, flow)

        return wrapper

    return decorate


def url_of(flow: Flow, step: Step) -> str:
    return reverse(f"onboarding:{URL_NAMES[step]}", args=[flow.token])


def to_step(flow: Flow, step: Step) -> HttpResponse:
    return HttpResponseRedirect(url_of(flow, step))


def to_import(actor: Actor, import_id: int | None) -> HttpResponse:
    """Redirect to the list of administrations, filtered to this import, with the undo of its assignments."""
    query = f"?import={import_id}" if import_id else ""
    if import_id and (operation_id := undoable_operation_of_import(actor, import_id)):
        query += f"&done={operation_id}"
    return HttpResponseRedirect(f"{reverse('administrations:list')}{query}")


def wizard_context(step: Step, flow: Flow | None = None) -> dict[str, Any]:
    """Return the context of the wizard's frame: the steps, with links to those that may be opened."""
    order = list(Step)
    steps = [
        (
            step_,
            step_.label,
            order.index(step_) < order.index(step),
            url_of(flow, step_)
            if flow and step_ not in (step, Step.SYSTEM) and flows.has_reached(flow, step_)
            else "",
        )
        for step_ in order
    ]
    context = {"nav_section": "connections", "steps": steps, "step": step}
    return (
        {**context, "flow": flow, "starts_from_connection": flows.starts_from_connection(flow)}
        if flow
        else context
    )
