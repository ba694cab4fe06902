"""The rule of identity: a number, or a reason and a sector."""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.company_registers.numbers.check import check_number
from koppel.company_registers.numbers.check_result import NumberCheck, NumberStatus
from koppel.company_registers.numbers.reasons import REASONS
from koppel.company_registers.sectors.sections import SCHEME, SECTIONS

NUMBER_IN_VAT = ("NO", "SE", "DK", "FI", "BE", "FR")
"""Countries whose VAT number contains the company number."""


@dataclass(frozen=True)
class Identity:
    """The identity of a company: either a number, or a reason for having none and a sector.

    All empty (`is_complete` False) only where it may be completed later.
    """

    number: str = ""
    number_scheme: str = ""
    number_note: str = ""
    """Explains a doubtful number."""
    no_number_reason: str = ""
    sector: str = ""
    sector_scheme: str = ""

    @property
    def is_complete(self) -> bool:
        return is_identified(self.number, self.no_number_reason, self.sector)


@dataclass(frozen=True, kw_only=True)
class IdentityProblem:
    """The reason why an identity is refused."""

    field: str
    """number, reason or sector."""
    code: str
    message: str | Promise


@dataclass(frozen=True)
class IdentityCheck:
    """The result for one company."""

    identity: Identity = Identity()
    """Empty when there are problems."""
    problems: tuple[IdentityProblem, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not self.problems


def check_identity(
    *, country: str, number: str = "", reason: str = "", sector: str = "", allow_incomplete: bool = False
) -> IdentityCheck:
    """Check a number or a reason. A doubtful number is accepted with its note: a wrong check digit must not
    stop real work. With a number, the reason is ignored.

    `allow_incomplete` also accepts an identity without number and reason, for an import without a person;
    what is given must still be valid.
    """
    if number.strip():
        number_check = check_number(number, country)
        if number_check.status is NumberStatus.INVALID:
            return IdentityCheck(
                problems=(
                    IdentityProblem(
                        field="number", code=str(number_check.note), message=number_check.message
                    ),
                )
            )
        has_sector = sector in SECTIONS
        return IdentityCheck(
            Identity(
                number=number_check.number,
                number_scheme=number_check.scheme,
                number_note=str(number_check.note),
                sector=sector if has_sector else "",
                sector_scheme=SCHEME if has_sector else "",
            )
        )
    if not reason and allow_incomplete:
        return IdentityCheck()
    if not reason:
        message = _("Enter a number, or choose a reason and a sector.")
        return IdentityCheck(problems=(IdentityProblem(field="number", code="missing", message=message),))
    problems = []
    if reason not in REASONS:
        problems.append(IdentityProblem(field="reason", code="unknown", message=_("Choose a reason.")))
    if sector not in SECTIONS:
        problems.append(
            IdentityProblem(field="sector", code="missing", message=_("Choose a sector as well."))
        )
    if problems:
        return IdentityCheck(problems=tuple(problems))
    return IdentityCheck(Identity(no_number_reason=reason, sector=sector, sector_scheme=SCHEME))


def is_identified(number: str, reason: str, sector: str) -> bool:
    """Return whether these values are a whole identity."""
    return bool(number or (reason and sector))


def suggest_number(country: str, number: str, vat_number: str) -> tuple[str, NumberCheck | None]:
    """Return what to fill in at first: the number that the accounting system states, else the one in its VAT
    number.
    """
    number_check = check_number(number, country) if number.strip() else None
    if number_check is not None and number_check.status is NumberStatus.VALID:
        return number_check.number, number_check
    if vat_number.strip() and country in NUMBER_IN_VAT:
        from_vat = check_number(vat_number, country)
        if from_vat.status is NumberStatus.VALID:
            return from_vat.number, from_vat
    if number_check is None:
        return "", None
    return (
        number.strip() if number_check.status is NumberStatus.INVALID else number_check.number
    ), number_check
