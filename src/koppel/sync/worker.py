"""The worker: performs jobs, and each worker sweeps up after dead ones and keeps the schedule."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from procrastinate import App
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Status

from koppel.connections.runtime import as_worker
from koppel.connections.sessions import Runtime
from koppel.kit.database import Connection
from koppel.kit.http import HttpClient
from koppel.sync.ledger import STALLED_SECONDS
from koppel.sync.services import request_due_runs
from koppel.sync.tasks import in_django, perform_run

SWEEP_SECONDS = 5
SCHEDULE_SECONDS = 60
JOB_STALLED_SECONDS = 30
DATABASE_CONNECTIONS_MAX = 12
SCHEDULE_LOCK = 0x5C4ED

log = structlog.get_logger(__name__)


def main(concurrency: int = 20) -> None:
    """Work until SIGTERM or SIGINT; jobs under way are finished or left to the next worker."""
    asyncio.run(_main(concurrency))


async def _main(concurrency: int) -> None:
    worker_app = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]
    async with (
        HttpClient(connections_max=concurrency * 2) as http,
        as_worker(http, size=min(concurrency + 2, DATABASE_CONNECTIONS_MAX)) as runtime,
        worker_app.open_async(),
    ):
        keepers = [
            asyncio.create_task(_every(SWEEP_SECONDS, lambda: _sweep(runtime, worker_app), "sweep")),
            asyncio.create_task(_every(SWEEP_SECONDS, lambda: _revive_jobs(worker_app), "revive_jobs")),
            asyncio.create_task(_every(SCHEDULE_SECONDS, lambda: _keep_schedule(runtime), "schedule")),
        ]
        try:
            await worker_app.run_worker_async(
                concurrency=concurrency,
                fetch_job_polling_interval=2,
                shutdown_graceful_timeout=3,
                delete_jobs="always",
            )
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)


async def _every(seconds: float, work: Callable[[], Awaitable[None]], name: str) -> None:
    while True:
        try:
            await work()
        except Exception as error:
            log.warning("keeper_failed", keeper=name, error=type(error).__name__, reason=str(error)[:200])
        await asyncio.sleep(seconds)


_LEFT = f"""
UPDATE sync_run SET not_before = CASE WHEN state = 'queued' THEN now() ELSE not_before END
 WHERE id IN (
   SELECT id FROM sync_run
    WHERE (state = 'running' AND heartbeat_at < now() - interval '{STALLED_SECONDS} seconds')
       OR (state = 'queued' AND not_before <= now() AND created_at < now() - interval '2 seconds')
       OR (state = 'queued' AND not_before IS NULL AND created_at < now() - interval '60 seconds')
    ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED)
RETURNING organisation_id, id
"""  # noqa: S608 - a number of our own


async def _sweep(runtime: Runtime, worker_app: App) -> None:
    """Hand out again what a dead worker left and what has waited long enough."""
    async with runtime.database.for_installation() as connection:
        found = await connection.execute(_LEFT)
        left = await found.fetchall()
    for organisation_id, run_id in left:
        with contextlib.suppress(AlreadyEnqueued):
            job = worker_app.configure_task(perform_run.name, queueing_lock=f"run {run_id}")
            await job.defer_async(organisation_id=organisation_id, run_id=run_id)


async def _revive_jobs(worker_app: App) -> None:
    """Jobs of workers that have died: a sync is taken care of by its run, everything else is done again."""
    manager = worker_app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=JOB_STALLED_SECONDS):
        if job.task_name == perform_run.name:
            await manager.finish_job(job, Status.FAILED, delete_job=True)
        else:
            log.warning("job_revived", task=job.task_name, job=job.id)
            await manager.retry_job(job)


async def _keep_schedule(runtime: Runtime) -> None:
    """One worker at a time: the others find the lock taken."""
    async with runtime.database.for_installation() as connection:
        if not await _alone(connection):
            return
        count = await in_django(request_due_runs)
    if count:
        log.info("runs_scheduled", count=count)


async def _alone(connection: Connection) -> bool:
    found = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [SCHEDULE_LOCK])
    row = await found.fetchone()
    return bool(row and row[0])
