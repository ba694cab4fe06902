"""What stands on a connection without this slice knowing it: administrations and their runs. Higher slices register."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet

from koppel.connections.models import RemoteCompany
from koppel.organisations.policy import Actor


class Fate(StrEnum):
    """What becomes of the administrations of a connection that is removed. MOVE: those that another connection reaches go on
    through it, the others wait. WAIT: until another connection reaches them. DEACTIVATE: kept as they are, without syncs."""

    MOVE = "move"
    WAIT = "wait"
    DEACTIVATE = "deactivate"


class Halt(StrEnum):
    """Why the runs of a connection stop. PAUSE: they wait. REMOVE: they are over."""

    PAUSE = "pause"
    REMOVE = "remove"


Settle = Callable[[Actor, int, Fate], int]
Adopt = Callable[[Actor, int], int]
Stop = Callable[[int, int, Halt], object]
Hidden = Callable[[Actor], Any]
_hidden: list[Hidden] = []
_settle: list[Settle] = []
_adopt: list[Adopt] = []
_stop: list[Stop] = []


def register_dependants(settle: Settle, adopt: Adopt) -> None:
    """`settle(actor, connection_id, fate)` when a connection is removed; `adopt(actor, connection_id)` after a list of
    companies was kept: those that wait for a connection go on through this one. Both say how many."""
    _settle[:], _adopt[:] = [settle], [adopt]


def register_stop(stop: Stop) -> None:
    """`stop(organisation_id, connection_id, halt)`: runs of the connection end, keeping what they have read."""
    _stop[:] = [stop]


def register_hidden(hidden: Hidden) -> None:
    """`hidden(actor)`: a query of the companies whose administration does not exist for the actor."""
    _hidden[:] = [hidden]


def without_hidden(actor: Actor, companies: "QuerySet[RemoteCompany]") -> "QuerySet[RemoteCompany]":
    """Those of which the actor may read the name."""
    for hidden in _hidden:
        companies = companies.exclude(pk__in=hidden(actor))
    return companies


def settle(actor: Actor, connection_id: int, fate: Fate) -> int:
    return sum(act(actor, connection_id, fate) for act in _settle)


def adopt(actor: Actor, connection_id: int) -> int:
    return sum(act(actor, connection_id) for act in _adopt)


def stop_runs(organisation_id: int, connection_id: int, halt: Halt) -> None:
    for act in _stop:
        act(organisation_id, connection_id, halt)
