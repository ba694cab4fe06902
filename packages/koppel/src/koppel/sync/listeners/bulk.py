"""Sync many administrations at once, as one of the acts of bulk work."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext_lazy

from koppel.administrations.bulk import BulkAction, PlannedChange, Values
from koppel.administrations.models import Administration, Status
from koppel.connections.models import Connection, ConnectionState
from koppel.kit import quarantine
from koppel.organisations.roles import Actor, Permission
from koppel.sync.models import OPEN_STATES, Run
from koppel.sync.runs.services import request_runs

NOT_SYNCABLE = (ConnectionState.NEEDS_REAUTH, ConnectionState.PAUSED, ConnectionState.REMOVED)


def plan_sync(
    actor: Actor, administrations: Sequence[Administration], params: Mapping[int, Values]
) -> dict[int, PlannedChange]:
    running = {"organisation_id": actor.organisation_id}
    under_way = set(
        Run.objects.filter(**running, administration_id__in=list(params), state__in=OPEN_STATES).values_list(
            "administration_id", flat=True
        )
    )
    closed = set(Connection.objects.filter(**running, state__in=NOT_SYNCABLE).values_list("pk", flat=True))
    stopped = quarantine.CODE if quarantine.current() else ""
    return {
        administration.pk: PlannedChange(stopped or _reason_code(administration, under_way, closed))
        for administration in administrations
    }


def start_syncs(actor: Actor, changes: Mapping[int, Values]) -> None:
    request_runs(actor, list(changes))


def _reason_code(administration: Administration, under_way: set[int], closed: set[int]) -> str:
    if administration.client_left_on:
        return "client_left"
    if administration.status == Status.DEACTIVATED:
        return "deactivated"
    if administration.connection_id in closed:
        return "reauth_required"
    return "sync_in_progress" if administration.pk in under_way else ""


SYNC_ACTION = BulkAction(
    key="sync",
    label=gettext_lazy("Sync"),
    permission=Permission.CHANGE_ADMINISTRATIONS,
    audit_code="administrations.sync_requested",
    validate=lambda actor, params: {},
    plan=plan_sync,
    execute=start_syncs,
)
