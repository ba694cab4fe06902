"""The monitor of a process: it reports that the process lives, and raises alarms for the installation.

It belongs to the event loop of a web process or worker, so a loop that hangs reports nothing. It asks the
database in a thread of its own: a database that hangs does not make the process look hung.
"""

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import structlog
from django.db import DatabaseError, InterfaceError, connections

from koppel.kit.database.health.alarm_state import current_alarms, mark_notified, store_alarms
from koppel.kit.database.health.alarms import AlarmChanges
from koppel.kit.database.health.heartbeats import BEAT_SECONDS, HeartbeatWriter
from koppel.kit.database.health.hooks import notify_operators
from koppel.kit.database.health.service_notifications import WATCHDOG_SECONDS, notify_alive
from koppel.kit.database.outage import sqlstate_of
from koppel.kit.tenancy import installation_scope

REMOVE_SECONDS = 3.0
RENOTIFY_SECONDS = 600.0

log = structlog.get_logger(__name__)


class Monitor:
    """Runs until its task is cancelled, then deletes the heartbeat."""

    def __init__(self, heartbeats: HeartbeatWriter) -> None:
        self._heartbeats = heartbeats
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="koppel monitor")
        self._problem = ""
        self._notification_failed_at = -RENOTIFY_SECONDS

    async def run(self) -> None:
        """Notify the supervisor every few seconds, and report to the database every 15 s."""
        reporting: asyncio.Future[None] | None = None
        reported_at = -BEAT_SECONDS
        loop = asyncio.get_running_loop()
        try:
            while True:
                notify_alive()
                if (reporting is None or reporting.done()) and loop.time() - reported_at >= BEAT_SECONDS:
                    reported_at = loop.time()
                    reporting = loop.run_in_executor(self._thread, self.report)
                await asyncio.sleep(WATCHDOG_SECONDS)
        finally:
            await self._stop()

    def report(self) -> None:
        """Store a heartbeat, and when it is this process's turn the alarms. Errors go to the log, once."""
        try:
            if self._heartbeats.write():
                self._notify(raise_alarms())
        except (psycopg.Error, DatabaseError, InterfaceError, OSError) as error:
            self._log_problem(sqlstate_of(error) or type(error).__name__, str(error))
        else:
            self._problem = ""
        finally:
            connections.close_all()

    def _notify(self, changes: AlarmChanges) -> None:
        """Notify operators; after a failure, again ten minutes later: mail may be one of the faults."""
        is_due = time.monotonic() - self._notification_failed_at > RENOTIFY_SECONDS
        if not (changes.resolved or (changes.unnotified and is_due)):
            return
        if notify_operators(changes):
            mark_notified(changes.unnotified)
        else:
            self._notification_failed_at = time.monotonic()

    def _log_problem(self, problem: str, reason: str) -> None:
        if problem != self._problem:
            log.error("heartbeat_not_stored", problem=problem, reason=reason[:200])
        self._problem = problem

    async def _stop(self) -> None:
        removing = asyncio.get_running_loop().run_in_executor(self._thread, self._remove)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(removing, REMOVE_SECONDS)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _remove(self) -> None:
        with contextlib.suppress(psycopg.Error):
            self._heartbeats.remove()


def raise_alarms() -> AlarmChanges:
    """Store the alarms that hold now, and log what changed."""
    with installation_scope("alarms"):
        changes = store_alarms(current_alarms())
    for alarm in changes.raised:
        log.error("alarm_raised", code=alarm.code, **alarm.facts)
    for alarm in changes.cleared:
        log.warning("alarm_cleared", code=alarm.code)
    return changes
