"""Ask whether a deregistered company is still a client, once: the answer goes with it into the import.

A company that is no client any more is left out of the import.
"""

from collections.abc import Collection, Iterable, Mapping

from django.utils import timezone

from koppel.administrations.identity.answers import closing_day
from koppel.administrations.models import ClientAnswer
from koppel.company_registers.clients.protocol import LookupOutcome
from koppel.company_registers.lookup_result import LookupResult
from koppel.onboarding.flow import save_step, save_values
from koppel.onboarding.models import Flow, Step, StillClientAnswer
from koppel.onboarding.steps.identify import IdentityAnswer, number_of
from koppel.organisations.roles import Actor


def unanswered(flow: Flow, answers: Iterable[IdentityAnswer]) -> list[IdentityAnswer]:
    """Return the deregistered companies of which no person has said that they are still clients."""
    return [
        answer
        for answer in answers
        if answer.closed_message and not client_answer(answer, flow.still_client_answers)
    ]


def confirm_clients(actor: Actor, flow: Flow, answers: Iterable[IdentityAnswer]) -> int:
    """Store that these deregistered companies are still clients. Returns how many."""
    at = timezone.now().isoformat()
    stored = {
        answer.company.pk: StillClientAnswer(
            number=number_of(answer), closed_on=closing_day(answer.lookup), by=actor.membership_id, at=at
        )
        for answer in answers
        if answer.lookup and answer.closed_message
    }
    if stored:
        save_values(flow, "still_client_answers", stored)
    return len(stored)


def leave_out(flow: Flow, company_ids: Collection[int]) -> None:
    """Take these companies out of the import; their typed values stay, for whoever ticks them again."""
    flow.chosen_company_ids = [
        company_id for company_id in flow.chosen_company_ids if company_id not in company_ids
    ]
    step = Step(flow.step) if flow.chosen_company_ids else Step.CHOOSE
    save_step(flow, step, "chosen_company_ids")


def client_answer(answer: IdentityAnswer, answers: Mapping[int, StillClientAnswer]) -> ClientAnswer:
    """Return the answer about exactly this deregistration, for the administration; empty where there is
    none.
    """
    stored = answers.get(answer.company.pk)
    if stored is None or not _is_subject(answer.lookup, number_of(answer), stored):
        return ClientAnswer()
    return ClientAnswer(number=stored.number, closed_on=stored.closed_on, by=stored.by, at=stored.at)


def _is_subject(lookup: LookupResult | None, number: str, stored: StillClientAnswer) -> bool:
    if lookup is None or lookup.outcome is not LookupOutcome.CLOSED:
        return False
    return (stored.number, stored.closed_on) == (number, closing_day(lookup))
