"""Step ④: a COC number for each chosen company, or a reason and a sector. What is known is filled in; registers are asked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from koppel.company_registers import list_import
from koppel.company_registers.identity import Identity, Problem, check_identity, first_guess
from koppel.company_registers.lookups import Finding, known, question_about, request_lookups
from koppel.company_registers.number_check import Checked
from koppel.company_registers.numbers import check
from koppel.company_registers.protocol import Kind, Outcome
from koppel.company_registers.sectors import resolve
from koppel.connections.models import RemoteCompany
from koppel.kit.text_search import folded
from koppel.onboarding.flow import advance, merge
from koppel.onboarding.models import Flow, Step
from koppel.onboarding.steps.same_company import Doubt, doubt_about
from koppel.onboarding.steps.same_company import answer as store_answer
from koppel.organisations.roles import Actor

FIELDS = ("number", "reason", "sector")
SUGGESTIONS_MAX = 3


@dataclass(frozen=True)
class Answer:
    """What stands at Identify for one company, typed or guessed, with what is wrong, doubtful or found out about it."""

    company: RemoteCompany
    number: str
    reason: str
    sector: str
    guessed: bool
    checked: Checked | None
    problems: Mapping[str, Problem]
    finding: Finding | None = None
    doubt: Doubt | None = None

    @property
    def is_complete(self) -> bool:
        return not self.problems and (self.doubt is None or self.doubt.answer is True)

    @property
    def question(self) -> Doubt | None:
        """“Is this the same company?”, while nobody has answered."""
        return self.doubt if self.doubt and self.doubt.answer is None and not self.problems else None

    @property
    def mark(self) -> tuple[str, str]:
        """(ok | warn | bad | busy | '', sentence) beside the number. What is missing is no fault until one goes on."""
        if self.number and (problem := self.problems.get("number")):
            return "bad", str(problem.sentence)
        if not self.number:
            return ("busy", _("A register is asked.")) if self.finding and self.finding.is_waiting else ("", "")
        if self.doubt and not self.doubt.answer:
            return ("warn" if self.doubt.answer is None else "bad"), self.doubt.sentence
        if self.checked and self.checked.sentence:
            return "warn", str(self.checked.sentence)
        if self.doubt:
            return "ok", _("confirmed as the same company")
        return self._in_register or ("ok", _("from the accounting system") if self.guessed else _("checks out"))

    @property
    def _in_register(self) -> tuple[str, str] | None:
        found = self.finding
        if found is None or found.question.kind is not Kind.NUMBER:
            return None
        if found.outcome is Outcome.FOUND:
            return "ok", _("found in the register")
        if found.outcome is Outcome.CLOSED:
            return "warn", _("in the register as ended: %s") % (found.legal_name or found.number)
        if found.outcome is Outcome.NOT_FOUND:
            return "warn", _("not found in the register")
        return None

    @property
    def suggestions(self) -> list[tuple[str, str]]:
        """(number, name) that a register proposes where none stands."""
        found = self.finding
        if self.number or found is None:
            return []
        if found.exists and found.number:
            return [(found.number, found.legal_name)]
        return [(one.number, f"{one.name} {one.place}".strip()) for one in found.candidates[:SUGGESTIONS_MAX]]


@dataclass(frozen=True)
class FilledIn:
    """What became of a pasted list. `missed` are lines that found no row, with the reason for a person."""

    placed: int
    missed: tuple[str, ...] = field(default=())


def answers(flow: Flow, only: Sequence[int] | None = None) -> list[Answer]:
    """The rows of Identify, or some of them."""
    companies = _chosen(flow, only)
    given = {one.pk: _given(one, flow.answers.get(str(one.pk))) for one in companies}
    questions = {
        key: question_about(one[0].country, one[1], one[0].vat_number, one[0].name) for key, one in given.items()
    }
    findings = known(flow.organisation_id, [one for one in questions.values() if one])
    return [
        _answer(*given[key], findings.get(question) if question else None, flow.confirmed)
        for key, question in questions.items()
    ]


def ask_registers(flow: Flow, only: Sequence[int] | None = None) -> None:
    """Have a worker look up what the rows say. What was asked lately is not asked again."""
    questions = [
        question_about(one.company.country, one.number, one.company.vat_number, one.company.name)
        for one in answers(flow, only)
        if one.company.country and not one.reason
    ]
    request_lookups(flow.organisation_id, [one for one in questions if one])


def keep(flow: Flow, given: Mapping[int, Mapping[str, str]]) -> list[int]:
    """Store what was typed for these companies, whatever it is. Which of them belong to the flow."""
    own = [one for one in flow.chosen if one in given]
    typed = {str(one): {name: given[one].get(name, "").strip() for name in FIELDS} for one in own}
    for one in typed.values():
        one["sector"] = resolve(one["sector"]) if one["sector"] else ""
    if typed:
        merge(flow, "answers", typed)
    return own


def identify(flow: Flow, given: Mapping[int, Mapping[str, str]]) -> list[Answer]:
    """Store what was typed; move on when every row is complete. All rows, with what is wrong."""
    keep(flow, given)
    found = answers(flow)
    complete = bool(found) and all(one.is_complete for one in found)
    advance(flow, Step.ASSIGN if complete else Step.IDENTIFY)
    return found


def confirm(actor: Actor, flow: Flow, company_ids: Sequence[int], *, same: bool) -> int:
    """A person's answer to “is this the same company?”, for all of these that ask it. How many.

    “No, another” takes the number away: it is another company's."""
    doubtful = [one for one in answers(flow, company_ids) if one.question]
    count = store_answer(actor, flow, [one.doubt for one in doubtful if one.doubt], same=same)
    if not same:
        keep(flow, {one.company.pk: {"reason": one.reason, "sector": one.sector} for one in doubtful})
    return count


def fill_in(flow: Flow, text: str) -> FilledIn:
    """Numbers, reasons and sectors from a pasted list or a file: by name or code, or in the order of the table."""
    companies = {one.pk: one for one in _chosen(flow)}
    candidates = [list_import.Candidate(one.pk, one.name, (one.code, one.external_id)) for one in companies.values()]
    found = list_import.place(list_import.read_lines(text), candidates)
    given = {
        one.id: {"number": one.line.number, "reason": _reason(one.line.reason), "sector": one.line.sector}
        for one in found
        if one.placing is list_import.Placing.PLACED and one.id is not None
    }
    keep(flow, given)
    advance(flow, Step.IDENTIFY)
    misses = {
        list_import.Placing.UNKNOWN: _("no administration has this name"),
        list_import.Placing.AMBIGUOUS: _("more than one administration has this name"),
        list_import.Placing.TWICE: _("given twice; the first one counts"),
    }
    missed = [
        f"{one.line.name or one.line.code or one.line.number}: {misses[one.placing]}"
        for one in found
        if one.placing in misses
    ]
    return FilledIn(len(given), tuple(missed))


def identity_of(answer: Answer, *, complete_later: bool = False) -> Identity | None:
    """None while something is missing, unless it may be completed later: then a guess that cannot be right is left out.

    Also None while nobody has said that it is the same company. With a number the sector is the register's, where it gave
    one."""
    if answer.doubt and not answer.doubt.answer:
        return None
    sector = answer.sector
    if answer.number and answer.finding and answer.finding.exists and (section := answer.finding.sector):
        sector = section.letter
    number = "" if complete_later and answer.guessed and answer.problems else answer.number
    found = check_identity(
        country=answer.company.country, number=number, reason=answer.reason, sector=sector, may_wait=complete_later
    )
    return found if isinstance(found, Identity) else None


def _reason(text: str) -> str:
    """The key of a reason, typed as its key or its words."""
    from koppel.company_registers.reasons import REASONS  # noqa: PLC0415 - words are lazy

    wanted = text.strip().casefold()
    return next((key for key, words in REASONS.items() if wanted in (key, str(words).casefold())), "")


def _chosen(flow: Flow, only: Iterable[int] | None = None) -> list[RemoteCompany]:
    wanted = flow.chosen if only is None else sorted(set(only) & set(flow.chosen))
    found = RemoteCompany.objects.filter(organisation_id=flow.organisation_id, pk__in=wanted)
    return sorted(found, key=lambda one: (folded(one.name), one.pk))


def _given(
    company: RemoteCompany, stored: Mapping[str, str] | None
) -> tuple[RemoteCompany, str, str, str, bool, Checked | None]:
    if stored is None:
        number, checked = first_guess(company.country, company.number, company.vat_number)
        return company, number, "", "", True, checked
    number, reason, sector = (stored.get(name, "") for name in FIELDS)
    return company, number, reason, sector, False, check(number, company.country) if number else None


def _answer(
    company: RemoteCompany, number: str, reason: str, sector: str, guessed: bool, checked: Checked | None,
    finding: Finding | None, confirmed: Mapping[str, Any],
) -> Answer:  # fmt: skip
    found = check_identity(country=company.country, number=number, reason=reason, sector=sector)
    problems = {one.field: one for one in found} if isinstance(found, list) else {}
    doubt = doubt_about(company, number, finding, confirmed)
    return Answer(company, number, reason, sector, guessed, checked, problems, finding, doubt)
