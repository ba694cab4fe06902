"""The heartbeats of a web process, and its end with the server that started it."""

import asyncio
import os
import signal

import structlog
from django.conf import settings

from koppel.kit.database.health.connection_limits import web_connections_max
from koppel.kit.database.health.heartbeats import HeartbeatWriter
from koppel.kit.database.health.monitor import Monitor
from koppel.kit.models import ProcessKind

PARENT_POLL_SECONDS = 1.0
log = structlog.get_logger(__name__)


async def run_monitor() -> None:
    """Report that this process lives, until cancelled; stop it when its server was killed."""
    ending = asyncio.create_task(_end_with_parent(os.getppid()))
    heartbeats = HeartbeatWriter(ProcessKind.WEB, web_connections_max(settings.WEB_THREADS))
    try:
        await Monitor(heartbeats).run()
    finally:
        ending.cancel()


async def _end_with_parent(parent_pid: int) -> None:
    """Stop this process once its server is dead: it would keep the port, and nothing would restart it."""
    while os.getppid() == parent_pid:
        await asyncio.sleep(PARENT_POLL_SECONDS)
    log.error("web_server_ended")
    os.kill(os.getpid(), signal.SIGTERM)
