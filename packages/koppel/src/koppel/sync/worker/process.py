"""The worker process: executes runs and jobs, and retries those of dead workers.

One worker is the leader and keeps the schedule.
"""

import asyncio
import gc
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import structlog
from django.conf import settings
from procrastinate import App
from procrastinate.contrib.django import app
from psycopg_pool import AsyncConnectionPool

from koppel.connections.sessions import as_worker
from koppel.connections.vault import TokenMaintenance
from koppel.kit.backoff import Backoff
from koppel.kit.database.health.connection_limits import WORKER_THREADS, run_pool_size, worker_connections_max
from koppel.kit.database.health.heartbeats import HeartbeatWriter
from koppel.kit.database.health.monitor import Monitor
from koppel.kit.database.outage import needs_new_session
from koppel.kit.database.pool import Database
from koppel.kit.database.threads import keep_thread_connections
from koppel.kit.http.client import HttpClient
from koppel.kit.jobs import load_tasks
from koppel.kit.jobs.notifications import RobustJobManager
from koppel.kit.models import ProcessKind
from koppel.sync.worker.dispatcher import Dispatcher
from koppel.sync.worker.periodic_tasks import Worker, start_periodic_tasks
from koppel.sync.worker.run_precedence import RunPrecedence

NICENESS = 5
GARBAGE_THRESHOLD = 20_000
JOBS_CONCURRENCY = 10
JOBS_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=15.0)

log = structlog.get_logger(__name__)


def main(concurrency: int = 20) -> None:
    """Work until SIGTERM or SIGINT; jobs in progress are finished or left to the next worker."""
    keep_thread_connections()
    # Notifications and issues link to pages. Import the URL configuration and the tasks before threads start
    # that would all import them at once.
    import_module(settings.ROOT_URLCONF)
    load_tasks()
    # Pages are thousands of records without reference cycles, and modules stay loaded: collecting garbage
    # less often saves 5 %.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    # Give web requests precedence over syncs, three to one; without competition this makes no difference. Not
    # more: pages of one organisation should not stop the syncs and mail of all others.
    os.nice(NICENESS)
    asyncio.run(_main(concurrency))


async def _main(concurrency: int) -> None:
    worker_app = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]
    worker_app.job_manager = RobustJobManager(worker_app.connector)
    stopped = asyncio.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(WORKER_THREADS))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with (
        HttpClient(connections_max=concurrency * 2) as http,
        as_worker(http, size=run_pool_size(concurrency)) as runtime,
        Database.open(size=1) as claim_database,
        worker_app.open_async(),
    ):
        dispatcher = Dispatcher(runtime, claim_database, concurrency)
        worker = Worker(
            app=worker_app,
            dispatcher=dispatcher,
            runtime=runtime,
            token_maintenance=TokenMaintenance(runtime.vault),
        )
        tasks = [
            asyncio.create_task(dispatcher.run()),
            asyncio.create_task(Monitor(_heartbeats(dispatcher, concurrency)).run()),
            asyncio.create_task(_run_job_worker(worker_app, dispatcher.precedence)),
            *start_periodic_tasks(worker),
        ]
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, *tasks):
            task.cancel()
        ended = await asyncio.gather(*tasks, dispatcher.stop(), return_exceptions=True)
    for outcome in ended:
        # The supervisor restarts a worker that exits by itself.
        if isinstance(outcome, Exception):
            raise outcome


def _heartbeats(dispatcher: Dispatcher, concurrency: int) -> HeartbeatWriter:
    connections_max = worker_connections_max(concurrency)
    return HeartbeatWriter(ProcessKind.WORKER, connections_max, lambda: dispatcher.scheduled_at)


async def _run_job_worker(worker_app: App, precedence: RunPrecedence) -> None:
    """Run all jobs except syncs: lookups, email, work after a reconnect.

    When the database fails the job worker is restarted, with growing pauses and new sessions: old ones may be
    read-only or have short timeouts.
    """
    failures = 0
    while True:
        began = time.monotonic()
        try:
            await worker_app.run_worker_async(
                concurrency=JOBS_CONCURRENCY,
                fetch_job_polling_interval=2,
                shutdown_graceful_timeout=3,
                delete_jobs="always",
                install_signal_handlers=False,
                worker_middleware=[precedence.execute_job],
            )
        except Exception as error:
            log.warning("jobs_interrupted", error=type(error).__name__, reason=str(error)[:200])
            if needs_new_session(error):
                await _reopen_pool_sessions(worker_app)
        failures = 0 if time.monotonic() - began > JOBS_BACKOFF.cap_seconds else failures + 1
        await asyncio.sleep(JOBS_BACKOFF.jittered_seconds(failures))


async def _reopen_pool_sessions(worker_app: App) -> None:
    pool = getattr(worker_app.connector, "pool", None)
    if isinstance(pool, AsyncConnectionPool):
        await pool.drain()
