"""Ask whether a register's company is the same as the accounting system's if their names or numbers differ.

A row is complete only once a person has answered; the answer applies only to the names and numbers shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.models import ConfirmedIdentity
from koppel.company_registers.clients.protocol import QueryKind
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.numbers import check_number
from koppel.company_registers.numbers.identity import suggest_number
from koppel.connections.models import RemoteCompany
from koppel.onboarding.flow import save_values
from koppel.onboarding.models import Flow, SameCompanyAnswer
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """A difference between the typed identity and the register or the accounting system."""

    company: RemoteCompany
    number: str
    register_name: str = ""
    """'': the names agree."""
    is_derived: bool = False
    """Whether the number comes from the VAT number."""
    answer: bool | None = None
    """Whether this is the same company; None: not answered yet."""

    @property
    def subject(self) -> dict[str, str]:
        """The names and numbers for which an answer holds."""
        stated = self.company.number if self.is_derived else ""
        return {
            "listed_name": self.company.name,
            "register_name": self.register_name,
            "number": self.number,
            "stated_number": stated,
        }

    def is_subject_of(self, answer: SameCompanyAnswer) -> bool:
        """Return whether the answer was about exactly these names and numbers."""
        return all(getattr(answer, key) == value for key, value in self.subject.items())

    @property
    def differences(self) -> list[str]:
        """Both names, both numbers, and where each comes from."""
        sentences = []
        if self.register_name:
            words = _("Accounting system: “%(name)s”. Register: “%(register_name)s”.")
            sentences.append(words % {"name": self.company.name, "register_name": self.register_name})
        if self.is_derived and self.company.number:
            words = _("Accounting system: %(stated)s. Number %(number)s was taken from VAT number %(vat)s.")
            sentences.append(words % self._numbers)
        elif self.is_derived:
            words = _(
                "No number in the accounting system. Number %(number)s was taken from VAT number %(vat)s."
            )
            sentences.append(words % self._numbers)
        return sentences

    @property
    def sentence(self) -> str:
        """The question about this one company, with its number."""
        if not self.register_name:
            return _("Does number %(number)s belong to %(name)s?") % {
                "number": self.number,
                "name": self.company.name,
            }
        return _("Is %(name)s really %(register_name)s (number %(number)s)?") % {
            "name": self.company.name,
            "register_name": self.register_name,
            "number": self.number,
        }

    @property
    def message(self) -> str:
        if self.answer is False:
            return _(
                "You marked this as a different company. Enter its number, or choose a reason and a sector."
            )
        return " ".join([_("Is this the same company?"), *self.differences])

    @property
    def _numbers(self) -> dict[str, str]:
        return {"stated": self.company.number, "number": self.number, "vat": self.company.vat_number}


def find_discrepancy(
    company: RemoteCompany,
    number: str,
    lookup: LookupResult | None,
    answers: Mapping[int, SameCompanyAnswer],
) -> Discrepancy | None:
    """Return how the number's register entry differs from the company, with the stored answer; None if both
    agree.
    """
    checked = check_number(number, company.country) if number else None
    if checked is None:
        return None
    discrepancy = Discrepancy(
        company=company,
        number=checked.number,
        register_name=_differing_name(company, lookup),
        is_derived=_is_derived(company, checked.number),
    )
    if not discrepancy.register_name and not discrepancy.is_derived:
        return None
    stored = answers.get(company.pk)
    if stored is None or not discrepancy.is_subject_of(stored):
        return discrepancy
    return replace(discrepancy, answer=stored.is_same)


def store_answer(actor: Actor, flow: Flow, discrepancies: Iterable[Discrepancy], *, same: bool) -> int:
    """Store the answer with its author, time, names and numbers. Returns the number stored."""
    at = timezone.now().isoformat()
    answers = {
        discrepancy.company.pk: SameCompanyAnswer(
            **discrepancy.subject, is_same=same, by=actor.membership_id, at=at
        )
        for discrepancy in discrepancies
    }
    if answers:
        save_values(flow, "same_company_answers", answers)
    return len(answers)


def confirmed_identity(
    discrepancy: Discrepancy | None, answers: Mapping[int, SameCompanyAnswer]
) -> ConfirmedIdentity:
    """Return the name and number that a person confirmed, for the administration; empty where there was no
    question.
    """
    if discrepancy is None or not discrepancy.answer:
        return ConfirmedIdentity()
    stored = answers[discrepancy.company.pk]
    return ConfirmedIdentity(
        name=discrepancy.register_name, number=discrepancy.number, by=stored.by, at=stored.at
    )


def _differing_name(company: RemoteCompany, lookup: LookupResult | None) -> str:
    """Return the register's name where it is neither the listed nor the legal one; '' otherwise."""
    if lookup is None or lookup.query.kind is not QueryKind.NUMBER:
        return ""
    names = [name for name in (company.name, company.legal_name) if name]
    return lookup.legal_name if all(lookup.has_different_name(name) for name in names) else ""


def _is_derived(company: RemoteCompany, number: str) -> bool:
    """Return whether the number comes from the VAT number and differs from the one that the accounting system
    states.
    """
    if check_number(company.number, company.country).number == number:
        return False
    guess, _checked = suggest_number(company.country, company.number, company.vat_number)
    return bool(guess) and guess == number
