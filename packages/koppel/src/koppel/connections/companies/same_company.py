"""Whether a company is still the one that a person confirmed: one guard for listings, descriptions, sign-ins and runs.

A name alone or a number alone may change; that is told. When both are another company's, nothing of it is kept and nothing is
read until a person decides. What is compared is what a person confirmed, at the import or when settling a change, not what the
accounting system said last: who renames a company today and renumbers it tomorrow is noticed too.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_noop as _

from koppel.connections import hooks
from koppel.connections.health import add_timeline_event
from koppel.connections.models import RemoteCompany
from koppel.issues.services import raise_issue, resolve_issues

OTHER_COMPANY, OTHER_COMPANY_CONFIRMED = "other_company", "other_company_confirmed"
"""Issue codes: a person has yet to decide; a person said that it is another company."""
OTHER_COMPANY_MESSAGE = _(
    "Is this the same company? Name and registration number at the accounting system are both different from what was"
    " confirmed. Nothing is read until you decide."
)


@dataclass(frozen=True)
class Confirmed:
    """What is known of a company: one name ('' = unknown), and the numbers that a person entered or confirmed, first the one
    that the accounting system stated."""

    name: str
    numbers: tuple[str, ...]
    country: str = ""


@dataclass(frozen=True)
class Described:
    """What the accounting system says of it."""

    name: str
    number: str
    country: str = ""


def plain(text: str) -> str:
    """Capitals, spaces, punctuation and the way in which an accent is encoded are no change."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(filter(_distinguishes, folded))


def _distinguishes(letter: str) -> bool:
    """Letters and figures, and the marks that are vowels in scripts such as Devanagari; not accents, nor what only chooses
    how a letter is drawn."""
    is_mark = unicodedata.category(letter)[0] == "M" and not ("\u0300" <= letter <= "\u036f" or _is_selector(letter))
    return letter.isalnum() or is_mark


def _is_selector(letter: str) -> bool:
    return "\ufe00" <= letter <= "\ufe0f" or "\U000e0100" <= letter <= "\U000e01ef"


def same_name(first: str, second: str) -> bool:
    """A legal form that only one of them states is no difference; two different ones are."""
    if plain(first) == plain(second):
        return True
    first_core, second_core = (plain(hooks.core_name(text)) for text in (first, second))
    return first_core == second_core and (first_core == plain(first) or second_core == plain(second))


def same_number(first: str, second: str, *countries: str) -> bool:
    """In one of the forms in which a number is written in these countries."""
    forms = [
        {plain(text), *(plain(hooks.comparable_number(text, country)) for country in countries)}
        for text in (first, second)
    ]
    # A text of which nothing is left says no number, and two of them are not the same one.
    return bool((forms[0] & forms[1]) - {""})


def is_other_company(confirmed: Confirmed, described: Described) -> bool:
    """Name and number are both different. A confirmed half that the accounting system states no more is different too: who
    blanks one half and changes the other is not let in. A number alone that is missing is a question. What nobody confirmed
    is no difference; and where both are blank nothing vouches for the company, so that a person decides."""
    numbers = [number for number in confirmed.numbers if plain(number)]
    if not plain(described.number):
        # Only the accounting system's own can vanish there; the firm may have entered one that it never stated.
        numbers = [number for number in confirmed.numbers[:1] if plain(number)]
    if not numbers or not plain(confirmed.name):
        return False
    countries = {confirmed.country, described.country}
    is_known = any(same_number(number, described.number, *countries) for number in numbers)
    return not is_known and not (plain(described.name) and same_name(confirmed.name, described.name))


def may_be_other(columns: Mapping[str, Any], described: Described) -> bool:
    """Whether the guard has to look, from a company's stored columns alone: a run asks this each time."""
    confirmed = Confirmed(columns["confirmed_name"], (columns["confirmed_number"],), columns["country"])
    return columns["claimed_at"] is not None or is_other_company(confirmed, described)


def apply_guard(company: RemoteCompany, described: Described, *, interrupts: bool) -> bool:
    """The guard. True: another company stands there, so the caller keeps nothing of the description.

    `company` is locked by the caller. `interrupts`: a run that is under way goes back to its beginning; a run itself knows."""
    imported = company.administrations.filter(withdrawn_at=None)
    administrations = dict(imported.values_list("pk", "number"))
    if not administrations:
        return False
    confirmed = Confirmed(
        company.confirmed_name, (company.confirmed_number, *administrations.values()), company.country
    )
    is_other = is_other_company(confirmed, described)
    if interrupts and (is_other or company.claimed_at is not None):
        hooks.restart_runs(company.organisation_id, list(administrations))
    if is_other:
        _claim(company, list(administrations), described)
        return True
    _store_first_description(company, described)
    if company.claimed_at is not None:
        add_timeline_event(company.connection, "company_restored", {"name": company.confirmed_name})
        release(company, list(administrations), requested_by="")
    return False


def confirm_identity(company: RemoteCompany, name: str, number: str) -> None:
    """A person says who it is: at the import. The caller saves."""
    company.confirmed_name = "" if name == company.external_id else name[:300]
    company.confirmed_number = number[:100]
    forget_claim(company)


def forget_identity(company: RemoteCompany) -> None:
    """Its administration is erased: it may be imported again, as whatever company it is by then. The caller saves."""
    if company.claimed_at is not None:
        company.name, company.legal_name, company.number = company.claimed_name, "", ""
    company.confirmed_name = company.confirmed_number = ""
    company.described_at = None
    forget_claim(company)


def inherit_identity(company: RemoteCompany, before: RemoteCompany) -> None:
    """The same company, reached through another connection: what was confirmed of it goes along, and what waits for a person.

    The caller saves, and has the guard look."""
    for name in (
        "confirmed_name",
        "confirmed_number",
        "claimed_name",
        "claimed_number",
        "claimed_at",
        "claim_rejected_at",
    ):
        setattr(company, name, getattr(before, name))


def forget_claim(company: RemoteCompany) -> None:
    """The caller saves."""
    company.claimed_name = company.claimed_number = ""
    company.claimed_at = company.claim_rejected_at = None


def release(company: RemoteCompany, administration_ids: Iterable[int], *, requested_by: str) -> None:
    """It is the confirmed company, or a person says so: its administrations go on. The caller saves."""
    ids = list(administration_ids)
    forget_claim(company)
    for administration_id in ids:
        resolve_issues(
            company.organisation_id, ("administration", administration_id), OTHER_COMPANY, OTHER_COMPANY_CONFIRMED
        )
    hooks.unblock_administrations(company.organisation_id, ids, requested_by)


def claim_context(company: RemoteCompany) -> dict[str, object]:
    """For issues and the timeline. A missing number shows as a dash."""
    return {
        "name": company.confirmed_name,
        "old": company.confirmed_name,
        "old_number": company.confirmed_number or "–",
        "new": company.claimed_name,
        "new_number": company.claimed_number or "–",
        "connection": company.connection_id,
    }


def _claim(company: RemoteCompany, administration_ids: list[int], described: Described) -> None:
    """Keep what it claims to be, and stop its administrations. Claimed again, a person's answer stays."""
    claim = Described(described.name[:300], described.number[:100])
    is_new = company.claimed_at is None or Described(company.claimed_name, company.claimed_number) != claim
    company.claimed_name, company.claimed_number = claim.name, claim.number
    if is_new:
        company.claimed_at, company.claim_rejected_at = timezone.now(), None
        add_timeline_event(company.connection, OTHER_COMPANY, claim_context(company))
    code, other = OTHER_COMPANY, OTHER_COMPANY_CONFIRMED
    if company.claim_rejected_at is not None:
        code, other = other, code
    for administration_id in administration_ids:
        subject = ("administration", administration_id)
        resolve_issues(company.organisation_id, subject, other)
        raise_issue(company.organisation_id, code, subject, claim_context(company))
    company.described_at = timezone.now()
    company.save(update_fields=["claimed_name", "claimed_number", "claimed_at", "claim_rejected_at", "described_at"])
    hooks.block_administrations(company.organisation_id, administration_ids, OTHER_COMPANY_MESSAGE)


def _store_first_description(company: RemoteCompany, described: Described) -> None:
    """What nobody could see when the company was imported, for it was not described yet: its first description counts."""
    if not company.confirmed_name:
        company.confirmed_name, company.confirmed_number = described.name[:300], described.number[:100]
    is_first = not company.legal_name
    if is_first and not company.confirmed_number and same_name(company.confirmed_name, described.name):
        company.confirmed_number = described.number[:100]
