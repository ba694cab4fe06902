"""Step ⑤ of the wizard: division, template and users of the new administrations. Users are added; division
and template replace.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from koppel.administrations.queries import assignment_choices
from koppel.company_registers.numbers import mask_number
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.onboarding.flow import save_step, save_values
from koppel.onboarding.inputs import AssignInput
from koppel.onboarding.models import CompanyAssignment, Flow, Step
from koppel.onboarding.steps.choose import connections_in
from koppel.onboarding.steps.identify import IdentityAnswer, list_answers
from koppel.organisations.models import Division, Membership, Template
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class AssignmentRow:
    """A company with its assignments so far. The end of a person's number is masked."""

    answer: IdentityAnswer
    number: str
    division: str
    template: str
    people: tuple[str, ...]

    @property
    def is_assigned(self) -> bool:
        return bool(self.division or self.template or self.people)


Tally = list[tuple[str, int]]
"""Names with the number of administrations, most first; the name '' counts administrations without one."""


@dataclass(frozen=True)
class ImportSummary:
    """Summary of the import before Finish: accounts, numbers and assignments."""

    accounts: tuple[str, ...]
    count: int
    with_number: int
    divisions: Tally
    templates: Tally
    people: Tally

    @property
    def without_number(self) -> int:
        return self.count - self.with_number


def summarize(actor: Actor, flow: Flow, rows: Sequence[AssignmentRow]) -> ImportSummary:
    """Return the summary of these rows."""
    return ImportSummary(
        accounts=tuple(sorted({connection.account for connection in connections_in(actor, flow)})),
        count=len(rows),
        with_number=sum(bool(row.number) for row in rows),
        divisions=Counter(row.division for row in rows).most_common(),
        templates=Counter(row.template for row in rows).most_common(),
        people=Counter(name for row in rows for name in row.people).most_common(),
    )


def store_assignments(flow: Flow, assign_input: AssignInput) -> int:
    """Store assignments of the chosen ones among these companies. Returns their number. Raises
    `UnknownParameter`.
    """
    selected = set(assign_input.companies) & set(flow.chosen_company_ids)
    added = set(assign_input.users)
    _require_offered(flow.organisation_id, assign_input.division, assign_input.template, added)
    changed = {}
    for company_id in selected:
        assignment = flow.assignments.get(company_id, CompanyAssignment())
        changed[company_id] = CompanyAssignment(
            division=assignment.division if assign_input.division is None else assign_input.division,
            template=assignment.template if assign_input.template is None else assign_input.template,
            users=sorted({*assignment.users, *added}),
        )
    _replace(flow, changed)
    return len(selected)


def undo(flow: Flow) -> int:
    """Put back what the last `store_assignments` or `clear` replaced; a second undo puts those back again.
    Returns the number of companies.
    """
    previous = dict(flow.previous_assignments)
    _replace(flow, previous)
    return len(previous)


def _replace(flow: Flow, assignments: dict[int, CompanyAssignment]) -> None:
    """Store these assignments, and keep those that they replace."""
    flow.previous_assignments = {key: flow.assignments.get(key, CompanyAssignment()) for key in assignments}
    save_values(flow, "assignments", assignments)
    save_step(flow, Step.ASSIGN, "previous_assignments")


def _require_offered(
    organisation_id: int, division_id: int | None, template_id: int | None, users: set[int]
) -> None:
    """Require choices that exist and are not archived. Raises `UnknownParameter` with all others."""
    parts = []
    divisions = Division.objects.in_organisation(organisation_id).filter(archived_at=None)
    if division_id is not None and not divisions.filter(pk=division_id).exists():
        parts.append(unknown_value("division", str(division_id)))
    templates = Template.objects.in_organisation(organisation_id).filter(archived_at=None)
    if template_id is not None and not templates.filter(pk=template_id).exists():
        parts.append(unknown_value("template", str(template_id)))
    memberships = Membership.objects.in_organisation(organisation_id).filter(is_active=True, pk__in=users)
    members = set(memberships.values_list("pk", flat=True))
    parts += [unknown_value("users", str(member_id)) for member_id in sorted(users - members)]
    if parts:
        raise UnknownParameter(parts)


def clear(flow: Flow, company_ids: Iterable[int]) -> int:
    """Clear the assignments of the ticked companies. Returns their number."""
    selected = set(company_ids) & set(flow.chosen_company_ids)
    _replace(flow, {company_id: CompanyAssignment() for company_id in selected})
    return len(selected)


def list_assignments(actor: Actor, flow: Flow) -> list[AssignmentRow]:
    """Return the assignments of each company. A deleted division, template or person is left out here; Finish
    refuses it.
    """
    names = {kind: dict(pairs) for kind, pairs in assignment_choices(actor).items()}
    assignment_rows = []
    for answer in list_answers(flow):
        assignment = flow.assignments.get(answer.company.pk, CompanyAssignment())
        people = tuple(names["people"][user] for user in assignment.users if user in names["people"])
        division = names["divisions"].get(assignment.division or 0, "")
        number = mask_number(answer.number, answer.company.country)
        assignment_rows.append(
            AssignmentRow(
                answer=answer,
                number=number,
                division=division,
                template=names["templates"].get(assignment.template or 0, ""),
                people=people,
            )
        )
    return assignment_rows
