"""Use cases of the wizard, for pages and REST: save a step, finish, abandon. They return `results`."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.administrations.errors import NoSuchChoice
from koppel.connections.consent.service_companies import (
    IDS_MAX,
    add_companies,
    parse_ids,
    withdraw_companies,
)
from koppel.connections.errors import TooManyCompanies
from koppel.connections.queries import AppChoice, apps_for
from koppel.connector.registry import connectors
from koppel.kit import quarantine
from koppel.onboarding import flow as flows
from koppel.onboarding.errors import UnknownSystem
from koppel.onboarding.flow import add_connection, get_flow, start_flow, start_from_connection
from koppel.onboarding.inputs import (
    AssignInput,
    ChooseInput,
    CompanyIdentityInput,
    FlowInput,
    IdentifyInput,
    SignInInput,
)
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.results import Abandoned, Advance, Complete, ExternalStep, FieldError, InvalidStep
from koppel.onboarding.steps import assign as assign_step
from koppel.onboarding.steps import choose as choose_step
from koppel.onboarding.steps import finish as finish_step
from koppel.onboarding.steps import identify as identify_step
from koppel.onboarding.steps.still_client import confirm_clients
from koppel.onboarding.steps.succession import answer_successions
from koppel.organisations.roles import Actor, Permission


def app_choice(actor: Actor, flow: Flow, app_id: int) -> AppChoice | None:
    """Return the app registration with this id if the flow may offer it."""
    return next((option for option in apps_for(actor, flow.connector) if option.app.pk == app_id), None)


def start(actor: Actor, data: FlowInput) -> Flow:
    """Start a flow for a new connection, or for one that exists. Raises `UnknownSystem`."""
    if data.connection is not None:
        return start_from_connection(actor, data.connection)
    if data.system not in connectors():
        raise UnknownSystem
    return start_flow(actor, data.system)


def sign_in(actor: Actor, flow: Flow, data: SignInInput) -> Advance | InvalidStep | ExternalStep:
    """Save the sign-in step: store company ids where the consent mode needs them, else go to the vendor."""
    actor.require(Permission.MANAGE_CONNECTIONS)
    quarantine.refuse()
    option = app_choice(actor, flow, data.app)
    if option is None:
        return InvalidStep(Step.SIGN_IN, (FieldError("unknown_app", _("Choose a sign-in method."), "app"),))
    if not option.mode.is_by_company_id:
        return ExternalStep(reverse("onboarding:sign_in", args=[flow.token]))
    read = parse_ids(option.mode, data.company_ids)
    if not read.ids:
        message = _("No id found in this text. Ids look like 0a1b2c3d-1234-5678-9abc-0123456789ab.")
        return InvalidStep(Step.SIGN_IN, (FieldError("no_ids", message, "company_ids"),))
    if len(read.ids) > IDS_MAX:
        message = _("These are %(count)d companies. Add at most %(limit)d at once.") % {
            "count": len(read.ids),
            "limit": IDS_MAX,
        }
        return InvalidStep(Step.SIGN_IN, (FieldError("too_many_ids", message, "company_ids"),))
    try:
        with transaction.atomic():
            added = add_companies(actor, option.app.pk, read.ids)
    except TooManyCompanies as error:
        return InvalidStep(Step.SIGN_IN, (FieldError(error.code, error.message, "company_ids"),))
    flow.entered_company_ids = [*flow.entered_company_ids, *added.new_ids]
    flow.save(update_fields=["entered_company_ids"])
    add_connection(flow, added.connection_id, option.app.pk)
    return Advance(Step.CHOOSE)


def choose(actor: Actor, flow: Flow, data: ChooseInput) -> Advance | InvalidStep:
    """Save the choice: the companies to import."""
    if choose_step.store_choice(actor, flow, data.companies):
        identify_step.enqueue_lookups(flow)
        return Advance(Step.IDENTIFY)
    return InvalidStep(
        Step.CHOOSE, (FieldError("none_chosen", _("Tick at least one administration."), "companies"),)
    )


def identify(actor: Actor, flow: Flow, data: IdentifyInput) -> Advance | InvalidStep:
    """Save the identities: numbers, or reasons and sectors, and whether it is the same company.

    Returns the problems of each company that is still incomplete.
    """
    identities = {identity.company: identity for identity in data.identities}
    typed = {
        answer.company.pk: _merge_identity(answer, identities[answer.company.pk])
        for answer in identify_step.list_answers(flow, list(identities))
    }
    identify_step.save_answers(flow, typed)
    _answer_same_company(actor, flow, identities)
    _answer_continues(actor, flow, identities)
    clients = [key for key, identity in identities.items() if identity.still_client]
    confirm_clients(actor, flow, identify_step.list_answers(flow, clients))
    identity_answers = identify_step.advance_if_complete(flow)
    errors = tuple(
        FieldError(problem.code, str(problem.message), problem.field, answer.company.pk)
        for answer in identity_answers
        for problem in answer.problems.values()
    )
    errors += _unanswered_discrepancies(identity_answers) + _unexplained_numbers(identity_answers)
    return InvalidStep(Step.IDENTIFY, errors) if errors or not identity_answers else Advance(Step.ASSIGN)


def _answer_same_company(actor: Actor, flow: Flow, identities: Mapping[int, CompanyIdentityInput]) -> None:
    """Save for each company whether the register's name is its own, where that was answered."""
    for same in (True, False):
        ids = [key for key, identity in identities.items() if identity.same_company is same]
        identify_step.answer_same_company(actor, flow, ids, same=same)


def _answer_continues(actor: Actor, flow: Flow, identities: Mapping[int, CompanyIdentityInput]) -> None:
    """Save for each company whether it continues an earlier administration, where that was answered."""
    for continues in (True, False):
        ids = [key for key, identity in identities.items() if identity.continues is continues]
        answer_successions(actor, flow, identify_step.list_answers(flow, ids), continues=continues)


def _merge_identity(existing: identify_step.IdentityAnswer, data: CompanyIdentityInput) -> dict[str, str]:
    """Return the values of a company after this input. A given reason replaces a suggested number."""
    number = "" if existing.is_suggested and data.reason else existing.number
    values = {"number": number, "reason": existing.reason, "sector": existing.sector}
    names = (*values, identify_step.SHARED_REASON)
    return values | {name: text for name in names if (text := getattr(data, name)) is not None}


def _unanswered_discrepancies(answers: Iterable[identify_step.IdentityAnswer]) -> tuple[FieldError, ...]:
    """Return an error for each company whose number is not confirmed to be its own."""
    return tuple(
        FieldError(
            "same_company",
            f"{answer.company.name}: {answer.discrepancy.message}",
            "same_company",
            answer.company.pk,
        )
        for answer in answers
        if answer.discrepancy and not answer.discrepancy.answer and not answer.problems
    )


def _unexplained_numbers(answers: Iterable[identify_step.IdentityAnswer]) -> tuple[FieldError, ...]:
    """Return an error for each company whose number another administration has, without a reason."""
    return tuple(
        FieldError(
            "shared_number",
            f"{answer.company.name}: {answer.shared.message}",
            identify_step.SHARED_REASON,
            answer.company.pk,
        )
        for answer in answers
        if answer.shared and answer.needs_reason
    )


def assign(flow: Flow, data: AssignInput) -> Advance:
    """Save the assignments of these companies; it can be repeated. Raises `UnknownParameter`."""
    assign_step.store_assignments(flow, data)
    return Advance(Step.ASSIGN)


def finish(actor: Actor, token: UUID, *, complete_later: bool = False) -> Complete | InvalidStep:
    """Import, once. With `complete_later`, companies without an identity are imported too."""
    try:
        with transaction.atomic():  # a refusal in the middle takes back what was written
            finished = finish_step.import_chosen_companies(actor, token, complete_later=complete_later)
    except NoSuchChoice:
        message = _("A division, template or user that you chose no longer exists. Nothing was imported.")
        return InvalidStep(Step.ASSIGN, (FieldError("gone", message),))
    if finished is None:
        answers = identify_step.list_answers(get_flow(actor, token))
        unanswered = _unanswered_discrepancies(answers)
        if not complete_later:
            unanswered += _unexplained_numbers(answers)
        return InvalidStep(
            Step.IDENTIFY,
            (FieldError("incomplete", _("Some administrations still need attention.")), *unanswered),
        )
    return Complete(finished.import_record.pk, finished.import_record.count, finished.skipped)


def abandon(actor: Actor, flow: Flow) -> Abandoned:
    """Close the flow without an import. Company ids that were entered in it are removed."""
    flows.abandon(flow)
    if flow.entered_company_ids:
        withdraw_companies(actor, flow.connection_ids, flow.entered_company_ids)
    return Abandoned("abandoned")
