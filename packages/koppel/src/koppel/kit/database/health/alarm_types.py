"""The alarms about processes, their machines and the database."""

import socket
from collections.abc import Sequence
from itertools import groupby

from django.db import connection
from django.utils.translation import gettext_lazy as _

from koppel.kit import quarantine
from koppel.kit.database.health.alarms import ActiveAlarm, AlarmCode, AlarmType
from koppel.kit.database.health.heartbeats import (
    SILENT_AFTER_SECONDS,
    ProcessReport,
    free_bytes,
    list_reports,
)
from koppel.kit.database.json_fields import MessageContext
from koppel.kit.models import ProcessKind

REPORT_AFTER_SECONDS = 2 * SILENT_AFTER_SECONDS
"""A supervisor has replaced a hung process by then."""
CLOCK_SECONDS_MAX = 5.0
"""A machine whose clock differs by more refreshes tokens too early or too late."""
SCHEDULE_SECONDS_MAX = 300.0
"""The schedule is kept every minute."""
JOB_SECONDS_MAX = 600.0
MEBIBYTE = 1024 * 1024
DISK_BYTES_MIN = 1024 * MEBIBYTE
"""An import of a large company needs some hundred; PostgreSQL stops when the disk is full."""


class InstallationAlarm(AlarmCode):
    """Alarms that need no other app."""

    NO_WORKER = "no_worker"
    PROCESS_SILENT = "process_silent"
    SCHEDULE_BEHIND = "schedule_behind"
    JOB_WAITING = "job_waiting"
    CLOCK_SKEW = "clock_skew"
    DISK_LOW = "disk_low"
    DATABASE_READ_ONLY = "database_read_only"


ALARM_TYPES = {
    InstallationAlarm.NO_WORKER: AlarmType(
        _("No worker is running, so nothing is synced and no mail is sent."),
        _("Start one with “koppel worker”, or see its log."),
        for_administrators=True,
    ),
    InstallationAlarm.PROCESS_SILENT: AlarmType(
        _("Silent for over two minutes: %(processes)s."),
        _("See its log on that host; a hung process must be restarted."),
        is_failure=False,
    ),
    InstallationAlarm.SCHEDULE_BEHIND: AlarmType(
        _("No worker keeps the schedule, so scheduled syncs do not start."),
        _("See the logs of the workers, and restart them."),
        for_administrators=True,
    ),
    InstallationAlarm.JOB_WAITING: AlarmType(
        _("A job (%(task)s) has been waiting for %(minutes)s minutes."),
        _("See the logs of the workers, or run more of them."),
    ),
    InstallationAlarm.CLOCK_SKEW: AlarmType(
        _("The clock of %(host)s differs from the database's by %(seconds)s seconds."),
        _("Synchronise the clocks of all machines (NTP)."),
    ),
    InstallationAlarm.DISK_LOW: AlarmType(
        _("%(host)s has only %(mebibytes)s MB of disk left."),
        _("Free space, or the database stops when the disk is full."),
    ),
    InstallationAlarm.DATABASE_READ_ONLY: AlarmType(
        _("The database is read-only, so nothing can be stored."),
        _("Let DATABASE_URL lead to the primary server."),
        for_administrators=True,
    ),
}
_READ_ONLY = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
_OLDEST_JOB = """
SELECT job.task_name, extract(epoch FROM now() - coalesce(job.scheduled_at, event.at))::float8 AS seconds
  FROM procrastinate_jobs job
  LEFT JOIN LATERAL (SELECT at FROM procrastinate_events
                      WHERE job_id = job.id AND type = 'deferred' ORDER BY id LIMIT 1) event ON true
 WHERE job.status = 'todo' AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())
 ORDER BY seconds DESC NULLS LAST LIMIT 1
"""


def find_installation_alarms() -> Sequence[ActiveAlarm]:
    """Return the alarms of processes, their machines, the queue and the database that hold now."""
    reports = list_reports()
    alarms = [*process_alarms(reports), *machine_alarms(reports), *_database_alarms()]
    if quarantine.current() is None:
        alarms += [*schedule_alarms(reports), *_job_alarms()]
    return alarms


def process_alarms(reports: Sequence[ProcessReport]) -> list[ActiveAlarm]:
    """Return alarms about processes that are missing or silent.

    Only a web process that has run for a minute misses workers: an installation that is stopped, or starting,
    does not.
    """
    living = [report for report in reports if report.is_alive]
    has_worker = any(report.kind == ProcessKind.WORKER for report in living)
    alarms = []
    if not has_worker and any(one.started_seconds_ago > SILENT_AFTER_SECONDS for one in living):
        alarms.append(ActiveAlarm(InstallationAlarm.NO_WORKER))
    if living and (silent := _silent(reports)):
        alarms.append(ActiveAlarm(InstallationAlarm.PROCESS_SILENT, {"processes": ", ".join(silent)}))
    return alarms


def machine_alarms(reports: Sequence[ProcessReport]) -> list[ActiveAlarm]:
    """Return alarms about the clocks and disks of machines: of each kind the worst."""
    living = [report for report in reports if report.is_alive]
    alarms = []
    skewed = max(living, key=lambda report: abs(report.clock_ahead_seconds), default=None)
    if skewed is not None and abs(skewed.clock_ahead_seconds) > CLOCK_SECONDS_MAX:
        seconds = round(abs(skewed.clock_ahead_seconds))
        facts = MessageContext(host=skewed.host, seconds=seconds)
        alarms.append(ActiveAlarm(InstallationAlarm.CLOCK_SKEW, facts))
    disks = [(report.disk_free_bytes, report.host) for report in living if report.disk_free_bytes is not None]
    if (free := free_bytes()) is not None:
        disks.append((free, socket.gethostname()))
    free, host = min(disks, default=(DISK_BYTES_MIN, ""))
    if free < DISK_BYTES_MIN:
        facts = MessageContext(host=host, mebibytes=free // MEBIBYTE)
        alarms.append(ActiveAlarm(InstallationAlarm.DISK_LOW, facts))
    return alarms


def schedule_alarms(reports: Sequence[ProcessReport]) -> list[ActiveAlarm]:
    """Return an alarm when workers run, but none of them has kept the schedule for five minutes."""
    workers = [report for report in reports if report.kind == ProcessKind.WORKER and report.is_alive]
    ages_seconds = [one.scheduled_seconds_ago for one in workers if one.scheduled_seconds_ago is not None]
    is_behind = min(ages_seconds, default=SCHEDULE_SECONDS_MAX + 1) > SCHEDULE_SECONDS_MAX
    if is_behind and any(worker.started_seconds_ago > SCHEDULE_SECONDS_MAX for worker in workers):
        return [ActiveAlarm(InstallationAlarm.SCHEDULE_BEHIND)]
    return []


def _silent(reports: Sequence[ProcessReport]) -> list[str]:
    """Return the silent processes, without those that were replaced: later ones of the kind on the host."""
    silent = []
    for _kind_and_host, on_host in groupby(
        sorted(reports, key=lambda one: (one.kind, one.host)), key=lambda one: (one.kind, one.host)
    ):
        of_kind = list(on_host)
        started = sorted((one.started_seconds_ago for one in of_kind if one.is_alive), reverse=True)
        for report in sorted(of_kind, key=lambda one: -one.beat_seconds_ago):
            if report.beat_seconds_ago < REPORT_AFTER_SECONDS:
                continue
            successor = next((ago for ago in started if ago < report.beat_seconds_ago), None)
            if successor is None:
                silent.append(f"{report.kind} on {report.host} (process {report.pid})")
            else:
                started.remove(successor)
    return silent


def _database_alarms() -> list[ActiveAlarm]:
    with connection.cursor() as cursor:
        cursor.execute(_READ_ONLY)
        return [ActiveAlarm(InstallationAlarm.DATABASE_READ_ONLY)] if cursor.fetchone()[0] else []


def _job_alarms() -> list[ActiveAlarm]:
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_JOB)
        row = cursor.fetchone()
    if row is None or row[1] is None or row[1] < JOB_SECONDS_MAX:
        return []
    return [ActiveAlarm(InstallationAlarm.JOB_WAITING, {"task": row[0], "minutes": int(row[1] // 60)})]
