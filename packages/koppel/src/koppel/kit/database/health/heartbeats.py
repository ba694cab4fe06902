"""Heartbeats: each web process and worker stores every 15 s that it lives, on which host, and what it sees
there.
"""

import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

import psycopg
from django.db import connection as django_connection

from koppel.kit.database.replication.hosts import KEEP_ALIVE
from koppel.kit.jobs.process_name import new_process_name
from koppel.kit.models import ProcessKind

BEAT_SECONDS = 15.0
SILENT_AFTER_SECONDS = 60.0
"""A process that has not reported for so long is hung, dead or cut off."""
FORGET_AFTER_SECONDS = 3600.0
"""Then the row of a dead process is deleted."""
_OPTIONS: dict[str, Any] = {
    "application_name": "koppel heartbeat",
    "autocommit": True,
    "connect_timeout": 5,
    **KEEP_ALIVE,
}
_TIME_OUTS = "SET statement_timeout = '10s'; SET lock_timeout = '10s'"
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
_STORE = """
INSERT INTO kit_heartbeat
  (name, kind, host, pid, version, clock_ahead_seconds, disk_free_bytes, connections_max, scheduled_at)
VALUES (%(name)s, %(kind)s, %(host)s, %(pid)s, %(version)s, %(clock)s, %(disk)s, %(connections)s,
        %(scheduled)s)
    ON CONFLICT (name) DO UPDATE
   SET beat_at = now(), clock_ahead_seconds = excluded.clock_ahead_seconds,
       disk_free_bytes = excluded.disk_free_bytes, scheduled_at = excluded.scheduled_at
"""
_FIRST = "SELECT min(name) FROM kit_heartbeat WHERE beat_at > now() - make_interval(secs => %s)"
_FORGET = "DELETE FROM kit_heartbeat WHERE beat_at < now() - make_interval(secs => %s)"
_REMOVE = "DELETE FROM kit_heartbeat WHERE name = %s"


class HeartbeatWriter:
    """Stores the heartbeats of this process, each over a connection of its own.

    `scheduled_at` returns when this process last looked what the schedule has due.
    """

    def __init__(
        self,
        kind: ProcessKind,
        connections_max: int,
        scheduled_at: Callable[[], datetime | None] = lambda: None,
    ) -> None:
        self.name = new_process_name()
        self._kind, self._connections_max, self._scheduled_at = kind, connections_max, scheduled_at

    def write(self) -> bool:
        """Store a heartbeat. Returns whether this is the first of all living processes, which raises alarms.

        Raises `psycopg.Error`.
        """
        with _connect() as connection:
            connection.execute(_STORE, self._values(_clock_ahead(connection)))
            row = connection.execute(_FIRST, [SILENT_AFTER_SECONDS]).fetchone()
            is_first = row is not None and row[0] == self.name
            if is_first:
                connection.execute(_FORGET, [FORGET_AFTER_SECONDS])
        return is_first

    def remove(self) -> None:
        """Delete the row: this process stops. Raises `psycopg.Error`."""
        with _connect() as connection:
            connection.execute(_REMOVE, [self.name])

    def _values(self, clock_ahead_seconds: float) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self._kind,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version("koppel"),
            "clock": clock_ahead_seconds,
            "disk": free_bytes(),
            "connections": self._connections_max,
            "scheduled": self._scheduled_at(),
        }


def free_bytes() -> int | None:
    """Return the free space for this account where the data directory is; None without one."""
    home = os.environ.get("KOPPEL_DATA_DIR")
    try:
        return shutil.disk_usage(home).free if home else None
    except OSError:
        return None


@dataclass(frozen=True)
class ProcessReport:
    """The newest heartbeat of a process. Ages in seconds, by the clock of the database."""

    kind: str
    host: str
    pid: int
    started_seconds_ago: float
    beat_seconds_ago: float
    clock_ahead_seconds: float = 0.0
    disk_free_bytes: int | None = None
    connections_max: int = 0
    scheduled_seconds_ago: float | None = None

    @property
    def is_alive(self) -> bool:
        return self.beat_seconds_ago < SILENT_AFTER_SECONDS


_LIST = """
SELECT kind, host, pid, extract(epoch FROM now() - started_at)::float8,
       extract(epoch FROM now() - beat_at)::float8, clock_ahead_seconds, disk_free_bytes, connections_max,
       extract(epoch FROM now() - scheduled_at)::float8
  FROM kit_heartbeat ORDER BY kind, host, started_at
"""


def list_reports() -> list[ProcessReport]:
    """Return the newest heartbeat of each process that did not stop in order, of the last hour."""
    with django_connection.cursor() as cursor:
        cursor.execute(_LIST)
        return [ProcessReport(*row) for row in cursor.fetchall()]


def _connect() -> "psycopg.Connection[tuple[Any, ...]]":
    connection = psycopg.connect(os.environ["DATABASE_URL"], **_OPTIONS)
    connection.execute(_TIME_OUTS)
    return connection


def _clock_ahead(connection: "psycopg.Connection[tuple[Any, ...]]") -> float:
    """Return how far this machine's clock is ahead of the database's, less what the answer took."""
    before = time.time()
    row = connection.execute(_CLOCK).fetchone()
    after = time.time()
    database_clock = float(row[0]) if row else before
    ahead, error = (before + after) / 2 - database_clock, (after - before) / 2
    return 0.0 if abs(ahead) <= error else ahead
