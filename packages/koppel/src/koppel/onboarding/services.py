"""The wizard's steps, for pages and REST alike: each takes the answer to
a step and returns an outcome (`results`)."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.administrations.errors import NoSuchAdministration
from koppel.connections.consent.service_companies import IDS_MAX, add_companies, parse_ids
from koppel.connections.queries import AppChoice, apps_for
from koppel.kit import quarantine
from koppel.onboarding.flow import abandon, add_connection, get_flow
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.results import Abort, Advance, Complete, ExternalStep, FieldError, ShowErrors
from koppel.onboarding.steps import assign as assign_step
from koppel.onboarding.steps import choose as choose_step
from koppel.onboarding.steps import finish as finish_step
from koppel.onboarding.steps import identify as identify_step
from koppel.organisations.roles import Actor, Permission


def consent_option(actor: Actor, flow: Flow, app_id: int) -> AppChoice | None:
    """Return the app registration with this id if the flow may offer it."""
    return next((option for option in apps_for(actor, flow.connector) if option.app.pk == app_id), None)


def sign_in(
    actor: Actor, flow: Flow, app_id: int, company_ids: str = ""
) -> Advance | ShowErrors | ExternalStep:
    """Take step ②. By company id: store the ids in `company_ids` (any
    text). Else the person signs in at the vendor."""
    actor.require(Permission.MANAGE_CONNECTIONS)
    quarantine.refuse()
    option = consent_option(actor, flow, app_id)
    if option is None:
        return ShowErrors(Step.SIGN_IN, (FieldError("unknown_app", _("Choose a sign-in method."), "app"),))
    if not option.mode.by_company_id:
        return ExternalStep(reverse("onboarding:sign_in", args=[flow.token]))
    read = parse_ids(option.mode, company_ids)
    if not read.ids:
        message = _("No id found in this text. Ids look like 0a1b2c3d-1234-5678-9abc-0123456789ab.")
        return ShowErrors(Step.SIGN_IN, (FieldError("no_ids", message, "company_ids"),))
    if len(read.ids) > IDS_MAX:
        message = _("These are %(count)d companies. Add at most %(limit)d at once.") % {
            "count": len(read.ids),
            "limit": IDS_MAX,
        }
        return ShowErrors(Step.SIGN_IN, (FieldError("too_many_ids", message, "company_ids"),))
    added = add_companies(actor, option.app.pk, read.ids)
    add_connection(flow, added.connection_id, option.app.pk)
    return Advance(Step.CHOOSE)


def choose(actor: Actor, flow: Flow, company_ids: Iterable[int]) -> Advance | ShowErrors:
    """Take step ③: store which companies to import."""
    if choose_step.choose(actor, flow, company_ids):
        identify_step.ask_registers(flow)
        return Advance(Step.IDENTIFY)
    return ShowErrors(
        Step.CHOOSE, (FieldError("none_chosen", _("Tick at least one administration."), "companies"),)
    )


def identify(flow: Flow, typed_by_company: Mapping[int, Mapping[str, str]]) -> Advance | ShowErrors:
    """Take step ④: store a number, or a reason and a sector, for each company."""
    identity_answers = identify_step.identify(flow, typed_by_company)
    errors = tuple(
        FieldError(problem.code, str(problem.message), problem.field, answer.company.pk)
        for answer in identity_answers
        for problem in answer.problems.values()
    ) + _unanswered_discrepancies(identity_answers)
    return ShowErrors(Step.IDENTIFY, errors) if errors or not identity_answers else Advance(Step.ASSIGN)


def _unanswered_discrepancies(answers: Iterable[identify_step.IdentityAnswer]) -> tuple[FieldError, ...]:
    """Return an error for each company that nobody has confirmed to be the one of its number."""
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


def assign(
    flow: Flow,
    company_ids: Iterable[int],
    *,
    division_id: int | None,
    template_id: int | None,
    users: Iterable[int],
) -> Advance:
    """Take step ⑤: store the assignments of these companies. May be called any number of times."""
    assign_step.assign(flow, company_ids, division_id=division_id, template_id=template_id, users=users)
    return Advance(Step.ASSIGN)


def finish(actor: Actor, token: UUID, *, complete_later: bool = False) -> Complete | ShowErrors:
    """Import, once. With `complete_later`, companies without an identity are imported too."""
    try:
        with transaction.atomic():  # a refusal in the middle takes back what was written
            finished = finish_step.finish(actor, token, complete_later=complete_later)
    except NoSuchAdministration:  # an answer of this step: the person is led back to it
        message = _("A division, template or user that you chose no longer exists. Nothing was imported.")
        return ShowErrors(Step.ASSIGN, (FieldError("gone", message),))
    if finished is None:
        unanswered = _unanswered_discrepancies(identify_step.list_answers(get_flow(actor, token)))
        return ShowErrors(
            Step.IDENTIFY,
            (FieldError("incomplete", _("Some administrations still need attention.")), *unanswered),
        )
    return Complete(finished.import_record.pk, finished.import_record.count, finished.skipped)


def abort(flow: Flow) -> Abort:
    """Close the flow without an import."""
    abandon(flow)
    return Abort("abandoned")
