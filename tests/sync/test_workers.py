"""Real workers that are killed, stopped and notified during an import. The sandbox is slowed down."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import connections

from koppel.administrations.models import Administration
from koppel.connections.lifecycle import resume_connection
from koppel.connections.models import Connection
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import Run
from koppel.sync.runs.services import request_first_runs, request_run
from tests.connections.factories import import_first
from tests.fixtures.stack import PATIENCE_SECONDS, Connected, MakeConnected, run_worker, wait_until
from tests.sync.factories import import_company

Worker = subprocess.Popen[bytes]
NEVER_POLLS = "from koppel.sync.worker import dispatcher; dispatcher.POLL_SECONDS = 3600.0"
HEARS_LATE = """
import asyncio
connect = dispatcher.open_lock_connection
async def late():
    await asyncio.sleep(3)
    return await connect()
dispatcher.open_lock_connection = late
"""


@pytest.fixture
def start_worker(clean_database: None, database_addresses: Addresses) -> Iterator[Callable[[], Worker]]:
    running = []

    def start() -> Worker:
        context = run_worker(database_addresses.superuser_url)
        running.append(context)
        return context.__enter__()

    yield start
    for context in reversed(running):
        context.__exit__(None, None, None)


def runs_of(firm: Connected) -> list[Run]:
    with organisation_scope(firm.actor.organisation_id):
        return list(Run.objects.order_by("pk"))


def pages_of(firm: Connected) -> int:
    return len(firm.sandbox.calls("/v"))


def block_second_page(firm: Connected, administrations: list[Administration]) -> None:
    """Each of them when its first page of entries is written and the second is asked for, until the sandbox
    is released. Nothing that was read waits to be written then.
    """
    for administration in administrations:
        company = int(administration.remote_company.external_id)
        firm.sandbox.fault("journaltransaction", kind="hold", company=company, skip=1)


def are_all_active(firm: Connected) -> bool:
    with organisation_scope(firm.actor.organisation_id):
        return not Administration.objects.exclude(status="active").exists()


def test_a_requested_sync_notifies_the_worker(
    connected: MakeConnected, database_addresses: Addresses
) -> None:
    anna = connected()
    (administration,) = import_first(anna)
    with run_worker(database_addresses.superuser_url, first=NEVER_POLLS) as worker:
        for number in range(3):
            with organisation_scope(anna.actor.organisation_id):
                assert request_run(anna.actor, administration.pk)
            wait_until(lambda: runs_of(anna)[number].state == "succeeded")  # noqa: B023 - asked at once
        assert worker.poll() is None


def test_runs_requested_before_listen_are_claimed(
    connected: MakeConnected, database_addresses: Addresses
) -> None:
    """It looked before that, and looks by itself only much later."""
    anna = connected()
    (administration,) = import_first(anna)
    with run_worker(database_addresses.superuser_url, first=f"{NEVER_POLLS}; {HEARS_LATE}"):
        with organisation_scope(anna.actor.organisation_id):
            request_run(anna.actor, administration.pk)
        wait_until(lambda: runs_of(anna)[0].state == "succeeded")


@pytest.mark.kill
def test_another_worker_takes_over_when_the_heartbeat_expires(
    connected: MakeConnected, start_worker: Callable[[], Worker]
) -> None:
    """Nobody tells the other one. The promise of 30 s is measured by `bench/H2_two_hosts.py`."""
    anna = connected()
    import_first(anna, 3, sync=True)
    anna.sandbox.hold("journaltransaction", times=1000)
    first = start_worker()
    wait_until(lambda: anna.sandbox.holds(3))
    start_worker()
    first.send_signal(signal.SIGKILL)
    anna.sandbox.release()
    wait_until(lambda: all(run.attempt >= 2 for run in runs_of(anna)))
    wait_until(lambda: are_all_active(anna))


def test_a_stopping_worker_requeues_its_runs_after_a_page(
    connected: MakeConnected, start_worker: Callable[[], Worker]
) -> None:
    anna = connected()
    block_second_page(anna, import_first(anna, 3, sync=True))
    first = start_worker()
    wait_until(lambda: anna.sandbox.holds(3))
    first.send_signal(signal.SIGTERM)
    anna.sandbox.release()
    first.wait(timeout=PATIENCE_SECONDS)
    assert first.returncode == 0
    assert {run.state for run in runs_of(anna)} == {"queued"}
    called = [
        (call["path"], str(sorted(call["query"].items())), call["company"])
        for call in anna.sandbox.calls("/v")
    ]
    anna.sandbox.forget_calls()
    start_worker()
    wait_until(lambda: are_all_active(anna))
    repeated = [
        (call["path"], str(sorted(call["query"].items())), call["company"])
        for call in anna.sandbox.calls("/v")
    ]
    asked_at_every_start = ("/v1/financialPeriod", "/v1/organization")
    periods = [call for call in repeated if call in called and not call[0].endswith(asked_at_every_start)]
    assert len(periods) <= 3, "no page is read twice but the one in flight"


def test_a_frozen_worker_that_wakes_up_writes_nothing_more(
    connected: MakeConnected, start_worker: Callable[[], Worker]
) -> None:
    anna = connected()
    (administration,) = import_first(anna, 1, sync=True)
    block_second_page(anna, [administration])
    frozen = start_worker()
    wait_until(anna.sandbox.holds)
    frozen.send_signal(signal.SIGSTOP)
    anna.sandbox.release()
    other = start_worker()
    with organisation_scope(anna.actor.organisation_id):
        Run.objects.update(
            heartbeat_at="2020-01-01T00:00:00Z"
        )  # waits if the frozen one holds the run just now
    wait_until(lambda: are_all_active(anna))
    (run,) = runs_of(anna)
    assert run.state == "succeeded"
    assert run.attempt >= 2, "it may have had to wait until the frozen one's calls came back"
    other.send_signal(signal.SIGKILL)
    other.wait()
    frozen.send_signal(signal.SIGCONT)
    with organisation_scope(anna.actor.organisation_id):
        assert request_run(anna.actor, administration.pk)
    wait_until(lambda: runs_of(anna)[1].state == "succeeded")
    assert runs_of(anna)[0] == run
    assert (runs_of(anna)[0].attempt, runs_of(anna)[0].finished_at) == (run.attempt, run.finished_at)
    assert frozen.poll() is None, "it lives on and does other work"


def test_a_run_claimed_during_a_pause_is_requeued(connected: MakeConnected, worker: Worker) -> None:
    """The pause did not see it: to the one who paused, nobody held it yet."""
    anna = connected()
    import_first(anna, 1, sync=True)
    anna.sandbox.hold("journaltransaction", times=1000)
    wait_until(lambda: anna.sandbox.holds(1))
    with organisation_scope(anna.actor.organisation_id):
        Connection.objects.update(state="paused")
    wait_until(lambda: runs_of(anna)[0].state == "queued")
    anna.sandbox.release()
    with organisation_scope(anna.actor.organisation_id):
        assert resume_connection(anna.actor, anna.connection.pk)
    wait_until(lambda: are_all_active(anna))
    assert worker.poll() is None


@pytest.mark.kill
def test_a_database_crash_costs_one_page_and_needs_no_action(
    connected: MakeConnected, start_worker: Callable[[], Worker], database_addresses: Addresses
) -> None:
    """One of its processes is killed, so PostgreSQL starts anew and forgets all that was not committed."""
    anna = connected()
    kept = import_company(anna, 0)
    with organisation_scope(anna.actor.organisation_id):
        request_first_runs(anna.actor, [kept.administration_id])
    kept.paging(page_size_max=20)
    anna.sandbox.control("settings", {"latency_seconds": 0.1})
    worker = start_worker()
    wait_until(lambda: pages_of(anna) >= 14)
    crash(database_addresses.superuser_url)
    connections.close_all()
    wait_until(lambda: accepts_connections(database_addresses.superuser_url))
    called = [(one["path"], str(sorted(one["query"].items()))) for one in anna.sandbox.calls("/v2/journal")]
    anna.sandbox.forget_calls()
    anna.sandbox.control("settings", {"latency_seconds": 0})
    wait_until(lambda: are_all_active(anna))
    repeated = [(one["path"], str(sorted(one["query"].items()))) for one in anna.sandbox.calls("/v2/journal")]
    assert len([one for one in repeated if one in called]) <= 1, "the page that was under way"
    assert kept.is_exact()
    assert worker.poll() is None, "the same worker went on"


def crash(url: str) -> None:
    """Kills a process of PostgreSQL; returns when PostgreSQL has noticed.

    Until then it still lets people in.
    """
    with psycopg.connect(url, autocommit=True) as watching:
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'koppel worker' LIMIT 1"
        row = watching.execute(query).fetchone()
        assert row is not None, "no session of a worker"
        os.kill(row[0], signal.SIGKILL)
        with pytest.raises(psycopg.OperationalError):
            watching.execute("SELECT pg_sleep(%s)", [PATIENCE_SECONDS])


def accepts_connections(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
