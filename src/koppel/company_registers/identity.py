"""The one rule of identity, said once: a number, or a reason and a sector."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.company_registers.number_check import Checked, Verdict
from koppel.company_registers.numbers import check
from koppel.company_registers.reasons import REASONS
from koppel.company_registers.sectors import SCHEME, SECTIONS

NUMBER_IN_VAT = ("NO", "SE", "DK", "FI", "BE", "FR")
"""Countries whose VAT number holds the company's number."""


@dataclass(frozen=True)
class Identity:
    """Who a company is. Either `number`, or `no_number_reason` and `sector`. `number_note` says what is doubtful.

    All empty (`is_complete` False) only where it may be completed later."""

    number: str = ""
    number_scheme: str = ""
    number_note: str = ""
    no_number_reason: str = ""
    sector: str = ""
    sector_scheme: str = ""

    @property
    def is_complete(self) -> bool:
        return bool(self.number or (self.no_number_reason and self.sector))


@dataclass(frozen=True)
class Problem:
    """`field` is number, reason or sector."""

    field: str
    code: str
    sentence: str | Promise


def check_identity(
    *, country: str, number: str = "", reason: str = "", sector: str = "", may_wait: bool = False
) -> Identity | list[Problem]:
    """A doubtful number is accepted with its note: a wrong check digit must not stop real work. A number beats a reason.

    `may_wait`: nobody is there to ask (an unattended import), so nothing at all is accepted as well; what was given must
    still be right."""
    if number.strip():
        checked = check(number, country)
        if checked.verdict is Verdict.INVALID:
            return [Problem("number", checked.note, checked.sentence)]
        chosen = (sector, SCHEME) if sector in SECTIONS else ("", "")
        return Identity(checked.number, checked.scheme, checked.note, "", *chosen)
    if not reason and may_wait:
        return Identity()
    if not reason:
        return [Problem("number", "missing", _("Enter a number, or choose a reason and a sector."))]
    problems = []
    if reason not in REASONS:
        problems.append(Problem("reason", "unknown", _("Choose one of the reasons.")))
    if sector not in SECTIONS:
        problems.append(Problem("sector", "missing", _("Choose a sector as well.")))
    return problems or Identity(no_number_reason=reason, sector=sector, sector_scheme=SCHEME)


def first_guess(country: str, number: str, vat_number: str) -> tuple[str, Checked | None]:
    """What to fill in at first from what the accounting system states: its number, else the one inside its VAT number."""
    checked = check(number, country) if number.strip() else None
    if checked is not None and checked.verdict is Verdict.VALID:
        return checked.number, checked
    if vat_number.strip() and country in NUMBER_IN_VAT:
        from_vat = check(vat_number, country)
        if from_vat.verdict is Verdict.VALID:
            return from_vat.number, from_vat
    if checked is None:
        return "", None
    return (number.strip() if checked.verdict is Verdict.INVALID else checked.number), checked
