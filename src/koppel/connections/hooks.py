"""What stands on a connection without this slice knowing it: administrations and their runs. Higher slices register."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet

from koppel.connections.models import RemoteCompany
from koppel.organisations.roles import Actor


class RemovalPolicy(StrEnum):
    """What becomes of the administrations of a connection that is removed. MOVE: those that another connection reaches go on
    through it, the others wait. WAIT: until another connection reaches them. DEACTIVATE: kept as they are, without syncs."""

    MOVE = "move"
    WAIT = "wait"
    DEACTIVATE = "deactivate"


class StopReason(StrEnum):
    """Why the runs of a connection stop. PAUSE: they wait. REMOVE: they are over."""

    PAUSE = "pause"
    REMOVE = "remove"


Settle = Callable[[Actor, int, RemovalPolicy], int]
Adopt = Callable[[Actor, int], int]
Stop = Callable[[int, int, StopReason], object]
Hidden = Callable[[Actor], Any]
HoldBack = Callable[[int, Sequence[int], str], object]
Interrupt = Callable[[int, Sequence[int]], object]
Release = Callable[[int, Sequence[int], str], object]
_hidden: list[Hidden] = []
_hold: list[HoldBack] = []
_interrupt: list[Interrupt] = []
_release: list[Release] = []
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


def register_hold(hold: HoldBack) -> None:
    """`hold(organisation_id, administration_ids, sentence)`: another company stands there, so these are blocked."""
    _hold[:] = [hold]


def register_interrupt(interrupt: Interrupt) -> None:
    """`interrupt(organisation_id, administration_ids)`: runs under way begin again, with the guard of the same company."""
    _interrupt[:] = [interrupt]


def register_release(release: Release) -> None:
    """`release(organisation_id, administration_ids, requested_by)`: these are the confirmed companies, and go on."""
    if release not in _release:
        _release.append(release)


def register_restricted(hidden: Hidden) -> None:
    """`hidden(actor)`: a query of the companies whose administration does not exist for the actor."""
    _hidden[:] = [hidden]


def exclude_restricted(actor: Actor, companies: "QuerySet[RemoteCompany]") -> "QuerySet[RemoteCompany]":
    """Those of which the actor may read the name."""
    for hidden in _hidden:
        companies = companies.exclude(pk__in=hidden(actor))
    return companies


def detach_administrations(actor: Actor, connection_id: int, policy: RemovalPolicy) -> int:
    return sum(hook(actor, connection_id, policy) for hook in _settle)


def attach_waiting(actor: Actor, connection_id: int) -> int:
    return sum(hook(actor, connection_id) for hook in _adopt)


def stop_runs(organisation_id: int, connection_id: int, reason: StopReason) -> None:
    for hook in _stop:
        hook(organisation_id, connection_id, reason)


def hold(organisation_id: int, administration_ids: Sequence[int], message: str) -> None:
    for callback in _hold:
        callback(organisation_id, administration_ids, message)


def interrupt(organisation_id: int, administration_ids: Sequence[int]) -> None:
    """Before anything else is locked: who ends a run locks it first, and its administration after that."""
    for callback in _interrupt:
        callback(organisation_id, administration_ids)


def release(organisation_id: int, administration_ids: Sequence[int], requested_by: str) -> None:
    for callback in _release:
        callback(organisation_id, administration_ids, requested_by)
