"""What hangs on a person, told before they leave and handed to somebody else in one act.

Higher slices register what they know: connections that a person owns, administrations assigned to them, saved views."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.access.sessions import sessions_of
from koppel.organisations.errors import Refused
from koppel.organisations.models import ApiToken, Membership
from koppel.organisations.people.services import (
    Access,
    access_of,
    change_access,
    check_change,
    member,
    one_at_a_time,
    refuse_out_of_reach,
)
from koppel.organisations.roles import Actor, Permission, Role


@dataclass(frozen=True)
class Holding:
    """Something that a person holds. `consequence` says what becomes of it when nobody takes it over; '' = nothing stops."""

    label: str
    count: int
    url: str = ""
    consequence: str = ""


@dataclass(frozen=True)
class Moving:
    """Things of one kind that would go along: ids with their names, no name that the actor may not read."""

    key: str
    label: str
    items: list[tuple[int, str]]


@dataclass(frozen=True)
class Transfer:
    """What a hand-over does: `moving` goes from one to the other; with `deactivate` sessions end and tokens are revoked."""

    leaver: Membership
    heir: Membership
    deactivate: bool
    moving: list[Moving]
    sessions: int
    tokens: int

    @property
    def facts(self) -> list[object]:
        """All that it does, in no language."""
        return [
            self.leaver.pk, self.heir.pk, self.deactivate, self.sessions, self.tokens,
            [(kind.key, sorted(key for key, _name in kind.items)) for kind in self.moving],
        ]  # fmt: skip


@dataclass(frozen=True)
class Keeper:
    """How a slice tells what a person holds and moves it. All run in the caller's scope and transaction.

    `tell(actor, membership_id)`, no more than the actor may know; `move(actor, from_membership_id, to_membership_id)` gives how
    many moved. Access that ends in the same act has ended by then. `moving(actor, from_membership_id, to_membership_id,
    deactivate)` gives what `move` would."""

    key: str
    label: str | Promise
    tell: Callable[[Actor, int], list[Holding]]
    move: Callable[[Actor, int, int], int]
    moving: Callable[[Actor, int, int, bool], list[tuple[int, str]]]


_keepers: dict[str, Keeper] = {}


def register(keeper: Keeper) -> None:
    _keepers[keeper.key] = keeper


def holdings_of(actor: Actor, person: Membership) -> list[Holding]:
    """What this person holds, of every slice; what is none is left out."""
    told = (one for keeper in _keepers.values() for one in keeper.tell(actor, person.pk))
    return [one for one in told if one.count]


def preview(actor: Actor, membership_id: int, to_membership_id: int, *, deactivate: bool) -> Transfer:
    """What `hand_over` would do. Others who change access wait until the caller's transaction is over. Raises `Refused`."""
    actor.require(Permission.PEOPLE)
    one_at_a_time(actor)
    leaver, heir = _both(actor, membership_id, to_membership_id)
    if deactivate:
        check_change(actor, leaver.pk, _without_access(leaver))
    moving = [
        Moving(keeper.key, str(keeper.label), keeper.moving(actor, leaver.pk, heir.pk, deactivate))
        for keeper in _keepers.values()
    ]
    tokens = ApiToken.objects.filter(organisation_id=actor.organisation_id, membership=leaver, revoked_at=None)
    return Transfer(
        leaver, heir, deactivate, [kind for kind in moving if kind.items],
        len(sessions_of(leaver.user_id, actor.organisation_id)), tokens.count(),
    )  # fmt: skip


@transaction.atomic
def hand_over(
    actor: Actor, membership_id: int, to_membership_id: int, *, deactivate: bool, confirmed: Transfer | None = None
) -> dict[str, int]:
    """Everything that one member holds goes to another; the access of the first may end in the same act.

    How many moved, by keeper. Raises `Refused`, and then nothing has moved; also when it is not what was confirmed."""
    actor.require(Permission.PEOPLE)
    leaver, heir = _both(actor, membership_id, to_membership_id)
    if deactivate:
        change_access(actor, leaver.pk, _without_access(leaver))
    moved = {key: keeper.move(actor, leaver.pk, heir.pk) for key, keeper in _keepers.items()}
    if confirmed and {key: count for key, count in moved.items() if count} != {
        kind.key: len(kind.items) for kind in confirmed.moving
    }:
        raise Refused(_("Something has changed since you looked. Nothing was done yet: please look again."))
    details = {"to": str(heir.user), "moved": moved}
    subject = ("person", leaver.pk, str(leaver.user))
    record(actor.organisation_id, actor.audit, "person.handed_over", subject=subject, details=details)
    return moved


def _both(actor: Actor, membership_id: int, to_membership_id: int) -> tuple[Membership, Membership]:
    """Who hands over and who takes over. Raises `Refused`."""
    leaver, heir = member(actor, membership_id), member(actor, to_membership_id)
    refuse_out_of_reach(actor, Role(leaver.role))
    if leaver.pk == heir.pk or not heir.is_live:
        raise Refused(_("Choose a colleague who has access to take it over."))
    return leaver, heir


def _without_access(leaver: Membership) -> Access:
    now = access_of(leaver)
    return Access(now.role, False, now.until, now.divisions)
