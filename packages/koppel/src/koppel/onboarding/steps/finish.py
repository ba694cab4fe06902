"""The end of the wizard: import the chosen companies, once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils import timezone

from koppel.administrations.models import SharedNumberAnswer
from koppel.administrations.services import NewAdministration, import_companies
from koppel.company_registers.numbers.identity import Identity
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.onboarding.flow import get_flow
from koppel.onboarding.models import CompanyAssignment, DisplayedIdentity, Flow, FlowState, Import
from koppel.onboarding.steps.choose import list_company_choices
from koppel.onboarding.steps.identify import IdentityAnswer, identity_of, list_answers
from koppel.onboarding.steps.same_company import confirmed_identity
from koppel.onboarding.steps.still_client import client_answer
from koppel.onboarding.steps.succession import predecessors_of
from koppel.organisations.roles import Actor
from koppel.sync.runs.services import request_first_runs


@dataclass(frozen=True)
class FinishedImport:
    """An import that has begun."""

    import_record: Import
    skipped: int = 0
    """The number of chosen companies that another person imported meanwhile, or that can no longer be
    reached.
    """


def import_chosen_companies(
    actor: Actor, token: UUID, *, complete_later: bool = False
) -> FinishedImport | None:
    """Import the chosen companies and queue their first syncs. A second call returns the same import.

    Returns None when a company lacks its identity; with `complete_later` only when a given identity is wrong,
    because companies without one get an issue. Raises `NoSuchChoice` for a division, template or member that
    no longer exists.
    """
    flow = get_flow(actor, token, lock=True)
    if flow.state == FlowState.FINISHED and flow.import_record is not None:
        return FinishedImport(flow.import_record)
    identity_answers = list_answers(flow)
    identities = {
        answer.company.pk: identity_of(answer, complete_later=complete_later) for answer in identity_answers
    }
    if (
        flow.connection is None
        or not identity_answers
        or any(identity is None for identity in identities.values())
    ):
        return None
    lock_until_commit(LockName.IMPORT_START, actor.organisation_id)
    identities_by_company = {
        company_id: identity for company_id, identity in identities.items() if identity is not None
    }
    import_record = Import.objects.create(
        organisation_id=actor.organisation_id,
        connection=flow.connection,
        membership_id=actor.membership_id,
        count=0,
    )
    predecessors = predecessors_of(actor, flow, identity_answers)
    ids = _import_through_connections(
        actor, flow, import_record, identities_by_company, identity_answers, predecessors
    )
    request_first_runs(actor, ids)
    import_record.count = len(ids)
    import_record.save(update_fields=["count"])
    flow.state, flow.import_record = FlowState.FINISHED, import_record
    flow.save(update_fields=["state", "import_record"])
    return FinishedImport(import_record, len(identities_by_company) - len(ids))


def _import_through_connections(
    actor: Actor,
    flow: Flow,
    import_record: Import,
    identities_by_company: dict[int, Identity],
    answers: Sequence[IdentityAnswer],
    predecessors: Mapping[int, int],
) -> list[int]:
    """Import each company through the connection that reaches it. Returns the ids of the administrations."""
    answer_by_company = {answer.company.pk: answer for answer in answers}
    by_connection: dict[int, list[NewAdministration]] = {}
    for row in list_company_choices(actor, flow):
        company_id = row.company.pk
        if row.can_be_chosen and company_id in identities_by_company:
            by_connection.setdefault(row.company.connection_id, []).append(
                _new_administration(
                    actor,
                    flow,
                    answer_by_company[company_id],
                    identities_by_company[company_id],
                    predecessors.get(company_id),
                )
            )
    return [
        administration_id
        for connection_id, companies in by_connection.items()
        for administration_id in import_companies(actor, connection_id, import_record.pk, companies)
    ]


def _new_administration(
    actor: Actor, flow: Flow, answer: IdentityAnswer, identity: Identity, predecessor_id: int | None
) -> NewAdministration:
    company_id = answer.company.pk
    assignment = flow.assignments.get(company_id, CompanyAssignment())
    displayed = flow.displayed_identities.get(company_id, DisplayedIdentity())
    return NewAdministration(
        remote_company_id=company_id,
        number=identity.number,
        number_scheme=identity.number_scheme,
        number_note=identity.number_note,
        no_number_reason=identity.no_number_reason,
        sector=identity.sector,
        sector_scheme=identity.sector_scheme,
        confirmed_identity=confirmed_identity(answer.discrepancy, flow.same_company_answers),
        client_answer=client_answer(answer, flow.still_client_answers),
        shared_number_answer=_shared_number_answer(actor, answer, identity),
        predecessor_id=predecessor_id,
        division_id=assignment.division,
        template_id=assignment.template,
        membership_ids=tuple(assignment.users),
        displayed_name=displayed.name,
        displayed_number=displayed.number,
    )


def _shared_number_answer(actor: Actor, answer: IdentityAnswer, identity: Identity) -> SharedNumberAnswer:
    """Return the reason for a number that others have too; empty where there is none."""
    if not answer.shared or not answer.shared.reason or not identity.number:
        return SharedNumberAnswer()
    at = timezone.now().isoformat()
    return SharedNumberAnswer(
        number=identity.number, reason=answer.shared.reason, by=actor.membership_id, at=at
    )
