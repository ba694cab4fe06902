"""What a worker repeats beside runs and jobs; `PERIODIC_TASKS` lists it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

import structlog
from django.utils import timezone
from procrastinate import App

from koppel.audit.chain import link_pending
from koppel.books.sql_access.session_limits import end_long_sessions
from koppel.connections.sessions import Runtime
from koppel.connections.vault import MAINTENANCE_INTERVAL_SECONDS, TokenMaintenance
from koppel.kit.database.stuck_transactions import terminate_stuck_sessions
from koppel.kit.database.threads import run_in_thread
from koppel.sync.runs.services import request_due_runs
from koppel.sync.worker.dispatcher import Dispatcher

JOB_STALLED_SECONDS = 30

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What the tasks of one worker process work with."""

    app: App
    """Runs the jobs."""
    dispatcher: Dispatcher
    runtime: Runtime
    token_maintenance: TokenMaintenance


class RunBy(StrEnum):
    """Which workers perform a periodic task."""

    EVERY_WORKER = "every_worker"
    LEADER = "leader"


@dataclass(frozen=True, kw_only=True)
class PeriodicTask:
    """A function that a worker calls again and again. An error is logged, and the next call comes in time."""

    name: str
    """Its name in the log."""
    period_seconds: float
    """The pause between two calls."""
    run_by: RunBy
    function: Callable[[Worker], Awaitable[None]]


def start_periodic_tasks(worker: Worker) -> list["asyncio.Task[None]"]:
    """Start all periodic tasks. They end only by being cancelled."""
    return [asyncio.create_task(_repeat(task, worker)) for task in PERIODIC_TASKS]


async def _repeat(task: PeriodicTask, worker: Worker) -> None:
    while True:
        try:
            if task.run_by is RunBy.EVERY_WORKER or worker.dispatcher.is_leader:
                await task.function(worker)
        except Exception as error:
            log.warning(
                "background_task_failed",
                task=task.name,
                error=type(error).__name__,
                reason=str(error)[:200],
            )
        await asyncio.sleep(task.period_seconds)


async def _retry_stalled_jobs(worker: Worker) -> None:
    """Retry jobs of workers that died. Runs are not jobs: another worker claims them."""
    manager = worker.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=JOB_STALLED_SECONDS):
        log.warning("job_revived", task=job.task_name, job=job.id)
        await manager.retry_job(job)


async def _terminate_stuck_sessions(worker: Worker) -> None:
    async with worker.runtime.database.installation_transaction() as database_connection:
        await terminate_stuck_sessions(database_connection)


async def _end_reader_sessions(worker: Worker) -> None:
    """End sessions of SQL readers over their limits."""
    async with worker.runtime.database.installation_transaction() as database_connection:
        await end_long_sessions(database_connection)


async def _maintain_tokens(worker: Worker) -> None:
    await worker.token_maintenance.run_once()


async def _keep_schedule(worker: Worker) -> None:
    """Queue due runs."""
    count = await run_in_thread(request_due_runs)
    worker.dispatcher.confirm_schedule(timezone.now())
    if count:
        log.info("runs_scheduled", count=count)


async def _link_audit_entries(worker: Worker) -> None:
    """Link new entries of the audit log."""
    await run_in_thread(link_pending)


PERIODIC_TASKS = (
    PeriodicTask(
        name="revive_jobs", period_seconds=5, run_by=RunBy.EVERY_WORKER, function=_retry_stalled_jobs
    ),
    PeriodicTask(
        name="silent_sessions",
        period_seconds=5,
        run_by=RunBy.EVERY_WORKER,
        function=_terminate_stuck_sessions,
    ),
    PeriodicTask(
        name="reader_sessions", period_seconds=5, run_by=RunBy.LEADER, function=_end_reader_sessions
    ),
    PeriodicTask(
        name="grants",
        period_seconds=MAINTENANCE_INTERVAL_SECONDS,
        run_by=RunBy.EVERY_WORKER,
        function=_maintain_tokens,
    ),
    PeriodicTask(name="schedule", period_seconds=60, run_by=RunBy.LEADER, function=_keep_schedule),
    PeriodicTask(name="audit_links", period_seconds=4, run_by=RunBy.LEADER, function=_link_audit_entries),
)
