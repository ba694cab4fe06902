"""A pasted list or a file in step ④ of the wizard: it fills in numbers, reasons and sectors."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from koppel.company_registers.numbers import list_import
from koppel.company_registers.numbers.reasons import resolve_reason
from koppel.company_registers.sectors.sections import resolve_sector
from koppel.kit.tabular.damaged_cells import find_damage
from koppel.onboarding.flow import save_step
from koppel.onboarding.inputs import IDENTITY_LENGTH_MAX
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.steps.identify import IdentityAnswer, chosen_companies, list_answers, save_answers


@dataclass(frozen=True, kw_only=True)
class PastedListResult:
    """The result of storing a pasted list."""

    matched_count: int
    unmatched: tuple[str, ...] = ()
    """Lines that fill in nothing, each with a reason to show."""
    unread: tuple[str, ...] = ()
    """Headings of columns that fill in nothing."""


def store_pasted_list(flow: Flow, text: str) -> PastedListResult:
    """Store numbers, reasons and sectors from a pasted list or a file, matched by name or code, or by the
    order of the table. An empty cell changes nothing. Raises `TableError` for an unreadable or too long list.
    """
    candidates = [
        list_import.TableRow(id=company.pk, name=company.name, codes=(company.code, company.external_id))
        for company in chosen_companies(flow)
    ]
    pasted = list_import.read_list(text)
    matched_lines = list_import.match_lines(pasted.lines, candidates)
    problems = {matched.line.index: _line_problem(matched) for matched in matched_lines}
    line_by_company = {
        matched.id: matched.line
        for matched in matched_lines
        if matched.id is not None and not problems[matched.line.index]
    }
    answers = list_answers(flow, list(line_by_company))
    save_answers(
        flow, {answer.company.pk: _filled(answer, line_by_company[answer.company.pk]) for answer in answers}
    )
    save_step(flow, Step.IDENTIFY)
    unmatched = [
        f"{_label(matched.line)}: {problem}"
        for matched in matched_lines
        if (problem := problems[matched.line.index])
    ]
    return PastedListResult(
        matched_count=len(line_by_company), unmatched=tuple(unmatched), unread=tuple(pasted.unread)
    )


def _filled(answer: IdentityAnswer, line: list_import.PastedLine) -> dict[str, str]:
    """Return the typed values of a row with those of its line. A number replaces a reason, and a reason a
    number.
    """
    number, reason = answer.number, answer.reason
    if line.number or line.reason:
        number, reason = line.number, "" if line.number else resolve_reason(line.reason)
    return {"number": number, "reason": reason, "sector": line.sector or answer.sector}


def _line_problem(matched: list_import.MatchedLine) -> str:
    """Return why a line fills in nothing; '' when it does, and for a blank line of a single column."""
    line = matched.line
    empty = "" if line.by_position else _("no number, no reason and no sector on this line")
    problems = {
        list_import.MatchStatus.EMPTY: empty,
        list_import.MatchStatus.UNKNOWN: _("no administration has this name"),
        list_import.MatchStatus.AMBIGUOUS: _("several administrations have this name"),
        list_import.MatchStatus.REPEATED: _("duplicate; the first one is used"),
        list_import.MatchStatus.CONTRADICTED: _("lines for the same administration differ; none is used"),
        list_import.MatchStatus.CONFLICT: _("two columns of the same meaning differ"),
        list_import.MatchStatus.TWO_COMPANIES: _("name and code belong to different administrations"),
        list_import.MatchStatus.DAMAGED: find_damage(line.number)
        or _("“%s” is not a number") % line.number[:60],
    }
    if problem := problems.get(matched.status):
        return problem
    if line.reason and not resolve_reason(line.reason):
        return _("“%s” is not a reason") % line.reason[:60]
    if line.sector and not resolve_sector(line.sector):
        return _("“%s” is not a sector") % line.sector[:60]
    if len(line.number) > IDENTITY_LENGTH_MAX:
        return _("“%s” is not a number") % line.number[:60]
    return ""


def _label(line: list_import.PastedLine) -> str:
    return (line.name or line.code or line.number)[:80]
