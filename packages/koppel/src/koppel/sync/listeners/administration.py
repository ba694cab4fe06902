"""Sync hooks for the life cycle of administrations: stop runs, erase sync data."""

from collections.abc import Sequence

from django.db.models import F
from django.utils import timezone

from koppel.sync.models import (
    OPEN_STATES,
    Change,
    Checkpoint,
    NormalisationState,
    ReadKey,
    RejectedRecord,
    Run,
    RunReason,
    RunResource,
    RunState,
)

ERASE_BATCH_SIZE = 20_000


def stop_syncs(organisation_id: int, administration_ids: Sequence[int]) -> int:
    """Cancel the open runs.

    A worker that is executing one finds out at its next page.
    """
    runs = Run.objects.in_organisation(organisation_id).filter(
        administration_id__in=list(administration_ids), state__in=OPEN_STATES
    )
    return runs.update(
        state=RunState.CANCELLED,
        attempt=F("attempt") + 1,
        finished_at=timezone.now(),
        reason_code=RunReason.STOPPED,
        reason="",
    )


def erase_sync_data(organisation_id: int, administration_id: int) -> bool:
    """Erase changes, rejected records, checkpoints and runs in batches.

    Returns whether there may be more.
    """
    of_administration = {"organisation_id": organisation_id, "administration_id": administration_id}
    changes = Change.objects.filter(**of_administration)
    if (
        changes.filter(pk__in=list(changes.values_list("pk", flat=True)[:ERASE_BATCH_SIZE])).delete()[0]
        >= ERASE_BATCH_SIZE
    ):
        return True
    ReadKey.objects.filter(**of_administration).delete()
    for model in (RejectedRecord, Checkpoint, NormalisationState):
        model._default_manager.filter(**of_administration).delete()
    RunResource.objects.in_organisation(organisation_id).filter(
        run__administration_id=administration_id
    ).delete()
    Run.objects.in_organisation(organisation_id).filter(administration_id=administration_id).delete()
    return False
