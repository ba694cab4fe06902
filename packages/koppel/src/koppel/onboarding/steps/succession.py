"""Ask whether a new company continues an administration that has the same registration number: renamed,
merged, or moved to another system. The answer links the two at Finish; unanswered links nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from koppel.administrations.models import Administration
from koppel.onboarding.flow import save_values
from koppel.onboarding.models import Flow, SuccessionAnswer
from koppel.onboarding.steps.identify import IdentityAnswer
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class Succession:
    """A company and the administration with its number. `continues` None: not answered yet."""

    company_id: int
    predecessor: Administration
    continues: bool | None = None


def list_successions(actor: Actor, flow: Flow, answers: Sequence[IdentityAnswer]) -> dict[int, Succession]:
    """Return the possible predecessors by company, within what the actor may see: the newest administration
    of each number that no other one continues.
    """
    keys = {answer.company.pk: key for answer in answers if (key := _number_of(answer))}
    existing = Administration.objects.visible_to(actor).filter(
        number__in={number for number, _ in keys.values()}
    )
    heads = existing.exclude(pk__in=existing.exclude(predecessor=None).values("predecessor"))
    by_number = {(head.number, head.number_scheme): head for head in heads.order_by("pk")}
    return {
        company_id: Succession(
            company_id=company_id, predecessor=head, continues=_stored_answer(flow, company_id, head)
        )
        for company_id, key in keys.items()
        if (head := by_number.get(key))
    }


def answer_successions(
    actor: Actor, flow: Flow, answers: Sequence[IdentityAnswer], *, continues: bool
) -> int:
    """Store the answer for those of these companies that have a possible predecessor; return how many."""
    successions = list_successions(actor, flow, answers)
    stored = {
        company_id: SuccessionAnswer(succession.predecessor.pk, continues)
        for company_id, succession in successions.items()
    }
    save_values(flow, "succession_answers", stored)
    return len(stored)


def predecessors_of(actor: Actor, flow: Flow, answers: Sequence[IdentityAnswer]) -> Mapping[int, int]:
    """Return the id of the administration that each company continues, by the answers that still apply."""
    return {
        company_id: succession.predecessor.pk
        for company_id, succession in list_successions(actor, flow, answers).items()
        if succession.continues
    }


def _number_of(answer: IdentityAnswer) -> tuple[str, str] | None:
    checked = answer.checked
    if not answer.number or checked is None or answer.problems.get("number"):
        return None
    return checked.number, checked.scheme


def _stored_answer(flow: Flow, company_id: int, predecessor: Administration) -> bool | None:
    """Return the stored answer about this administration; None: none."""
    answer = flow.succession_answers.get(company_id)
    return answer.continues if answer and answer.predecessor == predecessor.pk else None
