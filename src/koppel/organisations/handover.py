"""What hangs on a person, told before they leave and handed to somebody else in one act.

Higher slices register what they know: connections that a person owns, administrations assigned to them, saved views."""

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership
from koppel.organisations.people import Access, access_of, change_access, member, refuse_out_of_reach
from koppel.organisations.policy import Actor, Permission, Role


@dataclass(frozen=True)
class Holding:
    """Something that a person holds. `consequence` says what becomes of it when nobody takes it over; '' = nothing stops."""

    label: str
    count: int
    url: str = ""
    consequence: str = ""


@dataclass(frozen=True)
class Keeper:
    """How a slice tells what a person holds and moves it. Both run in the caller's scope and transaction.

    `tell(actor, membership_id)`, no more than the actor may know; `move(actor, from_membership_id, to_membership_id)` gives how
    many moved. Access that ends in the same act has ended by then."""

    key: str
    label: str | Promise
    tell: Callable[[Actor, int], list[Holding]]
    move: Callable[[Actor, int, int], int]


_keepers: dict[str, Keeper] = {}


def register(keeper: Keeper) -> None:
    _keepers[keeper.key] = keeper


def holdings_of(actor: Actor, person: Membership) -> list[Holding]:
    """What this person holds, of every slice; what is none is left out."""
    told = (one for keeper in _keepers.values() for one in keeper.tell(actor, person.pk))
    return [one for one in told if one.count]


@transaction.atomic
def hand_over(actor: Actor, membership_id: int, to_membership_id: int, *, deactivate: bool) -> dict[str, int]:
    """Everything that one member holds goes to another; the access of the first may end in the same act.

    How many moved, by keeper. Raises `Refused`, and then nothing has moved."""
    actor.require(Permission.PEOPLE)
    leaver, heir = member(actor, membership_id), member(actor, to_membership_id)
    refuse_out_of_reach(actor, Role(leaver.role))
    if leaver.pk == heir.pk or not heir.is_live:
        raise Refused(_("Choose a colleague who has access to take it over."))
    if deactivate:
        now = access_of(leaver)
        change_access(actor, leaver.pk, Access(now.role, False, now.until, now.divisions))
    moved = {key: keeper.move(actor, leaver.pk, heir.pk) for key, keeper in _keepers.items()}
    details = {"to": str(heir.user), "moved": moved}
    subject = ("person", leaver.pk, str(leaver.user))
    record(actor.organisation_id, actor.audit, "person.handed_over", subject=subject, details=details)
    return moved
