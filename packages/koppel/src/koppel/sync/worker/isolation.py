"""Executes a run that may kill its process in a process of its own, so that it takes no other run with it.

A run whose workers died three times is suspect: each of them had other runs. Alone in a process it proves
itself: it goes on, or its process is killed and it fails, with an issue.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence

import msgspec
import psycopg
import structlog

from koppel.connections.sessions import Runtime
from koppel.kit.database.embedded_postgres import death_signal_prefix
from koppel.kit.database.threads import run_in_thread
from koppel.sync.engine import fail_killed_run
from koppel.sync.runs import claims
from koppel.sync.runs.claims import ClaimedRun

ISOLATED_RUNS_MAX = 2
"""Of one worker: each needs the memory of another worker."""
RETRY_SECONDS = 10.0
"""How soon a suspect run is tried again for which there was no room."""
HEARTBEAT_SECONDS = 5.0
COMMAND: Sequence[str] = (sys.executable, "-m", "koppel.cli", "execute-run")

log = structlog.get_logger(__name__)


async def execute_isolated(runtime: Runtime, run: ClaimedRun) -> None:
    """Execute the run in a process of its own until it ends or waits; fail it when that process is killed.

    When this is cancelled the process ends first: it may be storing a token.
    """
    command = [*death_signal_prefix("TERM"), *COMMAND]
    log.warning("run_isolated", run=run.id, organisation=run.organisation_id, losses=run.worker_losses)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    heartbeats = asyncio.create_task(_send_heartbeats(runtime, run))
    try:
        await process.communicate(msgspec.json.encode(run))
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    finally:
        heartbeats.cancel()
    code = process.returncode or 0
    if code not in (0, -signal.SIGTERM):
        log.error("isolated_run_killed", run=run.id, organisation=run.organisation_id, exit_code=code)
        await run_in_thread(lambda: fail_killed_run(run, code))


async def requeue_suspect(runtime: Runtime, run: ClaimedRun) -> None:
    """Put a suspect run back for which there is no room."""
    async with runtime.database.tenant_transaction(run.organisation_id) as connection:
        await claims.requeue(connection, run, RETRY_SECONDS, failed=False, code="", reason="")


async def _send_heartbeats(runtime: Runtime, run: ClaimedRun) -> None:
    """Hold the run while its process starts; from then on it sends heartbeats itself, too."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        with contextlib.suppress(psycopg.Error, TimeoutError):
            async with runtime.database.tenant_transaction(run.organisation_id) as connection:
                await claims.heartbeat(connection, run)
