"""The process of one run: `koppel execute-run` reads it from standard input, claimed by the worker."""

import asyncio
import contextlib
import signal
import sys
from importlib import import_module
from pathlib import Path

import msgspec
from django.conf import settings

from koppel.connections.sessions import as_worker
from koppel.kit.database.threads import keep_thread_connections
from koppel.kit.http.client import HttpClient
from koppel.sync.engine import execute_run
from koppel.sync.runs.claims import ClaimedRun

CONNECTIONS = 3
FIRST_TO_BE_KILLED = "1000"


def main() -> None:
    """Execute the run until it ends, must wait, or SIGTERM."""
    with contextlib.suppress(OSError):  # of a system without it
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_BE_KILLED)
    run = msgspec.json.decode(sys.stdin.buffer.read(), type=ClaimedRun)
    keep_thread_connections()
    import_module(settings.ROOT_URLCONF)
    asyncio.run(_execute(run))


async def _execute(run: ClaimedRun) -> None:
    async with HttpClient(connections_max=CONNECTIONS) as http, as_worker(http, size=CONNECTIONS) as runtime:
        executing = asyncio.ensure_future(execute_run(runtime, run))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, executing.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await executing
