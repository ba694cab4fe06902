"""Reads of runs: what is under way, how far, and what the last ones did."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.administrations.panels import Progress
from koppel.sync.models import OPEN_STATES, Checkpoint, ResourceState, Run, RunResource

WEIGHTS = {"entries": 60, "balances": 12, "contacts": 8}
WEIGHT_DEFAULT = 3
OVER = (ResourceState.DONE, ResourceState.SKIPPED, ResourceState.FAILED)


@dataclass(frozen=True)
class ResourceLine:
    """One resource on the Sync tab: how it stands and what the newest run did to it. `rows` are in the books now."""

    key: str
    checkpoint: Checkpoint | None
    part: RunResource | None


def progress_of(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, Progress]:
    """By administration; those without an open run are absent. Percent is weighed: entries take most of the time."""
    runs = Run.objects.filter(
        organisation_id=organisation_id, administration_id__in=list(administration_ids), state__in=OPEN_STATES
    ).prefetch_related("parts")
    return {run.administration_id: _progress(run) for run in runs}


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


def _progress(run: Run) -> Progress:
    parts = sorted(run.parts.all(), key=lambda part: part.position)
    current = next((one for one in parts if one.state == ResourceState.RUNNING), None)
    current = current or next((one for one in parts if one.state == ResourceState.WAITING), None)
    total = sum(WEIGHTS.get(one.resource, WEIGHT_DEFAULT) for one in parts)
    done = sum(WEIGHTS.get(one.resource, WEIGHT_DEFAULT) * _share(one) for one in parts)
    percent = int(100 * done / total) if total else 0
    if current is None:
        return Progress(percent if parts else None, "", 0)
    return Progress(percent, current.resource, _read(current), current.expected_total, _seconds_left(run, percent))


def _read(part: RunResource) -> int:
    return part.lines or part.rows


def _share(part: RunResource) -> float:
    if part.state in OVER:
        return 1.0
    return min(0.99, _read(part) / part.expected_total) if part.expected_total else 0.0


def _seconds_left(run: Run, percent: int) -> int | None:
    """From the pace so far; None until there is one."""
    if run.started_at is None or percent < 5:
        return None
    elapsed = (timezone.now() - run.started_at).total_seconds()
    return round(elapsed * (100 - percent) / percent)
