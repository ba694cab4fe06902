"""The wizard over REST: the same steps as the pages. Each response states the next step."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from ninja import Router, Schema

from koppel.connections.queries import apps_for
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.kit.web.sentences import render_sentence
from koppel.onboarding import flow as flows
from koppel.onboarding import services
from koppel.onboarding.errors import StepNotReached
from koppel.onboarding.inputs import AssignInput, ChooseInput, FlowInput, IdentifyInput, SignInInput
from koppel.onboarding.models import Flow, FlowState, Step
from koppel.onboarding.results import Abandoned, Advance, Complete, ExternalStep, StepResult
from koppel.onboarding.steps import choose as choose_step
from koppel.onboarding.steps import identify as identify_step
from koppel.onboarding.steps.identify import IdentityAnswer
from koppel.onboarding.steps.succession import Succession, list_successions
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()


class FieldErrorOut(Schema):
    """An error in one answer; `company` null: in the step as a whole. `code` is a stable word."""

    company: int | None
    field: str
    code: str
    message: str


class StepResultOut(Schema):
    """advance: on to `step`. errors: see `errors`. external: a person continues at `url`, in a browser.
    abort: ended, nothing imported. complete: `import_id` has begun.
    """

    result: Literal["advance", "errors", "external", "abort", "complete"]
    step: str | None = None
    errors: list[FieldErrorOut] = []
    url: str | None = None
    reason: str | None = None
    import_id: int | None = None
    count: int | None = None
    skipped: int | None = None


class ConsentModeOut(Schema):
    """A way to sign in. `is_by_company_id`: company ids are given in place of a sign-in."""

    app: int
    title: str
    environment: str
    is_by_company_id: bool


class FlowOut(Schema):
    """A flow: `step` is the furthest step reached, `url` the page for people."""

    token: UUID
    system: str
    step: str
    state: str
    import_id: int | None
    url: str
    consent_modes: list[ConsentModeOut]


class CompanyChoiceOut(Schema):
    """A company that the sign-in reaches. `state` is new, imported or unreachable; `reason` says why it is
    unreachable.
    """

    id: int
    name: str
    number: str
    country: str
    base_currency: str
    account: str
    state: str
    reason: str
    is_described: bool


class IdentityOut(Schema):
    """The present identity, typed or guessed. `tone` is ok, warn, bad, busy or '' for the `message` about the
    number.

    `needs_confirmation`: names or numbers differ (`differences`), and nothing is imported before
    `same_company` is given. `shared_with`: names of administrations with the same number, which need a
    `shared_reason`. `predecessor`: an administration with the same number, which this company may
    continue; `continues` is the answer.
    """

    company: int
    name: str
    country: str
    number: str
    reason: str
    sector: str
    is_suggested: bool
    is_complete: bool
    tone: str
    message: str
    needs_confirmation: bool
    differences: list[str]
    shared_with: list[str]
    shared_reason: str
    predecessor: int | None
    predecessor_name: str
    continues: bool | None


@router.post("/flows", response=FlowOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def start(request: AuthenticatedRequest, payload: FlowInput) -> FlowOut:
    """Start a flow. The company list of an existing connection is the one last fetched."""
    return _flow_out(request, services.start(request.actor, payload))


@router.get("/flows/{token}", response=FlowOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def flow(request: AuthenticatedRequest, token: UUID) -> FlowOut:
    """Return the state of a flow, with the connections of sign-ins that were completed in a browser
    meanwhile.
    """
    return _flow_out(request, _flow(request, token))


@router.delete("/flows/{token}", response=StepResultOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def abandon(request: AuthenticatedRequest, token: UUID) -> StepResultOut:
    """Abandon the flow. Administrations imported by it stay."""
    return _out(services.abandon(request.actor, _flow(request, token)))


@router.post("/flows/{token}/sign-in", response=StepResultOut)
@permission_required(Permission.MANAGE_CONNECTIONS)
def sign_in(request: AuthenticatedRequest, token: UUID, payload: SignInInput) -> StepResultOut:
    """Store company ids for a way to sign in that takes them; else return the URL where a person signs in."""
    return _out(services.sign_in(request.actor, _flow(request, token), payload))


@router.get("/flows/{token}/companies", response=list[CompanyChoiceOut])
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def companies(request: AuthenticatedRequest, token: UUID) -> list[CompanyChoiceOut]:
    """List the companies that the sign-in reaches, their state, and whether each can be chosen."""
    choices = choose_step.list_company_choices(request.actor, _flow(request, token, Step.CHOOSE))
    return [
        CompanyChoiceOut(
            id=choice.company.pk,
            name=choice.company.name,
            number=choice.company.number,
            country=choice.company.country,
            base_currency=choice.company.base_currency,
            account=choice.account,
            state=choice.state,
            reason=render_sentence(choice.company.unreachable_reason),
            is_described=choice.company.described_at is not None,
        )
        for choice in choices
    ]


@router.post("/flows/{token}/choose", response=StepResultOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def choose(request: AuthenticatedRequest, token: UUID, payload: ChooseInput) -> StepResultOut:
    """Choose the companies to import: exactly those in the request."""
    flow = _flow(request, token, Step.CHOOSE)
    _require_companies(
        payload.companies,
        (choice.company.pk for choice in choose_step.list_company_choices(request.actor, flow)),
    )
    return _out(services.choose(request.actor, flow, payload))


@router.get("/flows/{token}/identities", response=list[IdentityOut])
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def identities(request: AuthenticatedRequest, token: UUID) -> list[IdentityOut]:
    """List the chosen companies with their number, the errors in it, and the missing fields."""
    flow = _flow(request, token, Step.IDENTIFY)
    answers = identify_step.list_answers(flow)
    successions = list_successions(request.actor, flow, answers)
    return [_identity_out(answer, successions.get(answer.company.pk)) for answer in answers]


@router.post("/flows/{token}/identify", response=StepResultOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def identify(request: AuthenticatedRequest, token: UUID, payload: IdentifyInput) -> StepResultOut:
    """Store numbers, or reasons and sectors. Only what differs from the present values need be given."""
    flow = _flow(request, token, Step.IDENTIFY)
    _require_companies((identity.company for identity in payload.identities), flow.chosen_company_ids)
    return _out(services.identify(request.actor, flow, payload))


@router.post("/flows/{token}/assign", response=StepResultOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def assign(request: AuthenticatedRequest, token: UUID, payload: AssignInput) -> StepResultOut:
    """Assign a division, people and a template to some or all of the chosen companies."""
    flow = _flow(request, token, Step.ASSIGN)
    _require_companies(payload.companies, flow.chosen_company_ids)
    return _out(services.assign(flow, payload))


@router.post("/flows/{token}/finish", response=StepResultOut)
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def finish(request: AuthenticatedRequest, token: UUID, complete_later: bool = False) -> StepResultOut:
    """Import the chosen companies, once: called again it returns the same import.

    `complete_later` imports administrations without number or reason too; each has an issue until a person
    completes it.
    """
    flow = flows.get_flow(request.actor, token)
    needed = Step.IDENTIFY if complete_later else Step.ASSIGN
    if flow.state == FlowState.OPEN and not flows.has_reached(flow, needed):
        raise StepNotReached
    return _out(services.finish(request.actor, token, complete_later=complete_later))


def _identity_out(answer: IdentityAnswer, succession: Succession | None) -> IdentityOut:
    return IdentityOut(
        company=answer.company.pk,
        name=answer.company.name,
        country=answer.company.country,
        number=answer.number,
        reason=answer.reason,
        sector=answer.sector,
        is_suggested=answer.is_suggested,
        is_complete=answer.is_complete,
        tone=answer.badge[0],
        message=answer.badge[1],
        needs_confirmation=answer.question is not None,
        differences=answer.discrepancy.differences if answer.discrepancy else [],
        shared_with=list(answer.shared.names) if answer.shared else [],
        shared_reason=answer.shared.reason if answer.shared else "",
        predecessor=succession.predecessor.pk if succession else None,
        predecessor_name=succession.predecessor.name if succession else "",
        continues=succession.continues if succession else None,
    )


def _require_companies(company_ids: Iterable[int], offered: Iterable[int]) -> None:
    """Raise `UnknownParameter` for a company that the flow does not reach, or that was not chosen."""
    if unknown := sorted(set(company_ids) - set(offered)):
        raise UnknownParameter([unknown_value("companies", str(company_id)) for company_id in unknown])


def _flow(request: AuthenticatedRequest, token: UUID, step: Step = Step.SIGN_IN) -> Flow:
    """Return the actor's flow. Raises `NoSuchFlow`, `FlowExpired`, and `StepNotReached` for a step that lies
    ahead or a flow that is over.
    """
    flow = flows.get_flow(request.actor, token)
    if flow.state == FlowState.OPEN:
        flows.collect_completed_sign_ins(request.actor, flow, flows.return_path(flow))
    elif step is not Step.SIGN_IN:
        raise StepNotReached
    if not flows.has_reached(flow, step):
        raise StepNotReached
    return flow


def _flow_out(request: AuthenticatedRequest, flow: Flow) -> FlowOut:
    consent_modes = [
        ConsentModeOut(
            app=option.app.pk,
            title=str(option.mode.title),
            environment=str(option.environment.title),
            is_by_company_id=option.mode.is_by_company_id,
        )
        for option in apps_for(request.actor, flow.connector)
    ]
    return FlowOut(
        token=flow.token,
        system=flow.connector,
        step=flow.step,
        state=flow.state,
        import_id=flow.import_record_id,
        url=f"{settings.PUBLIC_URL}{reverse('onboarding:resume', args=[flow.token])}",
        consent_modes=consent_modes,
    )


def _out(outcome: StepResult) -> StepResultOut:
    if isinstance(outcome, Advance):
        return StepResultOut(result="advance", step=outcome.step)
    if isinstance(outcome, ExternalStep):
        return StepResultOut(result="external", url=f"{settings.PUBLIC_URL}{outcome.path}")
    if isinstance(outcome, Abandoned):
        return StepResultOut(result="abort", reason=outcome.reason)
    if isinstance(outcome, Complete):
        return StepResultOut(
            result="complete", import_id=outcome.import_id, count=outcome.count, skipped=outcome.skipped
        )
    errors = [
        FieldErrorOut(company=error.company_id, field=error.field, code=error.code, message=error.message)
        for error in outcome.errors
    ]
    return StepResultOut(result="errors", step=outcome.step, errors=errors)
