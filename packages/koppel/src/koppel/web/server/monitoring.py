"""The heartbeats of a web process."""

from django.conf import settings

from koppel.kit.database.health.connection_limits import web_connections_max
from koppel.kit.database.health.heartbeats import HeartbeatWriter
from koppel.kit.database.health.monitor import Monitor
from koppel.kit.models import ProcessKind


async def run_monitor() -> None:
    """Report that this process lives, until cancelled."""
    heartbeats = HeartbeatWriter(ProcessKind.WEB, web_connections_max(settings.WEB_THREADS))
    await Monitor(heartbeats).run()
