"""Ask for a reason where a number is also used for another administration, imported or in this import.

One company may keep several administrations, so the number is not refused: a person confirms it.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.kit.web.sentences import fill, shorten_list
from koppel.onboarding.models import Flow
from koppel.organisations.roles import Actor, Role

NAMES_MAX = 20
"""The most names of others with one number."""
Number = tuple[str, str]
"""A number in normal form, and its scheme."""


@dataclass(frozen=True, kw_only=True)
class SharedNumber:
    """The other users of a company's number."""

    names: tuple[str, ...]
    """Names of the administrations and companies with the same number, in order."""
    reason: str = ""
    """A key of `administrations.identity.shared_numbers.SHARED_REASONS`; '': none given."""
    is_confirmed: bool = False
    """Whether each pair with the same number has a reason, or is linked as its continuation."""

    @property
    def message(self) -> str:
        return fill(_("Also used for %(names)s"), {"names": shorten_list(self.names)})


@dataclass(frozen=True, kw_only=True)
class NumberUse:
    """The number of one chosen company, and the reason for sharing it."""

    name: str
    external_id: str
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
    for number, company_ids in ids_by_number.items():
        earlier = existing.get(number, {})
        if not earlier and len(company_ids) == 1:
            continue
        listed = sorted(company_ids, key=lambda company_id: uses[company_id].name)[: NAMES_MAX + 1]
        unexplained = sum(not uses[company_id].reason for company_id in company_ids)
        for company_id in company_ids:
            use = uses[company_id]
            others = [uses[other].name for other in listed if other != company_id]
            continuation = flow.succession_answers.get(company_id)
            is_linked = bool(continuation and continuation.continues and continuation.predecessor in earlier)
            # Without a reason of its own, each of the others needs one, and an earlier one a link.
            is_explained_by_others = unexplained == 1 and (is_linked or not earlier)
            shared[company_id] = SharedNumber(
                names=tuple(sorted({*earlier.values(), *others})[:NAMES_MAX]),
                reason=use.reason,
                is_confirmed=bool(use.reason) or is_explained_by_others,
            )
    return shared


def _existing_administrations(flow: Flow, uses: Mapping[int, NumberUse]) -> dict[Number, dict[int, str]]:
    """Return the administrations with these numbers that the flow's member may see, except those of these
    companies themselves, which another account may have imported: names by id.
    """
    if not uses:
        return {}
    member = flow.membership
    actor = Actor(
        organisation_id=member.organisation_id,
        membership_id=member.pk,
        user_id=member.user_id,
        name="",
        role=Role(member.role),
    )
    visible = Administration.objects.visible_to(actor).filter(
        number__in={use.number[0] for use in uses.values()}
    )
    company_ids = {use.external_id for use in uses.values()}
    names_by_number: dict[Number, dict[int, str]] = defaultdict(dict)
    for administration_id, name, number, scheme, connector, external_id in visible.values_list(
        "pk",
        "name",
        "number",
        "number_scheme",
        "remote_company__connection__connector",
        "remote_company__external_id",
    ):
        if connector != flow.connector or external_id not in company_ids:
            names_by_number[(number, scheme)][administration_id] = name
    return names_by_number
