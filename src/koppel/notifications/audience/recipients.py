"""Who is told of an event: one responsible person or a stand-in, and those who asked. Being assigned subscribes nobody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.notifications.audience.hooks import Audience, Reach, audience_of, named_instead, reach_of
from koppel.notifications.event_types import entry_of
from koppel.notifications.models import Arrangement, Because, Channel, Happening, Preference, Scope
from koppel.organisations.models import Membership
from koppel.organisations.roles import Role

HOPS_MAX = 3
"""Somebody who stands in may be away as well."""


@dataclass
class Recipient:
    """`seen` None: the person is responsible and is told of everything that the event touches."""

    membership_id: int
    because: Because
    channels: set[Channel] = field(default_factory=set)
    seen: frozenset[int] | None = None


def recipients_of(happening: Happening) -> list[Recipient]:
    """The responsible one first, unless the settings of all that it touches tell nobody; then whom they name, then who asked.
    In scope."""
    organisation_id, event = happening.organisation_id, happening.event
    touched = frozenset(int(one) for one in happening.administrations)
    audiences = audience_of(organisation_id, event, touched) if entry_of(event).by_administration and touched else {}
    silent = frozenset(key for key, audience in audiences.items() if audience.is_silent)
    first, because = stand_in_for(organisation_id, happening.responsible_id)
    found: dict[int, Recipient] = {}
    if first and (not touched or silent != touched):
        found = {one.membership_id: one for one in _responsible(happening, first, because, touched - silent)}
    responsible = frozenset(found)
    for one in [*_named_by_settings(happening, audiences), *_followers(happening)]:
        there = found.setdefault(one.membership_id, one)
        if there is not one and there.membership_id not in responsible:
            there.channels |= one.channels
            there.seen = (there.seen or frozenset()) | (one.seen or frozenset())
    return list(found.values())


def _responsible(happening: Happening, first: int, because: Because, touched: frozenset[int]) -> list[Recipient]:
    """Who is responsible; of what does not exist for that person, somebody named on it instead. Of what nobody is named on any
    more, the responsible one is told without its name: nothing happens unheard."""
    organisation_id, event = happening.organisation_id, happening.event
    instead = named_instead(organisation_id, first, touched) if touched else {}
    shown = touched - instead.keys()
    found = []
    if shown or not touched or None in instead.values():
        own = responsible_recipient(organisation_id, event, first, because)
        own.seen = None if len(shown) == len(happening.administrations) else shown
        found.append(own)
    for member in sorted({member for member in instead.values() if member is not None}):
        other = responsible_recipient(organisation_id, event, member, Because.RESPONSIBLE)
        other.seen = frozenset(key for key, named in instead.items() if named == member)
        found.append(other)
    return found


def _named_by_settings(happening: Happening, audiences: Mapping[int, Audience]) -> list[Recipient]:
    """On screen and by mail; mail that a person silenced stays silent."""
    seen: dict[int, set[int]] = {}
    for administration, audience in audiences.items():
        for member in audience.members:
            seen.setdefault(member, set()).add(administration)
    present = here(happening.organisation_id).filter(pk__in=seen).order_by("pk").values_list("pk", flat=True)
    chosen = scopes_of(happening.organisation_id, happening.event, seen)
    found = []
    for member in present:
        silenced = chosen.get((member, Channel.MAIL)) == Scope.NONE
        channels = {Channel.SCREEN} if silenced else {Channel.SCREEN, Channel.MAIL}
        found.append(Recipient(member, Because.SETTINGS, channels, frozenset(seen[member])))
    return found


def responsible_recipient(organisation_id: int, event: str, membership_id: int, because: Because) -> Recipient:
    """On screen always: a person may silence mail, not hide what only he or she is told."""
    scope = scopes_of(organisation_id, event, [membership_id]).get((membership_id, Channel.MAIL), Scope.MINE)
    channels = {Channel.SCREEN} if scope == Scope.NONE else {Channel.SCREEN, Channel.MAIL}
    return Recipient(membership_id, because, channels)


def stand_in_for(organisation_id: int, membership_id: int | None) -> tuple[int | None, Because]:
    """The person, or who acts instead: the chosen stand-in of somebody who is away or gone, else an Administrator."""
    seen: set[int] = set()
    now_at = membership_id
    for _hop in range(HOPS_MAX):
        if now_at is None or now_at in seen:
            break
        seen.add(now_at)
        arrangement = Arrangement.objects.filter(organisation_id=organisation_id, membership_id=now_at).first()
        if _is_here(organisation_id, now_at) and not _is_away(arrangement):
            return now_at, Because.RESPONSIBLE if now_at == membership_id else Because.STAND_IN
        now_at = arrangement.stand_in_id if arrangement else None
    administrators = here(organisation_id).filter(role=Role.ADMINISTRATOR).order_by("pk")
    return administrators.values_list("pk", flat=True).first(), Because.STAND_IN


def here(organisation_id: int) -> "QuerySet[Membership]":
    """Members who may sign in today."""
    own = Membership.objects.filter(organisation_id=organisation_id, is_active=True, user__is_active=True)
    return own.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


def scopes_of(
    organisation_id: int, event: str, membership_ids: Iterable[int] | None = None
) -> dict[tuple[int, str], str]:
    """(membership, channel) to the chosen scope; who chose nothing is absent."""
    own = Preference.objects.filter(organisation_id=organisation_id, event=event)
    if membership_ids is not None:
        own = own.filter(membership_id__in=list(membership_ids))
    return {(one.membership_id, one.channel): one.scope for one in own}


def _followers(happening: Happening) -> list[Recipient]:
    asked = {
        key: scope
        for key, scope in scopes_of(happening.organisation_id, happening.event).items()
        if scope not in (Scope.NONE, Scope.MINE)
    }
    present = set(here(happening.organisation_id).filter(pk__in={key[0] for key in asked}).values_list("pk", flat=True))
    about = (happening.about_kind, happening.about_id)
    touched = [int(one) for one in happening.administrations]
    reached = reach_of(happening.organisation_id, about, touched, present) if present else {}
    found: dict[int, Recipient] = {}
    for (member, channel), scope in sorted(asked.items()):
        mine = _part(reached.get(member, Reach()), scope)
        if mine and member in present:
            one = found.setdefault(member, Recipient(member, Because.FOLLOWS, seen=frozenset()))
            one.channels.add(Channel(channel))
            one.seen = (one.seen or frozenset()) | mine
    return list(found.values())


def _part(reach: Reach, scope: str) -> frozenset[int]:
    if scope == Scope.ALL:
        return reach.seen
    return reach.favourites | reach.divisions if scope == Scope.DIVISIONS else reach.favourites


def _is_here(organisation_id: int, membership_id: int) -> bool:
    return here(organisation_id).filter(pk=membership_id).exists()


def _is_away(arrangement: Arrangement | None) -> bool:
    return bool(arrangement and arrangement.away_until and arrangement.away_until >= timezone.localdate())
