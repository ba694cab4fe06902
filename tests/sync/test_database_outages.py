"""Errors of our own database: outages are waited out, every other error is a crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError as DjangoDatabaseError
from django.db import OperationalError as DjangoOperationalError
from django.db import connections
from django.utils import timezone
from procrastinate import RetryStrategy
from procrastinate.jobs import Job
from psycopg.errors import lookup
from psycopg_pool import PoolTimeout

from koppel.connector.contract import Page
from koppel.connectors.visma_net.connector import VismaNet
from koppel.issues.models import Issue
from koppel.kit.database import pool
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.outage import RetryAfterOutage
from koppel.kit.tenancy import organisation_scope
from koppel.sync.engine import page_commit
from koppel.sync.models import Run
from koppel.sync.runs.services import request_first_runs
from tests.fixtures.stack import MakeConnected, run_worker, wait_until
from tests.sync.factories import Synced, import_company

OUTAGES = ["57014", "57P01", "55P03", "25006", "26000", "40P01", "40001", "53100", "53300", "08006"]
FAULTS = ["22012", "XX000", "25P02"]
LOCKED = "LOCK TABLE sync_checkpoint IN EXCLUSIVE MODE"


@contextmanager
def refuse_checkpoints_with(addresses: Addresses, state: str) -> Iterator[None]:
    """PostgreSQL refuses to keep a checkpoint, with this SQLSTATE; runs it can record."""
    body = f"BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END"
    with psycopg.connect(addresses.superuser_url, autocommit=True) as connection:
        connection.execute(f"CREATE FUNCTION test_refuse() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        connection.execute(
            "CREATE TRIGGER test_refuse BEFORE INSERT OR UPDATE ON sync_checkpoint EXECUTE FUNCTION "
            "test_refuse()"
        )
        try:
            yield
        finally:
            connection.execute("DROP FUNCTION test_refuse CASCADE")


@contextmanager
def application_role(addresses: Addresses, setting: str, value: str) -> Iterator[None]:
    """New sessions of Koppel's role begin with this setting, until the end of the block."""
    with psycopg.connect(addresses.superuser_url, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE koppel_app SET {setting} = {value}")
        try:
            yield
        finally:
            connection.execute(f"ALTER ROLE koppel_app RESET {setting}")


def read_run_state(run: Run) -> tuple[str, str, int, int]:
    return (run.state, run.reason_code, run.failures, run.crashes)


@pytest.mark.parametrize("state", OUTAGES)
def test_an_outage_does_not_count_as_a_failure(
    synced: Synced, database_addresses: Addresses, state: str
) -> None:
    with refuse_checkpoints_with(database_addresses, state):
        run = synced.sync()
    assert read_run_state(run) == ("queued", "database", 0, 0)
    assert synced.perform(run.pk).state == "succeeded"


def test_an_outage_is_waited_for_at_growing_pauses_however_often(
    synced: Synced, database_addresses: Addresses
) -> None:
    pauses = []
    with refuse_checkpoints_with(database_addresses, "57014"):
        run = synced.sync()
        for minutes in (1, 5, 14):
            assert read_run_state(run) == ("queued", "database", 0, 0)
            assert run.not_before is not None
            assert run.last_outage_at is not None
            pauses.append((run.not_before - run.last_outage_at).total_seconds())
            _age(synced, run, timedelta(minutes=minutes))
            run = synced.perform(run.pk)
    assert 3.9 < pauses[0] < 6.1
    assert all(40 < one < 73 for one in pauses[1:])
    assert not open_issues(synced)
    assert synced.perform(run.pk).state == "succeeded"
    assert synced.is_exact()


def _age(synced: Synced, run: Run, by: timedelta) -> None:
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.filter(pk=run.pk).update(outage_since=timezone.now() - by)


def open_issues(synced: Synced) -> list[str]:
    with organisation_scope(synced.actor.organisation_id):
        return list(
            Issue.objects.filter(resolved_at=None, code="database_errors").values_list("code", flat=True)
        )


def test_after_a_quarter_of_an_hour_an_issue_says_so_until_it_is_well_again(
    synced: Synced, database_addresses: Addresses
) -> None:
    with refuse_checkpoints_with(database_addresses, "57014"):
        run = synced.sync()
        _age(synced, run, timedelta(minutes=16))
        run = synced.perform(run.pk)
    assert read_run_state(run) == ("queued", "database", 0, 0)
    assert open_issues(synced) == ["database_errors"]
    assert synced.perform(run.pk).state == "succeeded"
    assert open_issues(synced) == []


@pytest.mark.parametrize("state", FAULTS)
def test_every_other_error_is_a_crash_and_the_third_one_ends_the_run(
    synced: Synced, database_addresses: Addresses, state: str
) -> None:
    with refuse_checkpoints_with(database_addresses, state):
        run = synced.sync()
        assert read_run_state(run) == ("queued", "crashed", 0, 1)
        assert synced.perform(run.pk).crashes == 2
        run = synced.perform(run.pk)
    assert (run.state, run.reason_code) == ("failed", "crashed")
    assert synced.sync().state == "succeeded"


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
def test_a_limit_of_time_that_strikes_is_an_outage(
    synced: Synced, database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Somebody's maintenance holds the table; PostgreSQL itself breaks the statement off, after 2 s instead
    of a minute or a quarter of an hour.
    """
    assert f"-c {setting}=" in pool.TIME_OUT_OPTIONS
    monkeypatch.setattr(pool, "TIME_OUT_OPTIONS", f"-c {setting}=2s")
    with psycopg.connect(database_addresses.superuser_url) as maintenance:
        maintenance.execute(LOCKED)
        run = synced.sync()
        maintenance.rollback()
    assert read_run_state(run) == ("queued", "database", 0, 0)
    assert synced.perform(run.pk).state == "succeeded"


def test_crashes_after_committed_pages_are_limited(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    read, left = VismaNet.read_page, 0

    async def reading(self: VismaNet, *how: Any) -> Page:
        nonlocal left
        left -= 1
        if left < 0:
            raise RuntimeError("a fault of ours")
        return await read(self, *how)

    monkeypatch.setattr(page_commit, "PENDING_ROWS_MAX", -1)
    monkeypatch.setattr(VismaNet, "read_page", reading)
    left = 1
    run, cursors = synced.sync(), []
    for _attempt in range(2):
        cursors.append(sum(one.pages for one in synced.run_resources(run).values()))
        left = 2
        run = synced.perform(run.pk)
    assert 0 < cursors[0] < cursors[1], "Pages came through in between."
    assert (run.state, run.reason_code) == ("failed", "crashed")


@pytest.mark.kill
def test_a_worker_waits_for_a_database_that_is_read_only_for_a_while(
    connected: MakeConnected, database_addresses: Addresses
) -> None:
    """As after a failover to a standby: the worker can record nothing, not even that it waits.

    Nobody restarts it.
    """
    synced = import_company(connected())
    with run_worker(database_addresses.superuser_url) as worker:
        synced.sandbox.hold("journaltransaction")
        with organisation_scope(synced.actor.organisation_id):
            request_first_runs(synced.actor, [synced.administration_id])
        wait_until(synced.sandbox.holds)
        with application_role(database_addresses, "default_transaction_read_only", "on"):
            end_sessions(database_addresses)
            synced.sandbox.release()
            wait_until(lambda: heartbeat_age(database_addresses) > timedelta(seconds=12))
        wait_until(lambda: state_of(synced)[0] not in ("queued", "running"))
        assert worker.poll() is None
    assert state_of(synced) == ("succeeded", 0, 0)
    assert synced.is_exact()


def end_sessions(addresses: Addresses) -> None:
    connections.close_all()
    with psycopg.connect(addresses.superuser_url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'koppel_app'"
        )


def heartbeat_age(addresses: Addresses) -> timedelta:
    """For how long no worker could write that it lives."""
    with psycopg.connect(addresses.superuser_url) as connection:
        row = connection.execute("SELECT now() - max(heartbeat_at) FROM sync_run").fetchone()
    assert row is not None
    silence: timedelta = row[0]
    return silence


def state_of(synced: Synced) -> tuple[str, int, int]:
    with organisation_scope(synced.actor.organisation_id):
        row: tuple[str, int, int] = Run.objects.values_list("state", "failures", "crashes").latest("pk")
        return row


@pytest.mark.parametrize("state", OUTAGES)
def test_a_job_is_repeated_after_any_number_of_outages(state: str) -> None:
    """Bulk work, mail, look-ups: also when Django, or the queue itself, wrapped what PostgreSQL said."""
    error = wrap_error(lookup(state)("not now"))
    assert will_retry(RetryAfterOutage(), error, attempts=100)
    assert will_retry(RetryAfterOutage(RetryStrategy(max_attempts=3)), error, attempts=100)


@pytest.mark.parametrize(
    "error", [PoolTimeout(), psycopg.OperationalError("gone"), DjangoOperationalError("gone")], ids=repr
)
def test_no_connection_at_all_is_an_outage_for_jobs_too(error: Exception) -> None:
    assert will_retry(RetryAfterOutage(), wrap_error(error), attempts=100)


@pytest.mark.parametrize("state", FAULTS)
def test_a_failing_job_is_repeated_a_limited_number_of_times(state: str) -> None:
    error = wrap_error(lookup(state)("a fault of ours"))
    assert not will_retry(RetryAfterOutage(), error, attempts=0)
    assert will_retry(RetryAfterOutage(RetryStrategy(max_attempts=3)), error, attempts=2)
    assert not will_retry(RetryAfterOutage(RetryStrategy(max_attempts=3)), error, attempts=3)


def wrap_error(cause: Exception) -> Exception:
    error = DjangoDatabaseError("in Django's words")
    error.__cause__ = cause
    return error


def will_retry(strategy: RetryAfterOutage, error: Exception, attempts: int) -> bool:
    job = Job(id=1, lock=None, queueing_lock=None, task_name="bulk", queue="default", attempts=attempts)
    return strategy.get_retry_decision(exception=error, job=job) is not None
