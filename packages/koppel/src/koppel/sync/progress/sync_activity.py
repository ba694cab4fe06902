"""Sync activity of an organisation: open runs, and the administrations whose books changed."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Q

from koppel.administrations.hooks import ActiveSync, ChangeCounts
from koppel.sync.models import OPEN_STATES, Change, ChangeKind, Run, RunState, Trigger
from koppel.sync.progress.queries import progress_of


def active_syncs(organisation_id: int) -> Iterator[ActiveSync]:
    """Yield every open run, with the seconds left of those in progress."""
    queryset = Run.objects.in_organisation(organisation_id).filter(state__in=OPEN_STATES)
    runs = list(queryset.values_list("administration_id", "trigger", "state"))
    running = [administration_id for administration_id, _trigger, state in runs if state == RunState.RUNNING]
    progress = progress_of(organisation_id, running)
    for administration_id, trigger, state in runs:
        seconds_left = progress[administration_id].seconds_left if administration_id in progress else None
        yield ActiveSync(
            administration_id=administration_id,
            is_import=trigger == Trigger.IMPORT,
            is_running=state == RunState.RUNNING,
            seconds_left=seconds_left,
        )


def changes_since(organisation_id: int, since: datetime) -> list[ChangeCounts]:
    """Return the administrations with changes, most changes first.

    The first full read of a resource does not count as a change.
    """
    rows = (
        Change.objects.filter(organisation_id=organisation_id, at__gte=since)
        .values("administration_id")
        .order_by()
    )
    counted = rows.annotate(
        added=Count("id", filter=Q(kind=ChangeKind.ADDED)),
        altered=Count("id", filter=Q(kind=ChangeKind.CHANGED)),
        deleted=Count("id", filter=Q(kind=ChangeKind.DELETED)),
    )
    changes = [
        ChangeCounts(
            administration_id=row["administration_id"],
            added=row["added"],
            changed=row["altered"],
            deleted=row["deleted"],
        )
        for row in counted.iterator()
    ]
    return sorted(changes, key=lambda change: (-change.total, change.administration_id))
