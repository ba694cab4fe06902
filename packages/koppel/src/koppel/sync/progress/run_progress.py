"""The progress of a run and the time it will take.

The expected duration of a resource is that of the administration's last finished run. For a first run it is
that of other administrations of the organisation, per row if the vendor states a total. The pace of the
current run corrects the estimate.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection as django_connection

from koppel.administrations.hooks import SyncProgress
from koppel.connector.contract import ReadMode
from koppel.kit.clock import now
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import OPEN_STATES, ResourceState, Run, RunResource, RunState

FINISHED_STATES = (ResourceState.DONE, ResourceState.SKIPPED, ResourceState.FAILED)
DEFAULT_SECONDS = {"entries": 12.0, "balances": 3.0, "contacts": 1.5}
DEFAULT_SECONDS_OTHER_RESOURCES = 0.5
"""Used without any history: the first run of the first administration."""
MAX_FRACTION_WHILE_RUNNING = 0.97
PACE_FROM_SECONDS = 3.0
PACE_LIMITS = (0.2, 10.0)
RECENT_RUNS = 200
_SQL = load_statements("koppel.sync")
_STATES = {"succeeded": RunState.SUCCEEDED, "done": ResourceState.DONE, "full": ReadMode.FULL}


@dataclass(frozen=True)
class ResourceProgress:
    """One resource of a run."""

    resource: str
    state: str
    done: int
    """The rows that were read (entry lines for entries)."""
    expected: int | None
    """The rows that the source states; None: it states no total."""
    pages: int
    percent: int
    seconds_left: int | None


@dataclass(frozen=True)
class RunProgress:
    """An open run."""

    run_id: int
    administration_id: int
    state: str
    trigger: str
    requested_at: datetime
    started_at: datetime | None
    waits_until: datetime | None
    """Until then the run waits for the vendor."""
    reason: str
    """Why the run waits."""
    percent: int | None
    """None before the run begins, or when no estimate exists."""
    seconds_left: int | None
    """None before the run begins, or when no estimate exists."""
    resource: str
    """The resource that is being read now; '' before the first."""
    done: int
    expected: int | None
    rows: int
    pages: int
    resources: tuple[ResourceProgress, ...]


@dataclass(frozen=True)
class Throughput:
    """The average duration of a resource: a whole read, and each row of it."""

    seconds: float
    seconds_per_row: float | None


@dataclass(frozen=True)
class DurationHistory:
    """Durations of earlier runs: of these administrations by (administration, resource), of the organisation
    by resource.
    """

    of_administration: Mapping[tuple[int, str], float]
    of_resource: Mapping[str, Throughput]


def progress_of_runs(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, RunProgress]:
    """Return the progress by administration, in four queries; those without an open run are absent."""
    queryset = Run.objects.in_organisation(organisation_id).filter(
        administration_id__in=list(administration_ids), state__in=OPEN_STATES
    )
    runs = list(queryset.prefetch_related("run_resources"))
    if not runs:
        return {}
    history = _duration_history(organisation_id, [run.administration_id for run in runs])
    at = now()
    return {
        run.administration_id: _progress_of_run(run, list(run.run_resources.all()), history, at)
        for run in runs
    }


def to_sync_progress(run: RunProgress) -> SyncProgress:
    """Return what pages of administrations show of it."""
    return SyncProgress(run.percent, run.resource, run.done, run.expected, run.seconds_left)


def _progress_of_run(
    run: Run, run_resources: Iterable[RunResource], history: DurationHistory, at: datetime
) -> RunProgress:
    """Return the progress of a run at a moment: percent, seconds left and each resource."""
    ordered = sorted(run_resources, key=lambda run_resource: run_resource.position)
    expected = {
        run_resource.resource: _expected_seconds(run, run_resource, history) for run_resource in ordered
    }
    fractions = {
        run_resource.resource: _completed_fraction(run_resource, expected[run_resource.resource], at)
        for run_resource in ordered
    }
    total = sum(expected.values())
    completed_seconds = sum(expected[key] * fractions[key] for key in expected)
    factor = _pace_factor(run, completed_seconds, at)
    current = _current_resource(ordered)
    waits_until = run.not_before if run.not_before and run.not_before > at else None
    remaining_seconds = (total - completed_seconds) * factor + (
        (waits_until - at).total_seconds() if waits_until else 0
    )
    return RunProgress(
        run_id=run.pk,
        administration_id=run.administration_id,
        state=run.state,
        trigger=run.trigger,
        requested_at=run.created_at,
        started_at=run.started_at,
        waits_until=waits_until,
        reason=run.reason if waits_until else "",
        percent=min(99, int(100 * completed_seconds / total)) if total else None,
        seconds_left=round(remaining_seconds) if total else None,
        resource=current.resource if current else "",
        done=_rows_read(current) if current else 0,
        expected=current.expected_total if current else None,
        rows=sum(_rows_read(run_resource) for run_resource in ordered),
        pages=sum(run_resource.pages for run_resource in ordered),
        resources=tuple(
            _resource_progress(
                run_resource, fractions[run_resource.resource], expected[run_resource.resource] * factor
            )
            for run_resource in ordered
        ),
    )


def _resource_progress(
    run_resource: RunResource, fraction: float, expected_seconds: float
) -> ResourceProgress:
    is_finished = run_resource.state in FINISHED_STATES
    return ResourceProgress(
        resource=run_resource.resource,
        state=run_resource.state,
        done=_rows_read(run_resource),
        expected=run_resource.expected_total,
        pages=run_resource.pages,
        percent=int(100 * fraction),
        seconds_left=None if is_finished else round(expected_seconds * (1 - fraction)),
    )


def _current_resource(ordered: Sequence[RunResource]) -> RunResource | None:
    """Return the resource that is being read, otherwise the next one."""
    for state in (ResourceState.RUNNING, ResourceState.WAITING):
        for run_resource in ordered:
            if run_resource.state == state:
                return run_resource
    return None


def _rows_read(run_resource: RunResource) -> int:
    return run_resource.lines or run_resource.rows


def _expected_seconds(run: Run, run_resource: RunResource, history: DurationHistory) -> float:
    if run_resource.state == ResourceState.SKIPPED:
        return 0.0
    own_seconds = history.of_administration.get((run.administration_id, run_resource.resource))
    if own_seconds is not None and not run.full:
        return max(own_seconds, 0.05)
    pace = history.of_resource.get(run_resource.resource)
    if pace and pace.seconds_per_row and run_resource.expected_total:
        return max(pace.seconds_per_row * run_resource.expected_total, 0.05)
    if pace:
        return max(pace.seconds, own_seconds or 0.0, 0.05)
    return own_seconds or DEFAULT_SECONDS.get(run_resource.resource, DEFAULT_SECONDS_OTHER_RESOURCES)


def _completed_fraction(run_resource: RunResource, expected_seconds: float, at: datetime) -> float:
    """Return the completed fraction: by rows if the vendor states a total, otherwise by time."""
    if run_resource.state in FINISHED_STATES:
        return 1.0
    if run_resource.expected_total:
        return min(MAX_FRACTION_WHILE_RUNNING, _rows_read(run_resource) / run_resource.expected_total)
    if run_resource.state == ResourceState.RUNNING and run_resource.started_at:
        return min(
            MAX_FRACTION_WHILE_RUNNING, (at - run_resource.started_at).total_seconds() / expected_seconds / 2
        )
    return 0.0


def _pace_factor(run: Run, completed_seconds: float, at: datetime) -> float:
    """Return how many times slower than expected this run is; 1 until something was read."""
    if run.started_at is None or run.attempt > 1:
        return 1.0
    elapsed = (at - run.started_at).total_seconds()
    if elapsed < PACE_FROM_SECONDS or completed_seconds <= 0:
        return 1.0
    return min(max(elapsed / completed_seconds, PACE_LIMITS[0]), PACE_LIMITS[1])


def _duration_history(organisation_id: int, administration_ids: Sequence[int]) -> DurationHistory:
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["list_durations_of_administrations"],
            {**_STATES, "administrations": list(administration_ids)},
        )
        runs_of_administration = {
            (administration_id, resource): seconds
            for administration_id, resource, seconds in cursor.fetchall()
        }
        cursor.execute(
            _SQL["list_durations_of_organisation"],
            {**_STATES, "organisation": organisation_id, "limit": RECENT_RUNS},
        )
        durations_of_others = {
            resource: Throughput(seconds, per_row) for resource, seconds, per_row in cursor.fetchall()
        }
    return DurationHistory(runs_of_administration, durations_of_others)
