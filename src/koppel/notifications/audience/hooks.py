"""Whom an event concerns. Higher slices know which administrations a person sees, follows or is responsible for."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

About = tuple[str, int | None]


@dataclass(frozen=True)
class Reach:
    """Of the administrations that an event touches: those the person may see, and of these the ones of the person's
    divisions and favourites."""

    seen: frozenset[int] = frozenset()
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


OpenAmong = Callable[[int, Collection[int], Collection[int]], Collection[int]]
ReachOf = Callable[[int, About, Collection[int], Collection[int]], Mapping[int, Reach]]
Describe = Callable[[int, int], Subject]
NamedInstead = Callable[[int, int, Collection[int]], Mapping[int, int | None]]
AudienceOf = Callable[[int, str, Collection[int]], Mapping[int, Audience]]

_reach_of: list[ReachOf] = []
_open_among: list[OpenAmong] = []
_audience_of: list[AudienceOf] = []
_named_instead: list[NamedInstead] = []
_describe: dict[str, Describe] = {}


def register_reach(reach_of: ReachOf) -> None:
    """`reach_of(organisation_id, about, administration_ids, membership_ids)`: by membership; who sees nothing is absent."""
    if reach_of not in _reach_of:
        _reach_of.append(reach_of)


def register_open(open_among: OpenAmong) -> None:
    """`open_among(organisation_id, administration_ids, division_ids)`: those that are not for named people only; of these
    divisions, where any are given."""
    if open_among not in _open_among:
        _open_among.append(open_among)


def register_audience(audience_of: AudienceOf) -> None:
    """`audience_of(organisation_id, event, administration_ids)`: by administration; members no more than may see it."""
    if audience_of not in _audience_of:
        _audience_of.append(audience_of)


def register_named_instead(named_instead: NamedInstead) -> None:
    """`named_instead(organisation_id, membership_id, administration_ids)`: those that do not exist for this member, each with
    somebody for whom it does (None: nobody is left)."""
    if named_instead not in _named_instead:
        _named_instead.append(named_instead)


def register_subject(kind: str, describe: Describe) -> None:
    """`describe(organisation_id, id)` tells about a thing of this kind, in scope."""
    _describe[kind] = describe


def reach_of(
    organisation_id: int, about: About, administration_ids: Collection[int], membership_ids: Collection[int]
) -> dict[int, Reach]:
    found: dict[int, Reach] = {}
    for one in _reach_of:
        found.update(one(organisation_id, about, administration_ids, membership_ids))
    return found


def open_among(
    organisation_id: int, administration_ids: Collection[int], division_ids: Collection[int] = ()
) -> frozenset[int]:
    """Those of which a program of the organisation may be told, or one that is for some divisions only."""
    return frozenset(found for one in _open_among for found in one(organisation_id, administration_ids, division_ids))


def named_instead(
    organisation_id: int, membership_id: int, administration_ids: Collection[int]
) -> dict[int, int | None]:
    found: dict[int, int | None] = {}
    for one in _named_instead:
        found.update(one(organisation_id, membership_id, administration_ids))
    return found


def audience_of(organisation_id: int, event: str, administration_ids: Collection[int]) -> dict[int, Audience]:
    found: dict[int, Audience] = {}
    for one in _audience_of:
        found.update(one(organisation_id, event, administration_ids))
    return found


def subject_of(organisation_id: int, about: About) -> Subject:
    """Nobody and nothing for a kind that no slice knows: an Administrator is told then."""
    kind, subject_id = about
    describe = _describe.get(kind)
    return describe(organisation_id, subject_id) if describe and subject_id is not None else Subject()
