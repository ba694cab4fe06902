"""The estimate of the time that an import still needs, over the whole of simulated imports."""

import heapq
import random
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from koppel.sync.progress.import_estimate import ImportPace, estimate_seconds_left

STEP_SECONDS = 2.0
Duration = Callable[[random.Random], float]


def simulated_import(durations: list[float], slots: int) -> Iterator[tuple[float, int | None]]:
    """An import of administrations with these durations, so many at once: (seconds that it really still
    needs, estimate) every two seconds.
    """
    running: list[float] = []
    ends: list[tuple[float, float]] = []
    for seconds in durations:
        began = heapq.heappop(running) if len(running) == slots else 0.0
        heapq.heappush(running, began + seconds)
        ends.append((began, began + seconds))
    total, at = max(end for _began, end in ends), 0.0
    while at < total:
        completed = [(end - began, end) for began, end in ends if end <= at]
        count = sum(began <= at < end for began, end in ends)
        pace = ImportPace(
            completed=len(completed),
            running=count,
            waiting=len(ends) - len(completed) - count,
            elapsed_seconds=at,
            last_completed_seconds=max((end for _seconds, end in completed), default=0.0),
            average_seconds=sum(seconds for seconds, _end in completed) / len(completed)
            if completed
            else 0.0,
        )
        yield total - at, estimate_seconds_left(pace)
        at += STEP_SECONDS


@pytest.mark.parametrize(
    "duration",
    [lambda _random: 60.0, lambda chance: chance.uniform(20, 100), lambda chance: chance.expovariate(1 / 60)],
    ids=["all alike", "between 20 and 100 seconds", "a few large ones"],
)
@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_of_900_administrations_is_honest_and_never_jumps_up(
    duration: Duration, seed: int
) -> None:
    chance = random.Random(seed)
    steps = list(simulated_import([duration(chance) for _ in range(900)], slots=18))
    estimates = [(actual, estimate) for actual, estimate in steps if estimate is not None]
    assert len(estimates) > 0.9 * len(steps), "known after a few minutes of nearly an hour"
    rises = [after - before for (_a, before), (_b, after) in pairwise(estimates)]
    longest = max(actual for actual, _estimate in steps)
    assert max(rises) < 0.06 * longest, "between two looks of two seconds"
    for actual, estimate in estimates:
        assert estimate == pytest.approx(actual, rel=0.4, abs=360)


@pytest.mark.parametrize(
    ("completed", "running", "waiting", "is_measured"),
    [
        (35, 18, 800, False),
        (36, 18, 800, True),
        (5, 4, 10, False),
        (6, 4, 10, True),
        (9, 18, 13, False),
        (10, 18, 12, True),
    ],
)
def test_nothing_is_estimated_before_enough_are_completed(
    completed: int, running: int, waiting: int, *, is_measured: bool
) -> None:
    pace = ImportPace(completed, running, waiting, 90.0, 90.0, 60.0)
    assert (estimate_seconds_left(pace) is not None) is is_measured


def test_the_last_administrations_need_what_the_longest_of_them_does() -> None:
    last = {"waiting": 0, "elapsed_seconds": 600.0, "last_completed_seconds": 590.0}
    assert estimate_seconds_left(ImportPace(900, 3, average_seconds=60.0, longest_seconds=200, **last)) == 200  # type: ignore[arg-type]
    assert estimate_seconds_left(ImportPace(900, 3, average_seconds=60.0, **last)) == 60  # type: ignore[arg-type]
    assert estimate_seconds_left(ImportPace(0, 3, average_seconds=0.0, **last)) is None  # type: ignore[arg-type]


def test_an_import_in_which_nothing_is_completed_any_more_needs_longer_and_longer() -> None:
    paces = [ImportPace(100, 10, 500, seconds, 600.0, 60.0) for seconds in (600.0, 1200.0, 2400.0)]
    estimates = [estimate_seconds_left(pace) or 0 for pace in paces]
    assert estimates == sorted(set(estimates))
