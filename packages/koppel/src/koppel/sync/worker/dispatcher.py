"""Claims runs while there is room, executes them concurrently, and requeues them on shutdown.

`LISTEN` wakes the dispatcher when runs are added; a run with a start time is claimed at that time. A long run
yields after a page when other runs wait, and continues later from its checkpoint.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from datetime import datetime
from functools import partial

import psycopg
import structlog

from koppel.connections.rate_limits import on_before_request
from koppel.connections.sessions import Runtime
from koppel.kit import quarantine
from koppel.kit.backoff import Backoff
from koppel.kit.database.health.connection_limits import WORKER_THREADS
from koppel.kit.database.locks import LockName, keep_session_lock
from koppel.kit.database.pool import Database, open_lock_connection
from koppel.kit.database.turns import before_work, use_case_executor
from koppel.kit.jobs.process_name import new_process_name
from koppel.sync.engine import execute_run
from koppel.sync.errors import Preempted
from koppel.sync.runs import queue
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.queue import OrganisationSlots
from koppel.sync.worker.isolation import ISOLATED_RUNS_MAX, execute_isolated, requeue_suspect
from koppel.sync.worker.run_precedence import RunningTask, RunPrecedence

WORKER_ID = new_process_name()
TIME_SLICE_SECONDS = 20.0
"""The first time slice of a run; each later one doubles, up to eight times this."""
POLL_SECONDS = 5.0
"""The longest interval between polls of the queue. With 15 s until a heartbeat expires, a dead worker's runs
are taken over within 20 s.
"""
QUEUE_BACKOFF = Backoff(base_seconds=1.0, cap_seconds=POLL_SECONDS)
"""The backoff while the queue cannot be read."""
GATHER_SECONDS = 0.03
"""Runs that end within this time of each other are replaced by one query."""
STOP_SECONDS = 3.0

log = structlog.get_logger(__name__)


def slots_per_organisation(concurrency: int) -> int:
    """Return how many of a worker's slots one organisation may use: a tenth, or one, is left to others."""
    return max(1, concurrency - max(1, concurrency // 10))


class Dispatcher:
    """Executes runs. `database` is for claims alone, which must not wait behind the steps of runs.

    `is_leader`: this worker keeps the schedule for all workers; `scheduled_at`: when it last did.
    """

    def __init__(self, runtime: Runtime, database: Database, concurrency: int) -> None:
        self._runtime, self._database, self._concurrency = runtime, database, concurrency
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: Counter[int] = Counter()
        self.precedence = RunPrecedence()
        self._threads = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="koppel run")
        self._wake = asyncio.Event()
        self._has_waiting_runs = False
        self._stopping = False
        self._isolated = 0
        self.is_leader = False
        self.scheduled_at: datetime | None = None

    async def run(self) -> None:
        """Claim and execute runs for ever. To stop, cancel this and call `stop`."""
        listening = asyncio.create_task(self._listen())
        try:
            failures = 0
            while True:
                pause = POLL_SECONDS
                try:
                    pause = await self._claim_runs()
                    failures = 0
                except (psycopg.Error, TimeoutError) as error:
                    log.warning("queue_read_failed", error=type(error).__name__, reason=str(error)[:200])
                    pause = QUEUE_BACKOFF.jittered_seconds(failures)
                    failures += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
                    await asyncio.sleep(GATHER_SECONDS)
                self._wake.clear()
        finally:
            listening.cancel()

    def confirm_schedule(self, now: datetime) -> None:
        """Note that this worker, if it is the leader still, has queued what the schedule had due."""
        self.scheduled_at = now if self.is_leader else None

    async def stop(self) -> None:
        """Let runs end with their current page, cancel the rest after 3 s, and requeue all."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._database.installation_transaction() as database_connection:
            count = await queue.release_claims(database_connection, WORKER_ID)
        self._threads.shutdown(wait=False)
        log.info("worker_stopped", requeued=count)

    async def _claim_runs(self) -> float:
        """Claim runs up to the concurrency limit, none in quarantine.

        Returns the seconds to wait until the next time, unless woken earlier.
        """
        if await quarantine.current_async() is not None:
            return POLL_SECONDS
        room = self._concurrency - len(self._tasks)
        async with self._database.installation_transaction() as database_connection:
            if room <= 0:
                self._has_waiting_runs = await queue.has_waiting(database_connection)
                return POLL_SECONDS
            slots = OrganisationSlots(slots_per_organisation(self._concurrency), self._running.copy())
            claim = await queue.claim_next(database_connection, WORKER_ID, room, slots)
        for run in claim.runs:
            self._start_run(run)
        self._has_waiting_runs = claim.has_waiting
        return min(
            POLL_SECONDS,
            max(0.05, claim.next_in_seconds if claim.next_in_seconds is not None else POLL_SECONDS),
        )

    def _start_run(self, run: ClaimedRun) -> None:
        running = self.precedence.add(run.organisation_id)
        self._running[run.organisation_id] += 1
        task = asyncio.create_task(self._execute(run), context=self._context(run, running))
        self._tasks.add(task)
        task.add_done_callback(partial(self._on_run_done, running))

    async def _execute(self, run: ClaimedRun) -> None:
        if not run.is_suspect:
            await execute_run(self._runtime, run)
        elif self._isolated >= ISOLATED_RUNS_MAX:
            await requeue_suspect(self._runtime, run)
        else:
            self._isolated += 1
            try:
                await execute_isolated(self._runtime, run)
            finally:
                self._isolated -= 1

    def _on_run_done(self, running: RunningTask, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self.precedence.remove(running)
        self._running[running.organisation_id] -= 1
        self._running += Counter()  # without those that have none
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its heartbeat has stopped, so a worker will claim the run again.
            log.error("run_task_failed", error=type(error).__name__, reason=str(error)[:200])
        self._wake.set()

    def _context(self, run: ClaimedRun, running: RunningTask) -> Context:
        context = copy_context()
        context.run(before_work.set, partial(self.precedence.wait_for_turn, running))
        context.run(use_case_executor.set, self._threads)
        context.run(on_before_request.set, self._time_slice(run))
        return context

    def _time_slice(self, run: ClaimedRun) -> Callable[[], None]:
        """Return a check that raises `Preempted` when the run must yield.

        It is called before each call to the vendor, when everything read so far is written or can be.
        """
        ends_at = time.monotonic() + TIME_SLICE_SECONDS * 2 ** min(run.attempt - 1, 3)

        def check_preemption() -> None:
            if self._stopping or (self._has_waiting_runs and time.monotonic() > ends_at):
                raise Preempted

        return check_preemption

    async def _listen(self) -> None:
        """Wake up when runs are added, and become the leader when there is no leader.

        One session serves both and is renewed when it breaks.
        """
        while True:
            try:
                async with await open_lock_connection() as database_connection:
                    await database_connection.execute(f"LISTEN {queue.CHANNEL}")
                    self._wake.set()  # Runs added before LISTEN sent no notification.
                    while True:
                        is_leader = await keep_session_lock(
                            database_connection, LockName.LEADER, is_held=self.is_leader
                        )
                        self._set_leader(is_leader=is_leader)
                        async for _notice in database_connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                            self._wake.set()
            except psycopg.Error as error:
                self._set_leader(is_leader=False)
                log.warning("queue_listen_failed", error=type(error).__name__, reason=str(error)[:200])
                await asyncio.sleep(1)

    def _set_leader(self, *, is_leader: bool) -> None:
        self.is_leader = is_leader
        if not is_leader:
            self.scheduled_at = None
