"""The wizard's acts. Each takes the flow as stored, checks the step, stores the answer; finishing happens once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.administrations.services import NewAdministration, import_companies
from koppel.connections.models import ConsentAttempt, RemoteCompany
from koppel.connections.queries import companies_of, connection_for
from koppel.onboarding.errors import FlowExpired, NoSuchFlow
from koppel.onboarding.models import Flow, FlowState, Import, Step
from koppel.organisations.policy import Actor, Permission
from koppel.registers.identity import Identity, Problem, check_identity, first_guess
from koppel.registers.numbers import Checked, check
from koppel.registers.paste import Line
from koppel.registers.sectors import SECTIONS
from koppel.sync.services import request_first_runs

LIFETIME = timedelta(hours=24)
STEPS = tuple(Step.values)
FROM_CONNECTION = "from_connection"
"""In a flow's `message`: begun from a connection that exists, so only what is new is offered."""


@dataclass(frozen=True)
class Row:
    """A remote company in the wizard. `administration_id` when it is imported already."""

    company: RemoteCompany
    administration_id: int | None

    @property
    def marks(self) -> str:
        """For the page's filters."""
        return "imported" if self.administration_id else "unreachable" if self.company.unreachable_code else "new"

    @property
    def can_be_chosen(self) -> bool:
        return self.marks == "new"


@dataclass(frozen=True)
class Answer:
    """What stands at Identify for one company, typed or guessed, with what is wrong or doubtful about it."""

    company: RemoteCompany
    number: str
    reason: str
    sector: str
    guessed: bool
    checked: Checked | None
    problems: Mapping[str, Problem]

    @property
    def is_complete(self) -> bool:
        return not self.problems


def start(actor: Actor, connector: str) -> Flow:
    """A new connection. Nothing is kept at the vendor yet."""
    actor.require(Permission.CONNECTIONS)
    return _new(actor, connector=connector, step=Step.SIGN_IN)


def start_import(actor: Actor, connection_id: int) -> Flow:
    """More administrations through a connection that exists. Raises `NoSuchConnection`."""
    actor.require(Permission.IMPORT)
    connection = connection_for(actor, connection_id)
    return _new(
        actor,
        connector=connection.connector,
        app=connection.app,
        connection_id=connection.pk,
        step=Step.CHOOSE,
        message=FROM_CONNECTION,
    )


def open_flows(actor: Actor) -> list[Flow]:
    """The actor's own unfinished ones, newest first."""
    found = Flow.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, state=FlowState.OPEN
    )
    worth = found.filter(expires_at__gt=timezone.now()).exclude(step=Step.SIGN_IN)
    return list(worth.select_related("connection").order_by("-created_at")[:5])


def flow_for(actor: Actor, token: UUID, *, lock: bool = False) -> Flow:
    """The actor's own flow. Raises `NoSuchFlow` and `FlowExpired`."""
    found = Flow.objects.select_related("connection", "app", "result")
    if lock:
        found = found.select_for_update(of=("self",))
    flow = found.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id, token=token).first()
    if flow is None:
        raise NoSuchFlow
    if flow.state == FlowState.OPEN and flow.expires_at < timezone.now():
        raise FlowExpired
    return flow


def has_reached(flow: Flow, step: Step) -> bool:
    return STEPS.index(step) <= STEPS.index(flow.step)


def take_over_sign_ins(actor: Actor, flow: Flow, return_to: str) -> None:
    """Go on with the connection of the newest sign-in that was begun by this flow and led somewhere."""
    found = ConsentAttempt.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, return_to=return_to
    ).exclude(granted_at=None)
    attempt = found.order_by("-granted_at").first()
    if attempt is None or flow.connection_id == attempt.connection_id:
        return
    flow.connection_id, flow.app_id = attempt.connection_id, attempt.app_id
    _advance(flow, Step.CHOOSE)


def rows(actor: Actor, flow: Flow) -> list[Row]:
    """Everything that the connection lists and the actor may see, with what is imported already by whichever connection."""
    if flow.connection is None:
        return []
    companies = list(companies_of(actor, flow.connection))
    imported = Administration.objects.filter(organisation_id=actor.organisation_id).filter(
        Q(remote_company__connection__connector=flow.connection.connector)
    )
    known = dict(imported.values_list("remote_company__external_id", "pk"))
    return [Row(company, known.get(company.external_id)) for company in companies]


def choose(actor: Actor, flow: Flow, company_ids: Iterable[int]) -> int:
    """Keep the ticked companies that can be chosen. How many."""
    wanted = set(company_ids)
    flow.chosen = [one.company.pk for one in rows(actor, flow) if one.can_be_chosen and one.company.pk in wanted]
    _advance(flow, Step.IDENTIFY if flow.chosen else Step.CHOOSE)
    return len(flow.chosen)


def answers(flow: Flow) -> list[Answer]:
    """The rows of Identify."""
    return [_answer(company, flow.answers.get(str(company.pk))) for company in _chosen(flow)]


def identify(flow: Flow, given: Mapping[int, Mapping[str, str]]) -> list[Answer]:
    """Store what was typed; move on when every row is complete. The rows, with what is wrong."""
    for company_id in flow.chosen:
        if company_id in given:
            flow.answers[str(company_id)] = dict(given[company_id])
    found = answers(flow)
    complete = all(one.is_complete for one in found)
    _advance(flow, Step.ASSIGN if complete else Step.IDENTIFY)
    return found


def fill_in(flow: Flow, lines: Iterable[Line]) -> tuple[int, list[str]]:
    """Numbers from a pasted list: by name, or in order when it has no names. (how many found a place, names that did not)."""
    companies = _chosen(flow)
    by_name = {company.name.casefold(): company for company in companies}
    placed, missed = 0, []
    for line in lines:
        company = by_name.get(line.name.casefold()) if line.name else None
        if not line.name and line.place < len(companies):
            company = companies[line.place]
        if company is None:
            missed.append(line.name or line.number)
        elif line.number:
            flow.answers[str(company.pk)] = {"number": line.number}
            placed += 1
    _advance(flow, Step.IDENTIFY)
    return placed, missed


def assign(
    flow: Flow, company_ids: Iterable[int], *, division_id: int | None, template_id: int | None, users: Iterable[int]
) -> int:
    """For the ticked rows: division and template replace, users are added. How many rows."""
    wanted = set(company_ids) & set(flow.chosen)
    for company_id in wanted:
        own = flow.assignments.setdefault(str(company_id), {})
        if division_id is not None:
            own["division"] = division_id
        if template_id is not None:
            own["template"] = template_id
        own["users"] = sorted({*own.get("users", []), *users})
    _advance(flow, Step.ASSIGN)
    return len(wanted)


def finish(actor: Actor, token: UUID) -> Import | None:
    """Import what was chosen and queue the first syncs, once: asked again it answers with the same import.

    None when a row lacks its identity. Raises `NotThere` for a division, template or person that is gone."""
    flow = flow_for(actor, token, lock=True)
    if flow.state == FlowState.FINISHED:
        return flow.result
    found = answers(flow)
    identities = {one.company.pk: _identity(one) for one in found}
    if flow.connection is None or not found or any(one is None for one in identities.values()):
        return None
    available = {one.company.pk for one in rows(actor, flow) if one.can_be_chosen}
    made = Import.objects.create(
        organisation_id=actor.organisation_id, connection=flow.connection, membership_id=actor.membership_id, count=0
    )
    companies = [
        _new_administration(flow, key, identity)
        for key, identity in identities.items()
        if identity and key in available
    ]
    ids = import_companies(actor, flow.connection.pk, made.pk, companies)
    request_first_runs(actor, ids)
    made.count = len(ids)
    made.save(update_fields=["count"])
    flow.state, flow.result = FlowState.FINISHED, made
    flow.save()
    return made


def sector_letter(text: str) -> str:
    """The letter in front of `K – Telecom and IT`, or of a typed label."""
    text = text.strip()
    letter = text[:1].upper()
    if letter in SECTIONS and (len(text) == 1 or not text[1].isalpha()):
        return letter
    return next((key for key, label in SECTIONS.items() if str(label).casefold() == text.casefold()), "")


def _new(actor: Actor, **values: Any) -> Flow:
    return Flow.objects.create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        expires_at=timezone.now() + LIFETIME,
        **values,
    )


def _advance(flow: Flow, step: Step) -> None:
    """Store the flow; `step` is the furthest one that may be seen. Going back does not take away what was reached."""
    flow.step = step
    flow.expires_at = timezone.now() + LIFETIME
    flow.save()


def _chosen(flow: Flow) -> list[RemoteCompany]:
    found = RemoteCompany.objects.filter(organisation_id=flow.organisation_id, pk__in=flow.chosen)
    return list(found.order_by("name", "pk"))


def _answer(company: RemoteCompany, given: Mapping[str, str] | None) -> Answer:
    if given is None:
        number, checked = first_guess(company.country, company.number, company.vat_number)
        reason, sector, guessed = "", "", True
    else:
        number, reason, sector = (given.get(key, "").strip() for key in ("number", "reason", "sector"))
        checked = check(number, company.country) if number else None
        guessed = False
    found = check_identity(country=company.country, number=number, reason=reason, sector=sector)
    problems = {one.field: one for one in found} if isinstance(found, list) else {}
    return Answer(company, number, reason, sector, guessed, checked, problems)


def _identity(answer: Answer) -> Identity | None:
    found = check_identity(
        country=answer.company.country, number=answer.number, reason=answer.reason, sector=answer.sector
    )
    return found if isinstance(found, Identity) else None


def _new_administration(flow: Flow, company_id: int, identity: Identity) -> NewAdministration:
    own = flow.assignments.get(str(company_id), {})
    return NewAdministration(
        remote_company_id=company_id,
        number=identity.number,
        number_scheme=identity.number_scheme,
        number_note=identity.number_note,
        no_number_reason=identity.no_number_reason,
        sector=identity.sector,
        sector_scheme=identity.sector_scheme,
        division_id=own.get("division"),
        template_id=own.get("template"),
        membership_ids=tuple(own.get("users", ())),
    )
