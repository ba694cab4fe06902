"""Queries of runs: the open ones, their progress, and the results of earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from koppel.administrations.effective_settings import effective_settings
from koppel.administrations.hooks import SyncProgress
from koppel.administrations.models import Administration, Status
from koppel.connections.queries import reconnect_hint
from koppel.sync.models import Checkpoint, Run, RunResource, Trigger
from koppel.sync.progress.run_progress import progress_of_runs, to_sync_progress
from koppel.sync.runs.schedule import next_moment, offset_of


@dataclass(frozen=True)
class ResourceLine:
    """A resource on the Sync tab: its status, and the result of the newest run that read it."""

    key: str
    checkpoint: Checkpoint | None
    run_resource: RunResource | None


@dataclass(frozen=True)
class RunTotals:
    """A run with what it did to all resources together."""

    run: Run
    added: int
    changed: int
    deleted: int

    @property
    def by_person(self) -> str:
        """Return who asked for the run; '' when the schedule did."""
        return "" if self.run.trigger == Trigger.SCHEDULE else self.run.requested_by


def run_totals(run: Run) -> RunTotals:
    """Return the totals of a run whose resources were fetched with it."""
    resources = list(run.run_resources.all())
    return RunTotals(
        run,
        sum(resource.added for resource in resources),
        sum(resource.changed for resource in resources),
        sum(resource.deleted for resource in resources),
    )


def progress_of(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, SyncProgress]:
    """Return the progress by administration; those without an open run are absent."""
    runs = progress_of_runs(organisation_id, administration_ids)
    return {key: to_sync_progress(run) for key, run in runs.items()}


def recent_runs(administration: Administration, limit: int = 20) -> list[Run]:
    """Return the runs, newest first, each with its resources."""
    runs = Run.objects.in_organisation(administration.organisation_id).filter(administration=administration)
    return list(runs.order_by("-created_at", "-pk").prefetch_related("run_resources")[:limit])


def newest_runs(
    organisation_id: int, administration_ids: Sequence[int], trigger: Trigger | None = None
) -> dict[int, Run]:
    """Return the newest run, or the newest with this trigger, by administration; those without are absent."""
    runs = Run.objects.in_organisation(organisation_id).filter(administration_id__in=administration_ids)
    if trigger is not None:
        runs = runs.filter(trigger=trigger)
    newest = runs.order_by("administration_id", "-created_at", "-pk").distinct("administration_id")
    return {run.administration_id: run for run in newest}


def checkpoints_of(administration: Administration) -> dict[str, Checkpoint]:
    """Return the checkpoints by resource, in the order of the keys.

    A resource that was never read is absent.
    """
    checkpoints = Checkpoint.objects.in_organisation(administration.organisation_id).filter(
        administration=administration
    )
    return {checkpoint.resource: checkpoint for checkpoint in checkpoints.order_by("resource")}


def next_scheduled(administration: Administration) -> datetime | None:
    """Return the time of the next scheduled run.

    None when the schedule is off or the administration cannot be synced.
    """
    if administration.status != Status.ACTIVE:
        return None
    if reconnect_hint(administration.connection, administration.remote_company):
        return None
    schedule, offset = effective_settings(administration).schedule, offset_of(administration.pk)
    return next_moment(schedule, timezone.now(), offset, timezone.get_default_timezone())


def resource_lines(administration: Administration, runs: Sequence[Run]) -> list[ResourceLine]:
    """Return each resource with the counts of the newest run that read it.

    A run of some resources leaves the counts of the others unchanged. `runs` is sorted newest first; the
    result follows the order of the run with the most resources.
    """
    checkpoints = checkpoints_of(administration)
    run_resources: dict[str, RunResource] = {}
    for run in runs:
        for run_resource in run.run_resources.all():
            run_resources.setdefault(run_resource.resource, run_resource)
    widest = max((list(run.run_resources.all()) for run in runs), key=len, default=[])
    order = {run_resource.resource: run_resource.position for run_resource in widest}
    keys = sorted({*run_resources, *checkpoints}, key=lambda key: (order.get(key, len(order)), key))
    return [ResourceLine(key, checkpoints.get(key), run_resources.get(key)) for key in keys]
