"""What a person holds in higher apps: shown before they leave, and handed to a colleague."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise

from koppel.kit.hooks import Registry
from koppel.organisations.roles import Actor


@dataclass(frozen=True)
class OwnedItem:
    """Something that a person holds. `consequence`: what happens when it is not handed over; '' = nothing
    stops.
    """

    label: str
    count: int
    url: str = ""
    consequence: str = ""


@dataclass(frozen=True)
class OwnershipProvider:
    """How an app lists and moves what a person holds.

    All run in the caller's scope and transaction, which an exception rolls back. `list_owned(actor,
    membership_id)` returns no more than the actor may know. `move(actor, from_membership_id,
    to_membership_id)` returns the number moved; access that ends in the same action has ended by then.
    `moving(actor, from_membership_id, to_membership_id, deactivate)` returns what `move` would.
    """

    label: str | Promise
    list_owned: Callable[[Actor, int], list[OwnedItem]]
    move: Callable[[Actor, int, int], int]
    moving: Callable[[Actor, int, int, bool], list[tuple[int, str]]]


ownership_providers = Registry[OwnershipProvider]()
"""By what they move: connections, assignments, saved views."""
