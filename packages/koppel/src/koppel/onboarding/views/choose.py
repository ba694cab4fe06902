"""③ Choose: tick the companies to import, while a worker looks up their details."""

from collections.abc import Callable, Mapping
from functools import partial

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.connections.consent.service_companies import remove_companies, retry_companies
from koppel.connections.queries import AppChoice, apps_for, sign_in_origins
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import FLAG, one_of
from koppel.kit.web.sentences import render_sentence
from koppel.onboarding import services
from koppel.onboarding.flow import starts_from_connection
from koppel.onboarding.forms import ChooseForm, TicksForm
from koppel.onboarding.inputs import ChooseInput
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.results import InvalidStep
from koppel.onboarding.steps import choose as choose_step
from koppel.onboarding.steps import identify
from koppel.onboarding.steps.choose import ChoiceState, CompanyChoice
from koppel.onboarding.views.guard import step_page, to_step, wizard_context
from koppel.organisations.requests import AuthenticatedRequest


@query_parameters(other_tab=FLAG)
@step_page(Step.CHOOSE)
def choose_companies(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Show all companies that the sign-in reaches; new ones can be ticked (step 3)."""
    if request.method == "POST":
        form = ChooseForm.of(request)
        action = form.values_or_refusal()["action"] or "next"
        data = form.input_or_refusal()
        if action == "next" and _other_tabs_ticked(request, flow, form, data):
            return HttpResponseRedirect(f"{request.path}?other_tab=1")
        return ACTIONS[action](request, flow, data)
    choices = choose_step.list_company_choices(request.actor, flow)
    visible = _visible_choices(flow, choices)
    request.csp_forms = sign_in_origins(request.actor)
    option = _app_choice(request, flow)
    context = {
        "rows": visible,
        "countries": sorted({choice.company.country for choice in visible if choice.company.country}),
        "company_count": len(choices),
        "imported": sum(choice.is_imported for choice in choices),
        "unreachable": sum(choice.state is ChoiceState.UNREACHABLE for choice in choices),
        "has_other": any(choice.state is not ChoiceState.NEW for choice in visible),
        "undescribed": sum(choice.company.described_at is None for choice in visible),
        "chosen": choose_step.preselected_ids(
            flow,
            choices,
            is_one_company_per_sign_in=option is not None and option.mode.is_one_company_per_sign_in,
        ),
        "stored": flow.chosen_company_ids,
        "other_tab": request.parameters["other_tab"] is not None,
        "app_choice": option,
        "accounts": len({choice.account for choice in choices}) > 1,
        "can_set_import_policy": choose_step.can_set_import_policy(request.actor, flow),
    }
    return render(request, "onboarding/choose.html", context | wizard_context(Step.CHOOSE, flow))


@require_POST
@step_page(Step.CHOOSE)
def save_ticks(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Store ticks as they are made, and return the stored choice."""
    values = TicksForm.of(request).values_or_refusal()
    chosen = choose_step.save_ticks(request.actor, flow.token, values["ticked"], values["cleared"])
    return JsonResponse({"chosen": sorted(chosen)})


@query_parameters(of=one_of("chosen"))
@step_page(Step.CHOOSE)
def list_companies(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Return the details that the worker has found meanwhile, for the open page: of the companies that it
    shows, or with `?of=chosen` of the chosen ones.
    """
    remote_companies = [
        choice.company
        for choice in _visible_choices(flow, choose_step.list_company_choices(request.actor, flow))
    ]
    if request.parameters["of"]:
        chosen_ids = set(flow.chosen_company_ids)
        remote_companies = [company for company in remote_companies if company.pk in chosen_ids]
    guesses = {answer.company.pk: answer for answer in identify.list_answers(flow)}
    described = [
        {
            "id": company.pk,
            "name": company.name,
            "number": company.number,
            "country": company.country,
            "currency": company.base_currency,
            "guess": guesses[company.pk].number if company.pk in guesses else "",
            "reason": render_sentence(company.unreachable_reason) if company.unreachable_code else "",
        }
        for company in remote_companies
        if company.described_at is not None
    ]
    return JsonResponse({"companies": described, "left": len(remote_companies) - len(described)})


def _other_tabs_ticked(
    request: AuthenticatedRequest, flow: Flow, form: ChooseForm, data: ChooseInput
) -> bool:
    """Return whether other tabs ticked more than this page knew; then the union is stored."""
    if form.base_ids is None or not data.companies:
        return False
    return choose_step.merge_other_tabs(request.actor, flow.token, data.companies, form.base_ids)


def _visible_choices(flow: Flow, choices: list[CompanyChoice]) -> list[CompanyChoice]:
    return (
        [choice for choice in choices if not choice.is_imported] if starts_from_connection(flow) else choices
    )


def _next(request: AuthenticatedRequest, flow: Flow, data: ChooseInput) -> HttpResponse:
    outcome = services.choose(request.actor, flow, data)
    if isinstance(outcome, InvalidStep):
        messages.warning(request, outcome.errors[0].message)
        return HttpResponseRedirect(request.path)
    return to_step(flow, outcome.step)


def _share(
    request: AuthenticatedRequest, flow: Flow, data: ChooseInput, *, with_colleagues: bool
) -> HttpResponse:
    count = choose_step.set_companies_importable(
        request.actor, flow, data.companies, importable=with_colleagues
    )
    shared = ngettext(
        "%(count)d company shared with colleagues.", "%(count)d companies shared with colleagues.", count
    )
    hidden = ngettext(
        "%(count)d company hidden from colleagues.", "%(count)d companies hidden from colleagues.", count
    )
    messages.success(request, (shared if with_colleagues else hidden) % {"count": count})
    return HttpResponseRedirect(request.path)


def _retry(request: AuthenticatedRequest, flow: Flow, _data: ChooseInput) -> HttpResponse:
    count = sum(retry_companies(request.actor, connection_id) for connection_id in flow.connection_ids)
    text = ngettext("Looking up %(count)d company again.", "Looking up %(count)d companies again.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(request.path)


def _remove_unreachable(request: AuthenticatedRequest, flow: Flow, _data: ChooseInput) -> HttpResponse:
    choices = choose_step.list_company_choices(request.actor, flow)
    unreachable = [choice.company.pk for choice in choices if choice.state is ChoiceState.UNREACHABLE]
    count = sum(
        remove_companies(request.actor, connection_id, unreachable) for connection_id in flow.connection_ids
    )
    text = ngettext("%(count)d line removed.", "%(count)d lines removed.", count)
    messages.success(request, text % {"count": count})
    return HttpResponseRedirect(request.path)


ACTIONS: Mapping[str, Callable[[AuthenticatedRequest, Flow, ChooseInput], HttpResponse]] = {
    "next": _next,
    "share": partial(_share, with_colleagues=True),
    "hide": partial(_share, with_colleagues=False),
    "retry": _retry,
    "remove_unreachable": _remove_unreachable,
}


def _app_choice(request: AuthenticatedRequest, flow: Flow) -> AppChoice | None:
    return next(
        (option for option in apps_for(request.actor, flow.connector) if option.app.pk == flow.app_id), None
    )
