"""The bulk action that syncs many administrations."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext_lazy

from koppel.administrations.bulk import BulkAction, PlannedChange, Values
from koppel.administrations.models import Administration, Status
from koppel.connections.models import Connection, ConnectionState
from koppel.kit import quarantine
from koppel.organisations.roles import Actor, Permission
from koppel.sync.audit_actions import SyncAction
from koppel.sync.models import OPEN_STATES, Run
from koppel.sync.runs.services import request_runs

NOT_SYNCABLE = (ConnectionState.NEEDS_REAUTH, ConnectionState.PAUSED, ConnectionState.REMOVED)


def plan_sync(
    actor: Actor, administrations: Sequence[Administration], params: Mapping[int, Values]
) -> dict[int, PlannedChange]:
    """Say for each administration whether it can be synced. `params` has one entry per administration."""
    tenant = {"organisation_id": actor.organisation_id}
    open_runs = Run.objects.filter(**tenant, administration_id__in=list(params), state__in=OPEN_STATES)
    ids_with_open_run = set(open_runs.values_list("administration_id", flat=True))
    connections = Connection.objects.filter(**tenant, state__in=NOT_SYNCABLE)
    unsyncable_connection_ids = set(connections.values_list("pk", flat=True))
    quarantine_code = quarantine.CODE if quarantine.current() else ""
    return {
        administration.pk: PlannedChange(
            quarantine_code or _reason_code(administration, ids_with_open_run, unsyncable_connection_ids)
        )
        for administration in administrations
    }


def start_syncs(actor: Actor, changes: Mapping[int, Values]) -> None:
    """Queue a run for each administration in `changes`."""
    request_runs(actor, list(changes))


def _reason_code(
    administration: Administration, ids_with_open_run: set[int], unsyncable_connection_ids: set[int]
) -> str:
    if administration.client_left_on:
        return "client_left"
    if administration.status == Status.DEACTIVATED:
        return "deactivated"
    if administration.connection_id in unsyncable_connection_ids:
        return "reauth_required"
    return "sync_in_progress" if administration.pk in ids_with_open_run else ""


SYNC_ACTION = BulkAction(
    key="sync",
    label=gettext_lazy("Sync"),
    permission=Permission.CHANGE_ADMINISTRATIONS,
    audit_action=SyncAction.BULK_SYNC_REQUESTED,
    validate=lambda actor, params: {},
    plan=plan_sync,
    execute=start_syncs,
    reasons={
        "sync_in_progress": gettext_lazy("A sync is under way already."),
        "reauth_required": gettext_lazy("Its connection needs you to sign in again."),
    },
)
