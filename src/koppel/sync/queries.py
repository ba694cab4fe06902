"""Reads of runs: what is under way, how far, and what the last ones did."""

from collections.abc import Sequence
from dataclasses import dataclass

from koppel.administrations.models import Administration
from koppel.administrations.panels import Progress
from koppel.sync.models import Checkpoint, Run, RunResource
from koppel.sync.progress import progress_of_runs


@dataclass(frozen=True)
class ResourceLine:
    """One resource on the Sync tab: how it stands and what the newest run did to it. `rows` are in the books now."""

    key: str
    checkpoint: Checkpoint | None
    part: RunResource | None


def progress_of(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, Progress]:
    """By administration; those without an open run are absent."""
    found = progress_of_runs(organisation_id, administration_ids)
    return {
        key: Progress(one.percent, one.resource, one.done, one.expected, one.seconds_left) for key, one in found.items()
    }


def newest_run(administration: Administration) -> Run | None:
    found = Run.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    return found.order_by("-created_at", "-pk").prefetch_related("parts").first()


def recent_runs(administration: Administration, limit: int = 20) -> list[Run]:
    found = Run.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    return list(found.order_by("-created_at", "-pk").prefetch_related("parts")[:limit])


def resource_lines(administration: Administration, run: Run | None) -> list[ResourceLine]:
    """In the order of the newest run."""
    found = Checkpoint.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    checkpoints = {one.resource: one for one in found}
    parts = {one.resource: one for one in sorted(run.parts.all(), key=lambda part: part.position)} if run else {}
    keys = [*parts, *(key for key in checkpoints if key not in parts)]
    return [ResourceLine(key, checkpoints.get(key), parts.get(key)) for key in keys]
