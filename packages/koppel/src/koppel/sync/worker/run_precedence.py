"""Which tasks of a worker go on when several are executed: young ones of organisations with few beside them.

A worker computes in one thread at a time, so twenty runs of one organisation would make the short sync or the
mail of another take twenty times as long. Runs wait, jobs never do. An organisation has precedence for some
seconds at a time only: one that syncs without pause does not hold up imports.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from procrastinate import JobContext

YOUNG_SECONDS = 5.0
"""A task has precedence for so long after its start; a mail or a sync without changes takes less, also on a
busy machine.
"""
WAIT_SECONDS = 2.0
"""The longest wait before one step of a run."""
WAITS_SECONDS = 10.0
"""The longest of all waits of a run, from one start to its end or requeue."""
BUDGET_SECONDS, BUDGET_PER_SECOND = 10.0, 0.2
"""So long an organisation may have precedence at once, and of each second afterwards."""


@dataclass(eq=False)
class RunningTask:
    """A run or job that this worker executes."""

    organisation_id: int
    began: float
    waited_seconds: float = 0.0


@dataclass
class RunPrecedence:
    """The tasks that a worker executes. Belongs to one event loop."""

    now: Callable[[], float] = time.monotonic
    _counts: Counter[int] = field(default_factory=Counter)
    """Tasks by organisation."""
    _tasks: set[RunningTask] = field(default_factory=set)
    _budgets: dict[int, tuple[float, float]] = field(default_factory=dict)
    """Seconds of precedence that are left of organisations, and since when."""
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, organisation_id: int) -> RunningTask:
        task = RunningTask(organisation_id, self.now())
        self._tasks.add(task)
        self._counts[organisation_id] += 1
        return task

    def remove(self, task: RunningTask) -> None:
        self._tasks.discard(task)
        self._counts[task.organisation_id] -= 1
        self._counts += Counter()  # without those that have none
        spent = min(self.now() - task.began, YOUNG_SECONDS)
        self._budgets[task.organisation_id] = (self._budget(task.organisation_id) - spent, self.now())
        self._budgets = {
            key: kept for key, kept in self._budgets.items() if self._budget(key) < BUDGET_SECONDS
        }
        self._ended.set()
        self._ended = asyncio.Event()

    async def execute_job(
        self, call: Callable[[], Awaitable[Any]], context: JobContext, _worker: object
    ) -> Any:
        """Execute a job of an organisation with precedence over runs of others (a middleware)."""
        organisation_id = context.job.task_kwargs.get("organisation_id")
        if not isinstance(organisation_id, int):
            return await call()
        task = self.add(organisation_id)
        try:
            return await call()
        finally:
            self.remove(task)

    async def wait_for_turn(self, run: RunningTask) -> None:
        """Wait while another task has precedence over this run, but not for long."""
        began = self.now()
        while self.must_wait(run, began):
            ends_at = began + min(WAIT_SECONDS, WAITS_SECONDS - run.waited_seconds)
            try:
                await asyncio.wait_for(self._ended.wait(), max(0.01, ends_at - self.now()))
            except TimeoutError:
                break
        run.waited_seconds += self.now() - began

    def must_wait(self, run: RunningTask, began: float) -> bool:
        """Return whether another task has precedence over this run, which waits since `began`."""
        now = self.now()
        if now - began >= WAIT_SECONDS or run.waited_seconds + now - began >= WAITS_SECONDS:
            return False
        count = self._counts[run.organisation_id]
        return count > 1 and any(
            other.organisation_id != run.organisation_id
            and self._counts[other.organisation_id] < count
            and now - other.began < YOUNG_SECONDS
            and self._budget(other.organisation_id) > 0
            for other in self._tasks
        )

    def _budget(self, organisation_id: int) -> float:
        seconds, since = self._budgets.get(organisation_id, (BUDGET_SECONDS, self.now()))
        return min(BUDGET_SECONDS, seconds + (self.now() - since) * BUDGET_PER_SECOND)
