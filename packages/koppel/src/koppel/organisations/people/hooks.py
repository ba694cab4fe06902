"""Items that a member owns in higher apps: listed before the member leaves, and handed to a colleague."""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise

from koppel.kit.hooks import Registry
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class OwnedItem:
    """An item that a member owns. `consequence`: the effect of not handing it over; '' = none."""

    label: str
    count: int
    url: str = ""
    consequence: str = ""


@dataclass(frozen=True, kw_only=True)
class OwnershipProvider:
    """Lists and moves one kind of owned item.

    All functions run in the caller's scope and transaction; an exception rolls the transaction back.
    """

    label: str | Promise
    list_owned: Callable[[Actor, int], list[OwnedItem]]
    """`list_owned(actor, membership_id)` returns only what the actor may see."""
    move: Callable[[Actor, int, int], int]
    """`move(actor, departing_member_id, successor_id)` returns the number moved. Access that ends in the same
    action has ended by then.
    """
    preview: Callable[[Actor, int, int, bool], list[tuple[int, str]]]
    """`preview(actor, departing_member_id, successor_id, deactivate)` returns id and name of the objects that
    `move` would move.
    """


ownership_providers = Registry[OwnershipProvider]()
"""Providers by their kind: connections, assignments, saved views."""
