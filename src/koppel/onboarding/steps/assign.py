"""Step ⑤: who looks after the new administrations. Users are added; division and template replace."""

from collections.abc import Iterable
from dataclasses import dataclass

from koppel.administrations.queries import choices
from koppel.company_registers.numbers import masked
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.onboarding.flow import advance, merge
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.steps.identify import Answer, answers
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class Assigned:
    """A row with the result so far. The end of a person's number is hidden."""

    answer: Answer
    number: str
    division: str
    template: str
    people: tuple[str, ...]


def assign(
    flow: Flow, company_ids: Iterable[int], *, division_id: int | None, template_id: int | None, users: Iterable[int]
) -> int:
    """For the ticked rows; None leaves a value as it is. How many rows. Raises `UnknownParameter`."""
    wanted = set(company_ids) & set(flow.chosen)
    added = set(users)
    _require_offered(flow.organisation_id, division_id, template_id, added)
    changed = {}
    for company_id in wanted:
        own = dict(flow.assignments.get(str(company_id), {}))
        if division_id is not None:
            own["division"] = division_id
        if template_id is not None:
            own["template"] = template_id
        own["users"] = sorted({*own.get("users", []), *added})
        changed[str(company_id)] = own
    merge(flow, "assignments", changed)
    advance(flow, Step.ASSIGN)
    return len(wanted)


def _require_offered(organisation_id: int, division_id: int | None, template_id: int | None, users: set[int]) -> None:
    own = {"organisation_id": organisation_id}
    parts = []
    if division_id is not None and not Division.objects.filter(**own, pk=division_id, archived_at=None).exists():
        parts.append(unknown_value("division", str(division_id)))
    if template_id is not None and not Template.objects.filter(**own, pk=template_id, archived_at=None).exists():
        parts.append(unknown_value("template", str(template_id)))
    members = set(Membership.objects.filter(**own, is_active=True, pk__in=users).values_list("pk", flat=True))
    parts += [unknown_value("users", str(key)) for key in sorted(users - members)]
    if parts:
        raise UnknownParameter(parts)


def clear(flow: Flow, company_ids: Iterable[int]) -> int:
    """Take back what was assigned to the ticked rows. How many rows."""
    wanted = set(company_ids) & set(flow.chosen)
    merge(flow, "assignments", {str(one): {} for one in wanted})
    advance(flow, Step.ASSIGN)
    return len(wanted)


def rows(actor: Actor, flow: Flow) -> list[Assigned]:
    """What each row would get. What is gone meanwhile is not shown; finishing refuses it."""
    names = {kind: dict(pairs) for kind, pairs in choices(actor).items()}
    found = []
    for answer in answers(flow):
        own = flow.assignments.get(str(answer.company.pk), {})
        people = tuple(names["people"][one] for one in own.get("users", []) if one in names["people"])
        division = names["divisions"].get(own.get("division", 0), "")
        number = masked(answer.number, answer.company.country)
        found.append(Assigned(answer, number, division, names["templates"].get(own.get("template", 0), ""), people))
    return found
