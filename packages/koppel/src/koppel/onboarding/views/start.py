"""① System and ② Sign in; resume, discard, and start from an existing connection."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent.service_companies import parse_ids
from koppel.connections.consent.sign_in_redirect import sign_in_at_vendor
from koppel.connections.models import ConsentPurpose
from koppel.connections.queries import AppChoice, apps_for, connections_of, get_connection, sign_in_origins
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connectors
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.confirmation import Confirmation, unconfirmed
from koppel.kit.web.decorators import outside_transaction, query_parameters
from koppel.kit.web.parameters import IDENTIFIER
from koppel.kit.web.sentences import render_sentence, shorten_list
from koppel.onboarding import flow as flows
from koppel.onboarding import services
from koppel.onboarding.forms import SignInForm, SystemForm
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.results import ExternalStep, InvalidStep
from koppel.onboarding.views.guard import step_page, to_step, url_of, wizard_context
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

PLANNED_SYSTEMS = ("Exact Online", "Twinfield", "AFAS", "Fortnox", "Tripletex")
"""Titles that are shown as “not yet”, while no connector of that title is installed."""


def choose_system(request: AuthenticatedRequest) -> HttpResponse:
    """Choose the accounting system (step 1)."""
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    if request.method == "POST":
        flow = services.start(request.actor, SystemForm.of(request).input_or_refusal())
        return to_step(flow, Step.SIGN_IN)
    systems = [
        (connector.descriptor, _sign_in_ways(apps_for(request.actor, key)))
        for key, connector in connectors().items()
    ]
    titles = {descriptor.title for descriptor, _ways in systems}
    planned_systems = [title for title in PLANNED_SYSTEMS if title not in titles]
    context = {
        "systems": systems,
        "planned_systems": planned_systems,
        "open_flows": flows.open_flows(request.actor),
    }
    return render(request, "onboarding/system.html", context | wizard_context(Step.SYSTEM))


def _sign_in_ways(apps: Sequence[AppChoice]) -> list[tuple[str, str]]:
    """Return title and explanation of each way to sign in, in the connector's words."""
    return list(dict.fromkeys((app.mode.title, app.mode.explanation) for app in apps))


def _with_advice(apps: Sequence[AppChoice]) -> list[tuple[AppChoice, str]]:
    """Return each way with its advice; the same advice only once."""
    seen: set[str] = set()
    advised = []
    for app in apps:
        advice = app.mode.advice
        advised.append((app, "" if advice in seen else advice))
        seen.add(advice)
    return advised


@query_parameters(connection=IDENTIFIER)
@outside_transaction
def import_more(request: AuthenticatedRequest) -> HttpResponse:
    """Start an import through an existing connection: the stored consent fetches the list of companies,
    without a sign-in. A link to this page shows the button that starts it.
    """
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    connection_id = request.parameters["connection"]
    with organisation_scope(request.actor.organisation_id):
        if connection_id is None:
            connections = list(connections_of(request.actor))
            if len(connections) != 1:
                return redirect("connections:list" if connections else "onboarding:new")
            connection_id = connections[0].pk
        if request.method != "POST":
            connection = get_connection(request.actor, connection_id)
            context = {"connection": connection, "nav_section": "connections"}
            return render(request, "onboarding/import.html", context)
        flow = flows.start_from_connection(request.actor, connection_id)
    try:
        sync_company_list(request.actor, connection_id)
    except ConnectorError as error:
        text = _("The list could not be refreshed; this is the previous one: %s")
        messages.warning(request, text % render_sentence(error.sentence))
    return to_step(flow, Step.CHOOSE)


@step_page(Step.SIGN_IN)
def resume(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Redirect to the step that the flow has reached."""
    return to_step(flow, Step(flow.step))


@require_POST
@step_page(Step.SIGN_IN)
def abandon(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Close the flow without an import, after a confirmation."""
    question = Confirmation(
        title=_("Discard import"),
        question=_("Discard this import?"),
        button=_("Discard import"),
        cancel_url=reverse("onboarding:resume", args=[flow.token]),
        consequences=[
            _("Everything you ticked, entered and assigned here is lost. Nothing is imported."),
            _("Connections you created are kept."),
        ],
        facts=len(flow.typed_identities) + len(flow.chosen_company_ids),
        nav_section="connections",
    )
    if page := unconfirmed(request, question):
        return page
    services.abandon(request.actor, flow)
    messages.success(
        request,
        _("Import discarded. Nothing was imported; connections you created are kept."),
    )
    return HttpResponseRedirect(reverse("connections:list"))


@step_page(Step.SIGN_IN)
def sign_in(request: AuthenticatedRequest, flow: Flow) -> HttpResponse:
    """Show the requirements and the rights that Koppel will have; continue to the vendor's page or to the ids
    (step 2).
    """
    request.actor.require(Permission.MANAGE_CONNECTIONS)
    form = SignInForm.of(request)
    if request.method == "POST" and form.is_valid() and (response := _sign_in_response(request, flow, form)):
        return response
    request.csp_forms = sign_in_origins(request.actor)
    context = {
        "apps": _with_advice(apps_for(request.actor, flow.connector)),
        "system": connectors()[flow.connector].descriptor,
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(
        request, "onboarding/sign_in.html", context | wizard_context(Step.SIGN_IN, flow), status=status
    )


def _sign_in_response(request: AuthenticatedRequest, flow: Flow, form: SignInForm) -> HttpResponse | None:
    """Redirect to the vendor or to the next step; None when the form shows why not. Raises `Http404`."""
    data = form.input
    app_id, text = data.app, data.company_ids
    if services.app_choice(request.actor, flow, app_id) is None:
        raise Http404
    outcome = services.sign_in(request.actor, flow, data)
    if isinstance(outcome, ExternalStep):
        purpose = ConsentPurpose.ADD_COMPANY if flow.connection_ids else ConsentPurpose.CONNECT
        return_path, force_sign_in = url_of(flow, Step.CHOOSE), form.cleaned_data["another"]
        return sign_in_at_vendor(
            request, request.actor, app_id, purpose, return_path, force_sign_in=force_sign_in
        )
    if not isinstance(outcome, InvalidStep):
        _report_ids(request, flow, app_id, text)
        return to_step(flow, Step.CHOOSE)
    for error in outcome.errors:
        form.show_error(error.message, error.field)
    return None


def _report_ids(request: AuthenticatedRequest, flow: Flow, app_id: int, text: str) -> None:
    """Show the number of ids read; the table below shows the vendor's result for each."""
    option = services.app_choice(request.actor, flow, app_id)
    if option is None:
        return
    read = parse_ids(option.mode, text)
    message = ngettext("%(count)d id found.", "%(count)d ids found.", len(read.ids)) % {
        "count": len(read.ids)
    }
    if read.duplicates:
        twice = ngettext("%(count)d duplicate skipped.", "%(count)d duplicates skipped.", read.duplicates)
        message += " " + twice % {"count": read.duplicates}
    messages.success(request, message)
    if read.lines:
        messages.warning(request, _("No id found in: %s") % shorten_list(read.lines))
