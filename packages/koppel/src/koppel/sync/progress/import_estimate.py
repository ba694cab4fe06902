"""The time that an import still needs, estimated from the administrations that were completed so far."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Avg, Count, F, Max, Min, Q

from koppel.administrations.hooks import ImportCounts, SyncProgress
from koppel.administrations.models import Administration
from koppel.kit.clock import now
from koppel.organisations.roles import Actor
from koppel.sync.models import OPEN_STATES, Run, RunState, Trigger

COMPLETED_MIN = 6
"""So many administrations are completed before there is an estimate; of a large import twice as many as run
at once, because the first ones to be completed are the small ones.
"""
MEASURED_PERCENT = 10
"""From here on the estimate of a single run rests on what it read."""


@dataclass(frozen=True)
class ImportPace:
    """How far an import is, in administrations and seconds. The runs began `elapsed_seconds` ago."""

    completed: int
    running: int
    waiting: int
    elapsed_seconds: float
    last_completed_seconds: float
    """How long after the first run began the newest administration was completed."""
    average_seconds: float
    """The average duration of completed runs; 0 before the first."""
    longest_seconds: int = 0
    """How long the longest of the running runs still needs; 0 = not measured yet."""


def estimate_seconds_left(pace: ImportPace) -> int | None:
    """Return the seconds that the import still needs; None while too few administrations are completed.

    The pace is the average of two: of completed ones in the time until the newest, and of those with the
    running ones in the time until now. So it hardly moves between two completions, or when many come at once.
    """
    total = pace.completed + pace.running + pace.waiting
    is_measured = pace.completed >= max(COMPLETED_MIN, min(2 * pace.running, total // 4))
    if not pace.waiting:
        return pace.longest_seconds or (round(pace.average_seconds) or None if is_measured else None)
    if not is_measured:
        return None
    seconds_each = (
        pace.last_completed_seconds / pace.completed + pace.elapsed_seconds / (pace.completed + pace.running)
    ) / 2
    return max(round(pace.waiting * seconds_each + pace.average_seconds), pace.longest_seconds, 1)


def seconds_left_of_import(
    actor: Actor, import_id: int, counts: ImportCounts, running: Iterable[SyncProgress]
) -> int | None:
    """Estimate the seconds that an import still needs, with one query.

    `running`: the progress of the administrations being read, or of the first of them.
    """
    if not counts.open:
        return None
    administrations = Administration.objects.visible_to(actor).filter(import_id=import_id)
    runs = Run.objects.for_actor(actor).filter(administration__in=administrations, trigger=Trigger.IMPORT)
    times = runs.aggregate(
        first=Min("started_at"),
        last=Max("finished_at", filter=~Q(state__in=OPEN_STATES)),
        average=Avg(F("finished_at") - F("started_at"), filter=Q(state=RunState.SUCCEEDED)),
        running=Count("pk", filter=Q(state=RunState.RUNNING)),
    )
    if times["first"] is None:
        return None
    waiting = max(counts.open - times["running"], 0)
    return estimate_seconds_left(
        ImportPace(
            counts.completed,
            times["running"],
            waiting,
            (now() - times["first"]).total_seconds(),
            (times["last"] - times["first"]).total_seconds() if times["last"] else 0.0,
            times["average"].total_seconds() if times["average"] else 0.0,
            _longest_seconds(running, MEASURED_PERCENT if waiting else 0),
        )
    )


def _longest_seconds(running: Iterable[SyncProgress], percent_min: int) -> int:
    measured = (run.seconds_left or 0 for run in running if (run.percent or 0) >= percent_min)
    return max(measured, default=0)
