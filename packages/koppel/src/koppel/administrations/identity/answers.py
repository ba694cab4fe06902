"""What people answered about an administration's company. An answer stays with the administration and in the
audit log, so that no issue asks again.
"""

from collections.abc import Sequence

from django.utils import timezone

from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.models import Administration, ClientAnswer
from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.company_registers.clients.protocol import LookupOutcome
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.numbers import mask_number
from koppel.organisations.roles import Actor


def record_import_answers(actor: Actor, administration_ids: Sequence[int]) -> None:
    """Keep in the audit log what the importer answered about these administrations."""
    for administration in Administration.objects.for_actor(actor).filter(pk__in=administration_ids):
        if administration.confirmed_identity:
            record_confirmed_identity(actor, administration)
        if administration.client_answer:
            _record_client_answer(actor, administration)
        if answer := administration.shared_number_answer:
            details = {"number": mask_number(answer.number, administration.country), "reason": answer.reason}
            _record(actor, administration, AdministrationAction.SHARED_NUMBER_EXPLAINED, details)


def record_confirmed_identity(actor: Actor, administration: Administration) -> None:
    """Keep in the audit log by which name and number a person confirmed the company."""
    confirmed = administration.confirmed_identity
    details = {
        "confirmed_name": confirmed.name,
        "confirmed_number": mask_number(confirmed.number, administration.country),
    }
    _record(actor, administration, AdministrationAction.COMPANY_CONFIRMED, details)


def confirm_client(actor: Actor, administration: Administration, lookup: LookupResult | None) -> None:
    """Record a person's word that the company is still a client, where the register calls it deregistered."""
    if lookup is None or lookup.outcome is not LookupOutcome.CLOSED:
        return
    at = timezone.now().isoformat()
    administration.client_answer = ClientAnswer(
        number=administration.number, closed_on=closing_day(lookup), by=actor.membership_id, at=at
    )
    administration.save(update_fields=["client_answer"])
    _record_client_answer(actor, administration)


def is_confirmed_client(administration: Administration, lookup: LookupResult | None) -> bool:
    """Return whether a person said of exactly this deregistration that the company is still a client."""
    answer = administration.client_answer
    return bool(
        answer
        and lookup
        and answer.number == administration.number
        and answer.closed_on == closing_day(lookup)
    )


def closing_day(lookup: LookupResult) -> str:
    """Return the day of deregistration in ISO form; '' where the register states none."""
    return lookup.closed_on.isoformat() if lookup.closed_on else ""


def _record_client_answer(actor: Actor, administration: Administration) -> None:
    details = {"closed_on": administration.client_answer.closed_on}
    _record(actor, administration, AdministrationAction.CLIENT_CONFIRMED, details)


def _record(
    actor: Actor, administration: Administration, action: AdministrationAction, details: dict[str, str]
) -> None:
    subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
    add_actor_entry(actor, action, subject, **details)
