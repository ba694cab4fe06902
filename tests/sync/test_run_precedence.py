"""Which runs of a worker wait for others."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from procrastinate import JobContext

from koppel.sync.worker.run_precedence import (
    BUDGET_SECONDS,
    WAIT_SECONDS,
    WAITS_SECONDS,
    YOUNG_SECONDS,
    RunningTask,
    RunPrecedence,
)

LARGE, SMALL, OTHER = 1, 2, 3


class Moment:
    """The time of a story."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def busy_worker() -> tuple[RunPrecedence, Moment, RunningTask]:
    """A worker with 18 runs of a large organisation that began long ago, one of which is returned."""
    moment = Moment()
    runs = RunPrecedence(moment)
    run, *_others = [runs.add(LARGE) for _number in range(18)]
    moment.seconds += 60
    return runs, moment, run


def test_runs_of_a_large_organisation_wait_for_a_short_one_of_another() -> None:
    runs, moment, run = busy_worker()
    assert not runs.must_wait(run, moment())
    short = runs.add(SMALL)
    assert runs.must_wait(run, moment())
    assert not runs.must_wait(short, moment())
    runs.remove(short)
    assert not runs.must_wait(run, moment())


def test_waiting_ends_with_the_other_run() -> None:
    async def story() -> float:
        runs = RunPrecedence()
        run, _another = runs.add(LARGE), runs.add(LARGE)
        short = runs.add(SMALL)
        asyncio.get_running_loop().call_later(0.05, runs.remove, short)
        await runs.wait_for_turn(run)
        return run.waited_seconds

    assert 0.04 < asyncio.run(story()) < WAIT_SECONDS


def test_runs_wait_for_a_job_of_another_organisation() -> None:
    runs, moment, run = busy_worker()
    seen: list[bool] = []

    async def send_mail() -> None:
        seen.append(runs.must_wait(run, moment()))

    def job(**arguments: Any) -> JobContext:
        return cast("JobContext", SimpleNamespace(job=SimpleNamespace(task_kwargs=arguments)))

    asyncio.run(runs.execute_job(send_mail, job(organisation_id=SMALL), None))
    asyncio.run(runs.execute_job(send_mail, job(organisation_id=LARGE), None))
    asyncio.run(runs.execute_job(send_mail, job(), None))
    assert seen == [True, False, False]
    assert not runs.must_wait(run, moment())


def test_waits_are_short_and_few() -> None:
    runs, moment, run = busy_worker()
    runs.add(SMALL)
    assert not runs.must_wait(run, moment() - WAIT_SECONDS)
    run.waited_seconds = WAITS_SECONDS
    assert not runs.must_wait(run, moment())
    run.waited_seconds = 0.0
    moment.seconds += YOUNG_SECONDS
    assert not runs.must_wait(run, moment()), "A long run has no precedence."


def test_an_organisation_that_syncs_without_pause_loses_its_precedence() -> None:
    runs, moment, run = busy_worker()
    for _number in range(int(BUDGET_SECONDS / YOUNG_SECONDS * 2)):
        short = runs.add(SMALL)
        moment.seconds += YOUNG_SECONDS
        runs.remove(short)
    runs.add(SMALL)
    assert not runs.must_wait(run, moment())
    runs.add(OTHER)
    assert runs.must_wait(run, moment()), "Others have theirs."
    moment.seconds += 60
    runs.add(SMALL)
    assert runs.must_wait(run, moment()), "It returns."
