"""Syncs of the whole firm for its dashboard and list: what is under way, and what changed in whose books."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count, Q

from koppel.administrations.hooks.extension_points import Change as Changed
from koppel.administrations.hooks.extension_points import UnderWay
from koppel.sync.models import OPEN_STATES, Change, Run, RunState, Trigger
from koppel.sync.progress.queries import progress_of


def under_way(organisation_id: int) -> Iterator[UnderWay]:
    """Every run that waits or runs; time left only of those that run, from their pace."""
    found = Run.objects.filter(organisation_id=organisation_id, state__in=OPEN_STATES)
    runs = list(found.values_list("administration_id", "trigger", "state"))
    running = [administration_id for administration_id, _trigger, state in runs if state == RunState.RUNNING]
    progress = progress_of(organisation_id, running)
    for administration_id, trigger, state in runs:
        left = progress[administration_id].seconds_left if administration_id in progress else None
        yield UnderWay(administration_id, trigger == Trigger.IMPORT, state == RunState.RUNNING, left)


def changes_since(organisation_id: int, since: datetime) -> Iterator[Changed]:
    """From the log of changes; the first complete read of a resource is its baseline and no change."""
    found = Change.objects.filter(organisation_id=organisation_id, at__gte=since).values("administration_id").order_by()
    counted = found.annotate(
        added=Count("id", filter=Q(kind="added")),
        altered=Count("id", filter=Q(kind="changed")),
        deleted=Count("id", filter=Q(kind="deleted")),
    )
    for row in counted.iterator():
        yield Changed(row["administration_id"], row["added"], row["altered"], row["deleted"])
