"""Sync many administrations at once, as one of the acts of bulk work."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext_lazy

from koppel.administrations.bulk.actions import Act, Values, Verdict, register_act
from koppel.administrations.models import Administration, Status
from koppel.connections.models import Connection, ConnectionState
from koppel.kit import quarantine
from koppel.organisations.roles import Actor, Permission
from koppel.sync.models import OPEN_STATES, Run
from koppel.sync.runs.services import request_runs

CANNOT = (ConnectionState.NEEDS_REAUTH, ConnectionState.PAUSED, ConnectionState.REMOVED)


def judge(actor: Actor, found: Sequence[Administration], asked: Mapping[int, Values]) -> dict[int, Verdict]:
    own = {"organisation_id": actor.organisation_id}
    under_way = set(
        Run.objects.filter(**own, administration_id__in=list(asked), state__in=OPEN_STATES).values_list(
            "administration_id", flat=True
        )
    )
    closed = set(Connection.objects.filter(**own, state__in=CANNOT).values_list("pk", flat=True))
    stopped = quarantine.CODE if quarantine.current() else ""
    return {one.pk: Verdict(stopped or _why_not(one, under_way, closed)) for one in found}


def perform(actor: Actor, wanted: Mapping[int, Values]) -> None:
    request_runs(actor, list(wanted))


def register() -> None:
    register_act(
        Act(
            key="sync",
            label=gettext_lazy("Sync"),
            permission=Permission.CHANGE_ADMINISTRATIONS,
            audit="administrations.sync_requested",
            check=lambda actor, asked: {},
            judge=judge,
            perform=perform,
        )
    )


def _why_not(one: Administration, under_way: set[int], closed: set[int]) -> str:
    if one.left_on:
        return "left"
    if one.status == Status.DEACTIVATED:
        return "deactivated"
    if one.connection_id in closed:
        return "sign_in"
    return "under_way" if one.pk in under_way else ""
