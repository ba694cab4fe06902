"""The bulk action that syncs many administrations."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext_lazy, ngettext

from koppel.administrations.bulk import (
    BulkAction,
    BulkReason,
    CommonReason,
    NoParameters,
    Placement,
    PlannedChange,
)
from koppel.administrations.models import Administration, BulkValues, Status
from koppel.connections.models import Connection, ConnectionState
from koppel.kit import quarantine
from koppel.organisations.roles import Actor, Permission
from koppel.sync.audit_actions import SyncAction
from koppel.sync.models import OPEN_STATES, Run
from koppel.sync.runs.services import request_runs


class SyncReason(BulkReason):
    """The reasons why an administration cannot be synced."""

    SYNC_IN_PROGRESS = "sync_in_progress", gettext_lazy("A sync is already in progress.")
    REAUTH_REQUIRED = "reauth_required", gettext_lazy("Sign in again to the connection.")


NOT_SYNCABLE = (ConnectionState.NEEDS_REAUTH, ConnectionState.PAUSED, ConnectionState.REMOVED)


def plan_sync(
    actor: Actor, administrations: Sequence[Administration], params: Mapping[int, NoParameters]
) -> dict[int, PlannedChange]:
    """Return for each administration whether it can be synced.

    `params` has one entry per administration.
    """
    open_runs = Run.objects.for_actor(actor).filter(administration_id__in=list(params), state__in=OPEN_STATES)
    ids_with_open_run = set(open_runs.values_list("administration_id", flat=True))
    connections = Connection.objects.for_actor(actor).filter(state__in=NOT_SYNCABLE)
    unsyncable_connection_ids = set(connections.values_list("pk", flat=True))
    quarantined = CommonReason.QUARANTINED if quarantine.current() else None
    return {
        administration.pk: PlannedChange(
            quarantined or _reason_code(administration, ids_with_open_run, unsyncable_connection_ids)
        )
        for administration in administrations
    }


def start_syncs(actor: Actor, changes: Mapping[int, BulkValues]) -> None:
    """Queue a run for each administration in `changes`."""
    request_runs(actor, list(changes))


def _describe_started(count: int) -> str:
    text = ngettext(
        "Sync of %(count)d administration started.", "Sync of %(count)d administrations started.", count
    )
    return text % {"count": count}


def _reason_code(
    administration: Administration, ids_with_open_run: set[int], unsyncable_connection_ids: set[int]
) -> BulkReason | None:
    if administration.client_left_on:
        return CommonReason.CLIENT_LEFT
    if administration.status == Status.DEACTIVATED:
        return CommonReason.DEACTIVATED
    if administration.connection_id in unsyncable_connection_ids:
        return SyncReason.REAUTH_REQUIRED
    return SyncReason.SYNC_IN_PROGRESS if administration.pk in ids_with_open_run else None


SYNC_ACTION = BulkAction(
    code="sync",
    label=gettext_lazy("Sync"),
    icon="refresh-cw",
    permission=Permission.CHANGE_ADMINISTRATIONS,
    audit_action=SyncAction.BULK_SYNC_REQUESTED,
    command="sync",
    command_help="Queue a sync of administrations.",
    parameters=NoParameters,
    plan=plan_sync,
    execute=start_syncs,
    placement=Placement.BUTTON,
    describe_result=_describe_started,
    has_preview=False,
    reasons=SyncReason,
)
