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
    tenant = {"organisation_id": actor.organisation_id}
    running_ids = set(
        Run.objects.filter(**tenant, administration_id__in=list(params), state__in=OPEN_STATES).values_list(
            "administration_id", flat=True
        )
    )
    unusable_connection_ids = set(
        Connection.objects.filter(**tenant, state__in=NOT_SYNCABLE).values_list("pk", flat=True)
    )
    quarantine_code = quarantine.CODE if quarantine.current() else ""
    return {
        administration.pk: PlannedChange(
            quarantine_code or _reason_code(administration, running_ids, unusable_connection_ids)
        )
        for administration in administrations
    }


def start_syncs(actor: Actor, changes: Mapping[int, Values]) -> None:
    request_runs(actor, list(changes))


def _reason_code(administration: Administration, running_ids: set[int], unusable_connection_ids: set[int]) -> str:
    if administration.client_left_on:
        return "client_left"
    if administration.status == Status.DEACTIVATED:
        return "deactivated"
    if administration.connection_id in unusable_connection_ids:
        return "reauth_required"
    return "sync_in_progress" if administration.pk in running_ids else ""


SYNC_ACTION = BulkAction(
    key="sync",
    label=gettext_lazy("Sync"),
    permission=Permission.CHANGE_ADMINISTRATIONS,
    audit_code="administrations.sync_requested",
    validate=lambda actor, params: {},
    plan=plan_sync,
    execute=start_syncs,
)
