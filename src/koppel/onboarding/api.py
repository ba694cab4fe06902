"""The wizard over REST: the same steps as the pages, each answered with what follows from it."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

from django.conf import settings
from ninja import Router, Schema

from koppel.connections.queries import apps_for
from koppel.connector.registry import connectors
from koppel.kit.parameters import UnknownParameter, unknown_value
from koppel.kit.schemas import Input
from koppel.onboarding import choosing, identifying, steps
from koppel.onboarding import flow as flows
from koppel.onboarding.errors import NotReached, UnknownSystem
from koppel.onboarding.models import Flow, FlowState, Step
from koppel.onboarding.outcomes import Abort, Advance, Complete, Elsewhere, Outcome
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, needs

router = Router()


class TroubleOut(Schema):
    """`company` None: with the step as a whole. `code` is a stable word."""

    company: int | None
    field: str
    code: str
    sentence: str


class OutcomeOut(Schema):
    """advance: on to `step`. stay: `troubles` say what is wrong. elsewhere: a person goes on at `open`, in a browser.
    abort: over, nothing imported. complete: `import_id` has begun."""

    result: Literal["advance", "stay", "elsewhere", "abort", "complete"]
    step: str | None = None
    troubles: list[TroubleOut] = []
    open: str | None = None
    reason: str | None = None
    import_id: int | None = None
    count: int | None = None
    skipped: int | None = None


class WayOut(Schema):
    """A way to sign in. `by_company_id`: nobody signs in, company ids are given."""

    app: int
    title: str
    environment: str
    by_company_id: bool


class FlowOut(Schema):
    """`step` is the furthest one reached. `open` is the page for people."""

    token: UUID
    system: str
    step: str
    state: str
    import_id: int | None
    open: str
    ways: list[WayOut]


class FlowIn(Input):
    """Either a `system` for a new connection, or the id of a `connection` that exists."""

    system: str = ""
    connection: int | None = None


class SignInIn(Input):
    """`company_ids`: any text with ids in it, for a way that takes them."""

    app: int = 0
    company_ids: str = ""


class CompanyOut(Schema):
    """`state` is new, imported or unreachable; `reason` says why not."""

    id: int
    name: str
    number: str
    country: str
    base_currency: str
    account: str
    state: str
    reason: str
    is_described: bool


class ChooseIn(Input):
    companies: list[int] = []


class IdentityIn(Input):
    """A number; or a reason and a sector (letter, name or code). What is not given stays as it stands; '' takes it away.

    `same_company` answers the question of a row whose name or number differs: true, the same; false, another."""

    company: int
    number: str | None = None
    reason: str | None = None
    sector: str | None = None
    same_company: bool | None = None


class IdentityOut(Schema):
    """What stands there now, typed or guessed; `tone` ok, warn, bad, busy or '' with a sentence about the number.

    `asks_same_company`: names or numbers differ (`differences`), and nothing is imported before `same_company` is given."""

    company: int
    name: str
    country: str
    number: str
    reason: str
    sector: str
    guessed: bool
    is_complete: bool
    tone: str
    sentence: str
    asks_same_company: bool
    differences: list[str]


class IdentifyIn(Input):
    identities: list[IdentityIn] = []


class AssignIn(Input):
    """Users are added; division and template replace."""

    companies: list[int] = []
    division: int | None = None
    template: int | None = None
    users: list[int] = []


@router.post("/flows", response=FlowOut)
def start(request: MemberRequest, given: FlowIn) -> FlowOut:
    """Begin. The list of a connection that exists is the one last fetched."""
    request.actor.require(Permission.IMPORT)
    if given.connection is not None:
        return _flow_out(request, flows.start_import(request.actor, given.connection))
    if given.system not in connectors():
        raise UnknownSystem
    return _flow_out(request, flows.start(request.actor, given.system))


@router.get("/flows/{token}", response=FlowOut)
@needs(Permission.IMPORT)
def flow(request: MemberRequest, token: UUID) -> FlowOut:
    """How far it is. A sign-in that was finished in a browser meanwhile is taken over."""
    return _flow_out(request, _flow(request, token))


@router.delete("/flows/{token}", response=OutcomeOut)
def abandon(request: MemberRequest, token: UUID) -> OutcomeOut:
    """Leave the flow. What it has imported stays."""
    return _out(steps.abort(_flow(request, token)))


@router.post("/flows/{token}/sign-in", response=OutcomeOut)
def sign_in(request: MemberRequest, token: UUID, given: SignInIn) -> OutcomeOut:
    """Company ids for a way that takes them; else the address where a person signs in."""
    return _out(steps.sign_in(request.actor, _flow(request, token), given.app, given.company_ids))


@router.get("/flows/{token}/companies", response=list[CompanyOut])
@needs(Permission.IMPORT)
def companies(request: MemberRequest, token: UUID) -> list[CompanyOut]:
    """What the sign-in reaches, each with what is known of it and whether it can be chosen."""
    found = choosing.rows(request.actor, _flow(request, token, Step.CHOOSE))
    return [
        CompanyOut(
            id=one.company.pk, name=one.company.name, number=one.company.number, country=one.company.country,
            base_currency=one.company.base_currency, account=one.account, state=one.marks,
            reason=one.company.unreachable_reason, is_described=one.company.described_at is not None,
        )
        for one in found
    ]  # fmt: skip


@router.post("/flows/{token}/choose", response=OutcomeOut)
def choose(request: MemberRequest, token: UUID, given: ChooseIn) -> OutcomeOut:
    """Which companies to bring in; all of those named, none else."""
    found = _flow(request, token, Step.CHOOSE)
    _require_companies(given.companies, (one.company.pk for one in choosing.rows(request.actor, found)))
    return _out(steps.choose(request.actor, found, given.companies))


@router.get("/flows/{token}/identities", response=list[IdentityOut])
@needs(Permission.IMPORT)
def identities(request: MemberRequest, token: UUID) -> list[IdentityOut]:
    """Per chosen company what is known of its number, what is wrong with it, and what is still needed."""
    found = identifying.answers(_flow(request, token, Step.IDENTIFY))
    return [
        IdentityOut(
            company=one.company.pk, name=one.company.name, country=one.company.country, number=one.number,
            reason=one.reason, sector=one.sector, guessed=one.guessed, is_complete=one.is_complete,
            tone=one.mark[0], sentence=one.mark[1],
            asks_same_company=one.question is not None, differences=one.doubt.differences if one.doubt else [],
        )
        for one in found
    ]  # fmt: skip


@router.post("/flows/{token}/identify", response=OutcomeOut)
def identify(request: MemberRequest, token: UUID, given: IdentifyIn) -> OutcomeOut:
    """Only what differs from what stands there need be given."""
    found = _flow(request, token, Step.IDENTIFY)
    given_for = {one.company: one for one in given.identities}
    _require_companies(given_for, found.chosen)
    standing = identifying.answers(found, list(given_for))
    by_company = {one.company.pk: _laid_over(one, given_for[one.company.pk]) for one in standing}
    identifying.keep(found, by_company)
    for same in (True, False):
        said = [one.company for one in given.identities if one.same_company is same]
        identifying.confirm(request.actor, found, said, same=same)
    for company in (one.company for one in given.identities if one.same_company is False):
        by_company.pop(company, None)
    return _out(steps.identify(found, by_company))


@router.post("/flows/{token}/assign", response=OutcomeOut)
def assign(request: MemberRequest, token: UUID, given: AssignIn) -> OutcomeOut:
    """A division, people and a template for some or all of the chosen companies."""
    found = _flow(request, token, Step.ASSIGN)
    _require_companies(given.companies, found.chosen)
    return _out(
        steps.assign(found, given.companies, division_id=given.division, template_id=given.template, users=given.users)
    )


@router.post("/flows/{token}/finish", response=OutcomeOut)
def finish(request: MemberRequest, token: UUID, complete_later: bool = False) -> OutcomeOut:
    """Import, once: asked again it names the same import.

    `complete_later` imports administrations without number or reason too; each becomes an issue until somebody completes it."""
    request.actor.require(Permission.IMPORT)
    found = flows.flow_for(request.actor, token)
    needed = Step.IDENTIFY if complete_later else Step.ASSIGN
    if found.state == FlowState.OPEN and not flows.has_reached(found, needed):
        raise NotReached
    return _out(steps.finish(request.actor, token, complete_later=complete_later))


def _require_companies(named: Iterable[int], offered: Iterable[int]) -> None:
    """Raises `UnknownParameter` for a company that the flow does not reach, or that was not chosen."""
    if strange := sorted(set(named) - set(offered)):
        raise UnknownParameter([unknown_value("companies", str(key)) for key in strange])


def _laid_over(stands: identifying.Answer, given: IdentityIn) -> dict[str, str]:
    """Who gives a reason says that there is no number, so one that was only guessed goes."""
    number = "" if stands.guessed and given.reason else stands.number
    found = {"number": number, "reason": stands.reason, "sector": stands.sector}
    return found | {name: text[:60] for name in found if (text := getattr(given, name)) is not None}


def _flow(request: MemberRequest, token: UUID, step: Step = Step.SIGN_IN) -> Flow:
    """Raises `NoSuchFlow`, `FlowExpired`, and `NotReached` for a step that lies ahead or a flow that is over."""
    request.actor.require(Permission.IMPORT)
    found = flows.flow_for(request.actor, token)
    if found.state == FlowState.OPEN:
        flows.take_over_sign_ins(request.actor, found, flows.return_to(found))
    elif step is not Step.SIGN_IN:
        raise NotReached
    if not flows.has_reached(found, step):
        raise NotReached
    return found


def _flow_out(request: MemberRequest, found: Flow) -> FlowOut:
    ways = [
        WayOut(
            app=one.app.pk, title=str(one.mode.title), environment=str(one.environment.title),
            by_company_id=one.mode.by_company_id,
        )
        for one in apps_for(request.actor, found.connector)
    ]  # fmt: skip
    return FlowOut(
        token=found.token, system=found.connector, step=found.step, state=found.state, import_id=found.result_id,
        open=f"{settings.PUBLIC_URL}/connections/new/{found.token}/", ways=ways,
    )  # fmt: skip


def _out(outcome: Outcome) -> OutcomeOut:
    if isinstance(outcome, Advance):
        return OutcomeOut(result="advance", step=outcome.step)
    if isinstance(outcome, Elsewhere):
        return OutcomeOut(result="elsewhere", open=f"{settings.PUBLIC_URL}{outcome.path}")
    if isinstance(outcome, Abort):
        return OutcomeOut(result="abort", reason=outcome.reason)
    if isinstance(outcome, Complete):
        return OutcomeOut(result="complete", import_id=outcome.import_id, count=outcome.count, skipped=outcome.skipped)
    troubles = [
        TroubleOut(company=one.company_id, field=one.field, code=one.code, sentence=one.sentence)
        for one in outcome.troubles
    ]
    return OutcomeOut(result="stay", step=outcome.step, troubles=troubles)
