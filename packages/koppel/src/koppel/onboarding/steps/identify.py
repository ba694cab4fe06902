"""Step ④ of the wizard: a COC number for each chosen company, or a reason and a sector. Known numbers are
filled in, and registers are queried.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_fields

from django.utils.formats import date_format
from django.utils.translation import gettext as _
from msgspec.structs import replace

from koppel.administrations.identity.shared_numbers import SHARED_REASONS
from koppel.company_registers.clients.protocol import (
    REGISTER_TITLES,
    LookupOutcome,
    QueryKind,
    RegisterCode,
    RegisterQuery,
)
from koppel.company_registers.company_names import name_without_legal_form
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.lookups import build_query, cached_results, request_lookups
from koppel.company_registers.numbers import NumberCheck, NumberStatus, check_number
from koppel.company_registers.numbers.identity import (
    Identity,
    IdentityProblem,
    check_identity,
    suggest_number,
)
from koppel.company_registers.sectors.sections import resolve_sector
from koppel.connections.models import RemoteCompany
from koppel.kit.database.text_search import normalize_search
from koppel.onboarding.flow import save_step, save_values
from koppel.onboarding.models import Flow, SameCompanyAnswer, Step, TypedIdentity
from koppel.onboarding.steps.same_company import Discrepancy, find_discrepancy, store_answer
from koppel.onboarding.steps.shared_number import NumberUse, SharedNumber, find_shared_numbers
from koppel.organisations.roles import Actor

FIELDS = ("number", "reason", "sector")
SHARED_REASON = "shared_reason"
"""The field of the reason for a number that another administration has too."""
SUGGESTIONS_MAX = 3


@dataclass(frozen=True, kw_only=True)
class EnteredIdentity:
    """What was typed for a company in step ④, or the suggested number."""

    company: RemoteCompany
    number: str
    reason: str = ""
    sector: str = ""
    is_suggested: bool = False
    number_check: NumberCheck | None


@dataclass(frozen=True, kw_only=True)
class IdentityAnswer:
    """The identity of one company in step ④, typed or suggested, with its problems, its discrepancy and the
    register's answer.
    """

    company: RemoteCompany
    number: str
    reason: str
    sector: str
    is_suggested: bool
    checked: NumberCheck | None
    problems: Mapping[str, IdentityProblem]
    lookup: LookupResult | None = None
    discrepancy: Discrepancy | None = None
    shared: SharedNumber | None = None
    """The others with the same number; None: no others."""
    rejected_number: str = ""
    """The number that a person removed as another company's, while none is typed."""

    @property
    def is_complete(self) -> bool:
        return not self.problems and self.is_confirmed

    @property
    def is_confirmed(self) -> bool:
        """Return whether a person confirmed what differs, and a number that another administration has."""
        is_same = self.discrepancy is None or self.discrepancy.answer is True
        return is_same and (self.shared is None or self.shared.is_confirmed)

    @property
    def needs_reason(self) -> bool:
        """Return whether another administration has the number, and no reason is given yet."""
        return bool(self.shared and not self.shared.is_confirmed and not self.problems)

    @property
    def question(self) -> Discrepancy | None:
        """Return the question “is this the same company?” while it is unanswered."""
        return (
            self.discrepancy
            if self.discrepancy and self.discrepancy.answer is None and not self.problems
            else None
        )

    @property
    def asks_about_number(self) -> bool:
        """Return whether the row shows the question about the shared number: after that about the company."""
        return self.shared is not None and self.question is None

    @property
    def asks_about_succession(self) -> bool:
        """Return whether the row may ask if it continues another: after the other questions."""
        return self.question is None and not self.needs_reason

    @property
    def badge(self) -> tuple[str, str]:
        """Return the badge beside the number: (ok | warn | bad | busy | '', sentence). A missing value is no
        problem until Next.
        """
        if self.number and (problem := self.problems.get("number")):
            return "bad", str(problem.message)
        if not self.number:
            return (
                ("busy", _("Looking up the number in the register."))
                if self.lookup and self.lookup.is_waiting
                else ("", "")
            )
        if unconfirmed := self._unconfirmed:
            return unconfirmed
        if self.discrepancy:
            return "ok", _("confirmed as the same company")
        is_known = self.lookup is not None and self.lookup.exists
        if self.checked and self.checked.message and not is_known:
            return "warn", str(self.checked.message)
        return self._in_register or (
            "ok",
            _("from the accounting system") if self.is_suggested else _("valid"),
        )

    @property
    def _unconfirmed(self) -> tuple[str, str] | None:
        """Return the badge of a number that a person has yet to confirm."""
        if self.discrepancy and not self.discrepancy.answer:
            return ("warn" if self.discrepancy.answer is None else "bad"), self.discrepancy.message
        return ("warn", _("Choose why both have this number.")) if self.needs_reason else None

    @property
    def _in_register(self) -> tuple[str, str] | None:
        result = self.lookup
        if result is None or result.query.kind is not QueryKind.NUMBER:
            return None
        if result.outcome is LookupOutcome.FOUND:
            return "ok", _("found in the register")
        if result.outcome is LookupOutcome.CLOSED:
            return "warn", self.closed_message
        if result.outcome is LookupOutcome.NOT_FOUND and result.source == RegisterCode.VIES:
            return "warn", _("not registered for VAT under this number, according to VIES")
        if result.outcome is LookupOutcome.NOT_FOUND:
            return "warn", _("not found in %(register)s") % {
                "register": REGISTER_TITLES.get(result.source, result.source)
            }
        return None

    @property
    def closed_message(self) -> str:
        """Return since when the register says that the company is deregistered; '' when it is not."""
        result = self.lookup
        if not self.number or result is None or result.outcome is not LookupOutcome.CLOSED:
            return ""
        name = result.legal_name or result.number
        if result.closed_on is None:
            return _("Deregistered: %s") % name
        day = date_format(result.closed_on, "SHORT_DATE_FORMAT")
        return _("Deregistered since %(day)s: %(name)s") % {"day": day, "name": name}

    @property
    def suggestions(self) -> list[tuple[str, str, bool]]:
        """Return what a register suggests where no number was typed: number, name, whether it is
        deregistered.
        """
        result = self.lookup
        if self.number or result is None:
            return []
        if result.exists and result.number:
            return [(result.number, result.legal_name, result.outcome is LookupOutcome.CLOSED)]
        return [
            (candidate.number, f"{candidate.name} {candidate.city}".strip(), candidate.is_closed)
            for candidate in result.candidates[:SUGGESTIONS_MAX]
        ]

    @property
    def equal_suggestion(self) -> str:
        """Return the number of the only company in the register with an equal name, ignoring capitals, dots
        and the legal form.

        '' for none or several, for a deregistered one, and where a number or a reason is given.
        """
        result = self.lookup
        if self.number or self.reason or result is None:
            return ""
        if result.outcome is LookupOutcome.CLOSED:
            return ""
        if result.exists:
            return "" if result.has_different_name(self.company.name) else result.number
        name = name_without_legal_form(self.company.name)
        equal = [
            "" if candidate.is_closed else candidate.number
            for candidate in result.candidates
            if name_without_legal_form(candidate.name) == name
        ]
        return equal[0] if len(equal) == 1 else ""


def number_of(answer: IdentityAnswer) -> str:
    """Return the number in normal form, as it is imported."""
    return answer.checked.number if answer.checked else answer.number


def list_answers(flow: Flow, only: Sequence[int] | None = None) -> list[IdentityAnswer]:
    """Return the answers of the chosen companies, or of some of them."""
    entered_by_company = {
        company.pk: _stored_or_suggested(company, flow.typed_identities.get(company.pk))
        for company in chosen_companies(flow)
    }
    shared = find_shared_numbers(flow, _number_uses(flow, entered_by_company.values()))
    requested = entered_by_company.keys() if only is None else entered_by_company.keys() & set(only)
    query_by_company = {
        company_id: _lookup_query(entered.company, entered.number)
        for company_id, entered in entered_by_company.items()
        if company_id in requested
    }
    lookups = cached_results(flow.organisation_id, [query for query in query_by_company.values() if query])
    return [
        _answer(
            entered_by_company[company_id],
            lookup=lookups.get(query) if query else None,
            confirmed=flow.same_company_answers,
            shared=shared.get(company_id),
        )
        for company_id, query in query_by_company.items()
    ]


def _lookup_query(company: RemoteCompany, number: str) -> RegisterQuery | None:
    return build_query(company.country, number, company.vat_number, company.name)


def _number_uses(flow: Flow, entered_identities: Iterable[EnteredIdentity]) -> dict[int, NumberUse]:
    """Return the valid numbers of these companies, with the reasons for sharing them."""
    uses = {}
    for entered in entered_identities:
        company, check = entered.company, entered.number_check
        if entered.number and check and check.number and check.status is not NumberStatus.INVALID:
            typed = flow.typed_identities.get(company.pk)
            reason = typed.shared_reason if typed and typed.shared_reason in SHARED_REASONS else ""
            uses[company.pk] = NumberUse(
                name=company.name,
                external_id=company.external_id,
                number=(check.number, check.scheme),
                reason=reason,
            )
    return uses


def enqueue_lookups(flow: Flow, only: Sequence[int] | None = None) -> None:
    """Enqueue register lookups of the typed and suggested numbers that were not looked up lately."""
    queries = [
        _lookup_query(answer.company, answer.number)
        for answer in list_answers(flow, only)
        if answer.company.country and not answer.reason
    ]
    request_lookups(flow.organisation_id, [query for query in queries if query])


def save_answers(flow: Flow, typed_by_company: Mapping[int, Mapping[str, str]]) -> list[int]:
    """Store the input for these companies, valid or not. Returns the ids of those in the flow."""
    companies = chosen_companies(flow, typed_by_company)
    typed = {
        company.pk: _typed_identity(
            company, typed_by_company[company.pk], flow.typed_identities.get(company.pk)
        )
        for company in companies
    }
    if typed:
        save_values(flow, "typed_identities", typed)
    return list(typed)


def _typed_identity(
    company: RemoteCompany, values: Mapping[str, str], stored: TypedIdentity | None
) -> TypedIdentity:
    """Return what to store of these values.

    A number and a reason exclude each other: the one that was given last replaces an unusable number, or the
    reason. A reason for sharing a number holds for that number only.
    """
    number, reason, sector = (values.get(name, "").strip() for name in FIELDS)
    before = _stored_or_suggested(company, stored)
    if number and reason and not _is_usable(number, company.country):
        is_reason_new = reason != before.reason or number == before.number
        number, reason = ("", reason) if is_reason_new else (number, "")
    elif number == before.number and reason and reason != before.reason:
        number = ""
    shared_reason_before = stored.shared_reason if stored else ""
    shared_reason = values.get(SHARED_REASON, shared_reason_before).strip()
    if not number or (number != before.number and shared_reason == shared_reason_before):
        shared_reason = ""
    return TypedIdentity(
        number=number,
        reason=reason,
        sector=resolve_sector(sector) if sector else "",
        shared_reason=shared_reason,
    )


def _is_usable(number: str, country: str) -> bool:
    """Return whether the number can be imported, with a doubt or without."""
    return check_number(number, country).status is not NumberStatus.INVALID


def advance_if_complete(flow: Flow) -> list[IdentityAnswer]:
    """Store the next step when every company is complete. Returns all answers, with their problems."""
    identity_answers = list_answers(flow)
    is_complete = bool(identity_answers) and all(answer.is_complete for answer in identity_answers)
    save_step(flow, Step.ASSIGN if is_complete else Step.IDENTIFY)
    return identity_answers


def answer_same_company(actor: Actor, flow: Flow, company_ids: Sequence[int], *, same: bool) -> int:
    """Store a person's answer to “is this the same company?” where it is unanswered. Returns how many.

    The answer “No, another” removes the number, because it is another company's.
    """
    unanswered = [answer for answer in list_answers(flow, company_ids) if answer.question]
    count = store_answer(
        actor, flow, [answer.discrepancy for answer in unanswered if answer.discrepancy], same=same
    )
    if not same:
        save_answers(
            flow,
            {answer.company.pk: {"reason": answer.reason, "sector": answer.sector} for answer in unanswered},
        )
    return count


def undo_rejection(flow: Flow, company_id: int) -> None:
    """Put back the number that the answer “No, another” removed, with its question."""
    for answer in list_answers(flow, [company_id]):
        if answer.rejected_number:
            undone_answer = replace(flow.same_company_answers[company_id], is_same=None)
            save_values(flow, "same_company_answers", {company_id: undone_answer})
            save_answers(flow, {company_id: {"number": answer.rejected_number, "sector": answer.sector}})


def accept_suggestions(flow: Flow) -> list[int]:
    """Accept the suggested numbers of companies of the same name. Returns the ids of these companies."""
    suggested = {
        answer.company.pk: {"number": number, "sector": answer.sector}
        for answer in list_answers(flow)
        if (number := answer.equal_suggestion)
    }
    return save_answers(flow, suggested)


def identity_of(answer: IdentityAnswer, *, complete_later: bool = False) -> Identity | None:
    """Return the identity to import; None while it is incomplete, or not confirmed to be the same company.

    With `complete_later` an incomplete identity is returned too, without an invalid suggestion. With a
    number, the sector is the register's if it states one.
    """
    if answer.discrepancy and not answer.discrepancy.answer:
        return None
    if not complete_later and not answer.is_confirmed:
        return None
    sector = answer.sector
    if answer.number and answer.lookup and answer.lookup.exists and (section := answer.lookup.sector):
        sector = section.letter
    number = "" if complete_later and answer.is_suggested and answer.problems else answer.number
    check = check_identity(
        country=answer.company.country,
        number=number,
        reason=answer.reason,
        sector=sector,
        allow_incomplete=complete_later,
    )
    if not check.is_valid:
        return None
    # What a person or the register confirms is no longer in doubt.
    is_confirmed = answer.discrepancy is not None or bool(answer.lookup and answer.lookup.exists)
    return replace_fields(check.identity, number_note="") if is_confirmed else check.identity


def chosen_companies(flow: Flow, only: Iterable[int] | None = None) -> list[RemoteCompany]:
    """Return the chosen companies of the organisation, or some of them, by name."""
    requested_ids = (
        flow.chosen_company_ids if only is None else sorted(set(only) & set(flow.chosen_company_ids))
    )
    companies = RemoteCompany.objects.in_organisation(flow.organisation_id).filter(pk__in=requested_ids)
    return sorted(companies, key=lambda company: (normalize_search(company.name), company.pk))


def _stored_or_suggested(company: RemoteCompany, stored: TypedIdentity | None) -> EnteredIdentity:
    if stored is None:
        number, number_check = suggest_number(company.country, company.number, company.vat_number)
        return EnteredIdentity(company=company, number=number, is_suggested=True, number_check=number_check)
    return EnteredIdentity(
        company=company,
        number=stored.number,
        reason=stored.reason,
        sector=stored.sector,
        number_check=check_number(stored.number, company.country) if stored.number else None,
    )


def _answer(
    entered: EnteredIdentity,
    *,
    lookup: LookupResult | None,
    confirmed: Mapping[int, SameCompanyAnswer],
    shared: SharedNumber | None,
) -> IdentityAnswer:
    company, number, reason = entered.company, entered.number, entered.reason
    check = check_identity(country=company.country, number=number, reason=reason, sector=entered.sector)
    stored_answer = confirmed.get(company.pk)
    is_rejected = stored_answer is not None and stored_answer.is_same is False and not number and not reason
    return IdentityAnswer(
        company=company,
        number=number,
        reason=reason,
        sector=entered.sector,
        is_suggested=entered.is_suggested,
        checked=entered.number_check,
        problems={problem.field: problem for problem in check.problems},
        lookup=lookup,
        discrepancy=find_discrepancy(company, number, lookup, confirmed),
        shared=shared,
        rejected_number=stored_answer.number if stored_answer and is_rejected else "",
    )
