"""Ask for a reason where a number is also used for another administration, imported or in this import.

One company may keep several administrations, so the number is not refused: a person confirms it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.kit.web.sentences import fill, shorten_list
from koppel.onboarding.models import Flow
from koppel.organisations.roles import Actor, Role

SHARED_REASONS: dict[str, Promise] = {
    "several_administrations": _("One company, several administrations"),
    "branch": _("Branch of the same company"),
    "earlier_administration": _("Earlier administration of the same company"),
}

Number = tuple[str, str]
"""A number in normal form, and its scheme."""


@dataclass(frozen=True)
class SharedNumber:
    """The other users of a company's number."""

    names: tuple[str, ...]
    """Names of the administrations and companies with the same number, in order."""
    reason: str = ""
    """A key of `SHARED_REASONS`; '': none given."""
    is_confirmed: bool = False
    """Whether each pair with the same number has a reason, or is linked as its continuation."""

    @property
    def message(self) -> str:
        return fill(_("Also used for %(names)s."), {"names": shorten_list(self.names)})


@dataclass(frozen=True)
class NumberUse:
    """The number of one chosen company, and the reason for sharing it."""

    name: str
    number: Number
    reason: str


def find_shared_numbers(flow: Flow, uses: Mapping[int, NumberUse]) -> dict[int, SharedNumber]:
    """Return the companies of the import that share their number, by id. `uses` holds all chosen companies
    with a number.
    """
    existing = _existing_administrations(flow, uses)
    ids_by_number: dict[Number, list[int]] = defaultdict(list)
    for company_id, use in uses.items():
        ids_by_number[use.number].append(company_id)
    shared: dict[int, SharedNumber] = {}
    for company_id, use in uses.items():
        earlier = existing.get(use.number, {})
        others = [uses[other] for other in ids_by_number[use.number] if other != company_id]
        if not earlier and not others:
            continue
        continuation = flow.succession_answers.get(company_id)
        is_linked = bool(continuation and continuation.continues and continuation.predecessor in earlier)
        is_confirmed = bool(use.reason) or (
            (is_linked or not earlier) and all(other.reason for other in others)
        )
        names = sorted({*earlier.values(), *(other.name for other in others)})
        shared[company_id] = SharedNumber(tuple(names), use.reason, is_confirmed)
    return shared


def _existing_administrations(flow: Flow, uses: Mapping[int, NumberUse]) -> dict[Number, dict[int, str]]:
    """Return the administrations with these numbers that the flow's member may see: names by id."""
    if not uses:
        return {}
    member = flow.membership
    actor = Actor(member.organisation_id, member.pk, member.user_id, "", Role(member.role))
    visible = Administration.objects.visible_to(actor).exclude(remote_company_id__in=list(uses))
    names_by_number: dict[Number, dict[int, str]] = defaultdict(dict)
    for administration in visible.filter(number__in={use.number[0] for use in uses.values()}):
        names_by_number[(administration.number, administration.number_scheme)][administration.pk] = (
            administration.name
        )
    return names_by_number
