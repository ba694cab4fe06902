"""Dead, hung and full is seen: heartbeats, alarms, readiness, and who is informed of them."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core import mail
from django.utils import translation

from koppel.cli.checks.programs import check_programs
from koppel.kit.database.embedded_postgres import Addresses, failure_reason
from koppel.kit.database.health import alarm_types as kit_alarms
from koppel.kit.database.health import heartbeats as heartbeats_module
from koppel.kit.database.health.alarm_types import (
    InstallationAlarm,
    machine_alarms,
    process_alarms,
    schedule_alarms,
)
from koppel.kit.database.health.heartbeats import HeartbeatWriter, ProcessReport, list_reports
from koppel.kit.database.health.monitor import Monitor
from koppel.kit.database.health.readiness import Readiness, ReadinessCheck, Unreadiness
from koppel.kit.models import Heartbeat, ProcessKind
from koppel.organisations.models import User
from tests.fixtures.people import signed_in
from tests.fixtures.readiness import readiness_now

GIBIBYTE = 1024**3
Codes = list[str]


def report(
    kind: str = "worker", host: str = "a", pid: int = 1, *, started: float = 900, beat: float = 5, **more: Any
) -> ProcessReport:
    return ProcessReport(
        kind=kind, host=host, pid=pid, started_seconds_ago=started, beat_seconds_ago=beat, **more
    )


@pytest.mark.parametrize(
    ("reports", "codes"),
    [
        ([], []),
        ([report("web"), report()], []),
        ([report("web", started=20)], []),
        ([report("web")], ["no_worker"]),
        ([report("web"), report(beat=61)], ["no_worker"]),
        ([report("web"), report(beat=121)], ["no_worker", "process_silent"]),
        ([report(beat=121)], []),
        ([report("web"), report(host="b"), report(beat=121)], ["process_silent"]),
        ([report("web"), report(pid=2, started=30), report(beat=121)], []),
        (
            [report("web"), report(pid=3, started=30), report(beat=121), report(pid=2, beat=121)],
            ["process_silent"],
        ),
    ],
    ids=[
        "stopped",
        "all is well",
        "just started",
        "web alone",
        "a worker that hangs",
        "a dead worker",
        "all stopped together",
        "one host of two",
        "replaced",
        "one of two replaced",
    ],
)
def test_missing_and_silent_processes_are_seen(reports: list[ProcessReport], codes: Codes) -> None:
    alarms = process_alarms(reports)
    assert [alarm.code for alarm in alarms] == codes
    if "process_silent" in codes:
        assert "worker on a (process" in alarms[-1].message


@pytest.mark.parametrize(
    ("reports", "codes"),
    [
        ([report(clock_ahead_seconds=-4.0, disk_free_bytes=2 * GIBIBYTE)], []),
        ([report(), report(host="b", clock_ahead_seconds=-7200.0)], ["clock_skew"]),
        ([report(), report(host="b", disk_free_bytes=GIBIBYTE // 2)], ["disk_low"]),
        ([report(beat=61, clock_ahead_seconds=7200.0, disk_free_bytes=1)], []),
    ],
    ids=["well", "clock", "disk", "of a dead process"],
)
def test_clocks_and_disks_are_seen(reports: list[ProcessReport], codes: Codes) -> None:
    alarms = machine_alarms(reports)
    assert [alarm.code for alarm in alarms] == codes
    assert all(alarm.facts["host"] == "b" for alarm in alarms)


@pytest.mark.parametrize(
    ("reports", "is_raised"),
    [
        ([report("web")], False),
        ([report(scheduled_seconds_ago=40.0), report(pid=2)], False),
        ([report(started=200)], False),
        ([report(), report(pid=2)], True),
        ([report(scheduled_seconds_ago=301.0)], True),
    ],
    ids=["no worker", "a leader", "just started", "no leader", "a leader that hangs"],
)
def test_a_schedule_that_nobody_keeps_is_seen(reports: list[ProcessReport], *, is_raised: bool) -> None:
    assert [alarm.code for alarm in schedule_alarms(reports)] == ["schedule_behind"] * is_raised


@pytest.fixture
def writer(clean_database: None) -> HeartbeatWriter:
    return HeartbeatWriter(ProcessKind.WEB, 40)


@pytest.fixture
def superuser(database_addresses: Addresses) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as connection:
        yield connection


def test_a_heartbeat_names_process_and_host_until_the_process_stops(
    writer: HeartbeatWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writer.write()
    assert writer.write(), "the first of all living ones"
    monkeypatch.setattr(time, "time", lambda began=time.time: began() - 100)
    other = HeartbeatWriter(ProcessKind.WORKER, 35)
    other.write()
    worker, web = sorted(list_reports(), key=lambda one: one.kind, reverse=True)
    assert (web.kind, web.pid, web.connections_max, web.clock_ahead_seconds) == ("web", os.getpid(), 40, 0.0)
    assert -101 < worker.clock_ahead_seconds < -99
    writer.remove()
    assert [one.kind for one in list_reports()] == ["worker"]


def test_operators_are_mailed_once_when_workers_are_missing_and_when_they_are_back(
    writer: HeartbeatWriter, actor: Any, superuser: psycopg.Connection[Any]
) -> None:
    anna = actor("administrator")
    User.objects.create_user("operator@koppel.example", is_operator=True, language="nl")
    monitor = Monitor(writer)
    monitor.report()
    assert mail.outbox == []
    superuser.execute("UPDATE kit_heartbeat SET started_at = now() - interval '2 minutes'")
    monitor.report()
    findings = list(check_programs())
    monitor.report()
    (message,) = mail.outbox
    assert message.to == ["operator@koppel.example"]
    assert "Er draait geen worker" in message.body
    assert any(not one.is_ok and "No worker is running" in one.text for one in findings), findings
    assert "No worker is running" in signed_in(anna).get("/").content.decode()
    Monitor(HeartbeatWriter(ProcessKind.WORKER, 35)).report()
    monitor.report()
    assert [sent.subject for sent in mail.outbox] == ["Koppel heeft een beheerder nodig", "Koppel werkt weer"]
    assert "No worker is running" not in signed_in(anna).get("/").content.decode()


def test_members_without_responsibility_for_the_organisation_see_no_alarm(
    writer: HeartbeatWriter, actor: Any, superuser: psycopg.Connection[Any]
) -> None:
    writer.write()
    superuser.execute("UPDATE kit_heartbeat SET started_at = now() - interval '2 minutes'")
    Monitor(writer).report()
    assert "No worker is running" not in signed_in(actor("user")).get("/").content.decode()


def test_work_that_waits_is_seen(actor: Any, superuser: psycopg.Connection[Any]) -> None:
    superuser.execute(
        "INSERT INTO procrastinate_jobs (task_name, queue_name, args, scheduled_at) "
        "VALUES ('notifications.send_emails', 'default', '{}', now() - interval '11 minutes')"
    )
    texts = " ".join(finding.text for finding in check_programs())
    assert "A job (notifications.send_emails) has been waiting for 11 minutes" in texts
    assert "Syncs waiting" not in texts


def test_the_sum_of_connections_is_shown(writer: HeartbeatWriter, superuser: psycopg.Connection[Any]) -> None:
    writer.write()
    assert any("open at most 40 connections" in one.text for one in check_programs())
    superuser.execute("UPDATE kit_heartbeat SET connections_max = 5000")
    assert any(one.is_advice and "Raise max_connections" in one.text for one in check_programs())


def test_a_full_disk_is_seen(clean_database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kit_alarms, "free_bytes", lambda: 100 * 1024**2)
    assert any(not one.is_ok and "only 100 MB of disk left" in one.text for one in check_programs())


def test_a_database_that_cannot_be_written_is_seen(
    database_addresses: Addresses, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{database_addresses.app_url}?options=-c%20default_transaction_read_only%3Don"
    monkeypatch.setenv("DATABASE_URL", url)
    readiness = readiness_now()
    assert readiness.content == {"status": "unavailable", "reasons": ["database_read_only"]}
    Monitor(HeartbeatWriter(ProcessKind.WEB, 1)).report()
    assert not Heartbeat.objects.exists()


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("DATABASE_URL", "postgresql://koppel@127.0.0.1:9/koppel", Unreadiness.DATABASE_UNREACHABLE),
        ("KOPPEL_VAULT_KEYS", "abc", Unreadiness.KEYS_UNUSABLE),
        ("KOPPEL_SECRET_KEY", "short", Unreadiness.KEYS_UNUSABLE),
    ],
)
def test_a_process_that_cannot_serve_is_not_ready(
    clean_database: None, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    assert readiness_now().is_ready
    monkeypatch.setenv(variable, value)
    assert readiness_now().reasons == (reason,)


def test_pending_migrations_make_a_process_unready(
    clean_database: None, superuser: psycopg.Connection[Any]
) -> None:
    superuser.execute("UPDATE django_migrations SET app = 'x_sync' WHERE app = 'sync'")
    try:
        assert readiness_now().reasons == (Unreadiness.MIGRATIONS_PENDING,)
    finally:
        superuser.execute("UPDATE django_migrations SET app = 'sync' WHERE app = 'x_sync'")


def test_many_probes_share_one_question_to_a_database_that_hangs() -> None:
    answered, questions = threading.Event(), []

    def hanging() -> Readiness:
        questions.append(True)
        answered.wait()
        return Readiness()

    async def story() -> None:
        check = ReadinessCheck(hanging)
        first = await asyncio.gather(*(check.readiness() for _number in range(5)))
        assert all(one.reasons == (Unreadiness.DATABASE_SLOW,) for one in first)
        assert len(questions) == 1
        answered.set()
        assert (await check.readiness()).is_ready

    asyncio.run(story())


LOG = """
2026-11-30 10:00:00 UTC [12] PANIC:  could not write to file "pg_wal/xlogtemp.12": No space left on device
2026-11-30 10:00:01 UTC [14] FATAL:  the database system is not yet accepting connections
2026-11-30 10:00:01 UTC [1] LOG:  shutting down due to startup process failure
"""


def test_the_true_reason_is_reported_when_the_embedded_database_is_down(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    log.write_text(LOG)
    assert failure_reason(tmp_path).startswith("the disk is full: ")
    log.write_text(LOG.replace("No space left on device", "Input/output error"))
    assert "Input/output error" in failure_reason(tmp_path)
    assert "it said nothing" in failure_reason(tmp_path, log.stat().st_size)


def test_alarms_have_both_languages() -> None:
    for code, alarm_type in kit_alarms.ALARM_TYPES.items():
        english = str(alarm_type.message)
        with translation.override("nl"):
            assert str(alarm_type.message) != english, code


def test_the_constants_leave_room_for_a_missed_heartbeat() -> None:
    assert heartbeats_module.SILENT_AFTER_SECONDS >= 3 * heartbeats_module.BEAT_SECONDS
    assert InstallationAlarm.NO_WORKER in kit_alarms.ALARM_TYPES
