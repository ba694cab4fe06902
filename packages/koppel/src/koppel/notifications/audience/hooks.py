"""Whom an event concerns. Higher slices know which administrations a person sees, follows or is responsible for."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

SubjectRef = tuple[str, int | None]


@dataclass(frozen=True)
class VisibleAdministrations:
    """Of the administrations that an event touches: those the person may see, and of these the ones of the person's
    divisions and favourites."""

    visible: frozenset[int] = frozenset()
    divisions: frozenset[int] = frozenset()
    favourites: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Audience:
    """Whom the settings of an administration name for an event: beside who is responsible, or nobody at all."""

    is_silent: bool = False
    members: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Subject:
    """What an event is about, in words, and the one person who is responsible for it (None: nobody in particular).

    `administrations` are those it touches, by id, with their names."""

    name: str = ""
    responsible: int | None = None
    administrations: Mapping[int, str] = field(default_factory=dict)


UnrestrictedOf = Callable[[int, Collection[int], Collection[int]], Collection[int]]
VisibilityOf = Callable[[int, SubjectRef, Collection[int], Collection[int]], Mapping[int, VisibleAdministrations]]
Describe = Callable[[int, int], Subject]
FallbackRecipientsOf = Callable[[int, int, Collection[int]], Mapping[int, int | None]]
AudienceOf = Callable[[int, str, Collection[int]], Mapping[int, Audience]]

_visibility_providers: list[VisibilityOf] = []
_unrestricted_providers: list[UnrestrictedOf] = []
_audience_providers: list[AudienceOf] = []
_fallback_providers: list[FallbackRecipientsOf] = []
_describers: dict[str, Describe] = {}


def register_visibility(visible_administrations_of: VisibilityOf) -> None:
    """`reach_of(organisation_id, subject, administration_ids, membership_ids)`: by membership; who sees nothing is absent."""
    if visible_administrations_of not in _visibility_providers:
        _visibility_providers.append(visible_administrations_of)


def register_unrestricted(unrestricted: UnrestrictedOf) -> None:
    """`open_among(organisation_id, administration_ids, division_ids)`: those that are not for named people only; of these
    divisions, where any are given."""
    if unrestricted not in _unrestricted_providers:
        _unrestricted_providers.append(unrestricted)


def register_audience(audience_of: AudienceOf) -> None:
    """`audience_of(organisation_id, event, administration_ids)`: by administration; members no more than may see it."""
    if audience_of not in _audience_providers:
        _audience_providers.append(audience_of)


def register_fallback_recipients(fallback_recipients: FallbackRecipientsOf) -> None:
    """`named_instead(organisation_id, membership_id, administration_ids)`: those that do not exist for this member, each with
    somebody for whom it does (None: nobody is left)."""
    if fallback_recipients not in _fallback_providers:
        _fallback_providers.append(fallback_recipients)


def register_subject(kind: str, describe: Describe) -> None:
    """`describe(organisation_id, id)` tells about a thing of this kind, in scope."""
    _describers[kind] = describe


def visible_administrations_of(
    organisation_id: int, subject: SubjectRef, administration_ids: Collection[int], membership_ids: Collection[int]
) -> dict[int, VisibleAdministrations]:
    results: dict[int, VisibleAdministrations] = {}
    for provider in _visibility_providers:
        results.update(provider(organisation_id, subject, administration_ids, membership_ids))
    return results


def unrestricted(
    organisation_id: int, administration_ids: Collection[int], division_ids: Collection[int] = ()
) -> frozenset[int]:
    """Those of which a program of the organisation may be told, or one that is for some divisions only."""
    return frozenset(
        key
        for provider in _unrestricted_providers
        for key in provider(organisation_id, administration_ids, division_ids)
    )


def fallback_recipients(
    organisation_id: int, membership_id: int, administration_ids: Collection[int]
) -> dict[int, int | None]:
    results: dict[int, int | None] = {}
    for provider in _fallback_providers:
        results.update(provider(organisation_id, membership_id, administration_ids))
    return results


def audience_of(organisation_id: int, event: str, administration_ids: Collection[int]) -> dict[int, Audience]:
    results: dict[int, Audience] = {}
    for provider in _audience_providers:
        results.update(provider(organisation_id, event, administration_ids))
    return results


def subject_of(organisation_id: int, subject: SubjectRef) -> Subject:
    """Nobody and nothing for a kind that no slice knows: an Administrator is told then."""
    kind, subject_id = subject
    describe = _describers.get(kind)
    return describe(organisation_id, subject_id) if describe and subject_id is not None else Subject()
