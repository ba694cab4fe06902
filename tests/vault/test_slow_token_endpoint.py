"""A token endpoint that answers after minutes: one call, no long waits, no lost consent.

The response is held until the test releases it; durations in seconds are scaled down.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest

from koppel.cli.ports import responds
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import RemoteCompany, TimelineEvent
from koppel.connections.sessions.runtime import Runtime
from koppel.connections.vault import refresh_policy, token_refresh
from koppel.connections.vault.graceful_shutdown import WEB_STOP_SECONDS
from koppel.connections.vault.maintenance import TokenMaintenance
from koppel.connector.errors import Unreachable
from koppel.kit.clock import now
from koppel.kit.encryption import Secret
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access.api_tokens import create_token
from koppel.sync.models import Run
from tests.fixtures.stack import (
    CLIENTS,
    PATIENCE_SECONDS,
    Connected,
    MakeConnected,
    Sandbox,
    register_app,
    run_worker,
    wait_until,
)
from tests.sync.factories import import_company
from tests.vault.factories import GrantedAccess, connection_of, create_grants, expire
from tests.vault.processes import kill_at
from tests.vault.test_vault import LONG, error_of, in_thread, process, run_in_runtime, token_of

CLIENT = CLIENTS["company_list"]


@pytest.fixture
def granted_access(clean_database: None, sandbox: Sandbox, actor: Any) -> GrantedAccess:
    """One consent whose access token has ended. The vendor keeps no grace: a second try ends it."""
    sandbox.client(CLIENT, grace_seconds=0)
    return create_grants(sandbox, connection_of(actor(), register_app(sandbox)))[0]


@pytest.fixture
def caller_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers wait a third of a second instead of thirty."""
    for module in (refresh_policy, token_refresh):
        monkeypatch.setattr(module, "CALLER_SECONDS_MAX", 0.3)


def refreshes(sandbox: Sandbox) -> dict[str, int]:
    calls: dict[str, int] = sandbox.control("tokens")["calls"]
    return calls


def release_when(sandbox: Sandbox, holds: Callable[[], bool]) -> None:
    """In a thread, while the caller of the test stands in a call that ends with the answer."""
    wait_until(holds)
    sandbox.release()


@pytest.mark.kill
def test_an_answer_after_sixty_five_seconds_is_stored_and_asked_for_once(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    """In real seconds: neither aiohttp nor the vault gives up; who asked was sent away after half of them."""
    sandbox.client(CLIENT, token_seconds=65)
    assert error_of(granted_access).code == refresh_policy.RENEWAL_SLOW
    assert granted_access.row().generation == 2
    token_of(granted_access)
    assert refreshes(sandbox) == {"refresh_token": 1}


def test_a_slow_call_is_not_repeated_and_callers_are_informed(
    granted_access: GrantedAccess, sandbox: Sandbox, caller_timeout: None
) -> None:
    """Two workers, their callers and their keepers, while the answer is ten minutes away."""
    sandbox.hold("/connect/token")
    grant_key = (granted_access.organisation_id, granted_access.grant_id)

    async def slow(runtime: Runtime) -> None:
        with pytest.raises(Unreachable) as raised:
            await runtime.vault.get_access_token(*grant_key)
        assert (raised.value.code, str(raised.value)) == (refresh_policy.RENEWAL_SLOW, refresh_policy.SLOW)

    async def story() -> list[Secret]:
        async with process() as first, process() as second:
            await slow(first)
            await asyncio.to_thread(wait_until, sandbox.holds)
            for runtime in (second, first, second):
                in_thread(lambda: granted_access.change(maintain_at=now() - timedelta(minutes=10)))
                maintenance = TokenMaintenance(runtime.vault)
                await maintenance.run_once()
                await maintenance.wait()
                await slow(runtime)
            await asyncio.to_thread(
                wait_until, lambda: in_thread(granted_access.row).connection.state == "degraded"
            )
            await asyncio.to_thread(sandbox.release)
            await asyncio.to_thread(wait_until, lambda: in_thread(granted_access.row).generation == 2)
            return [
                await first.vault.get_access_token(*grant_key),
                await second.vault.get_access_token(*grant_key),
            ]

    assert len(set(asyncio.run(story()))) == 1
    assert refreshes(sandbox) == {"refresh_token": 1}
    assert granted_access.row().connection.state == "active"
    with organisation_scope(granted_access.organisation_id):
        event = TimelineEvent.objects.get(connection_id=granted_access.connection_id, kind="degraded")
        assert "slow" in event.context["reason"]


def test_the_old_token_is_used_while_it_lives(
    granted_access: GrantedAccess, sandbox: Sandbox, caller_timeout: None
) -> None:
    expire([granted_access], now() + timedelta(seconds=50))
    sandbox.hold("/connect/token")

    async def story(runtime: Runtime) -> list[Secret]:
        grant_key = (granted_access.organisation_id, granted_access.grant_id)
        tokens = [await runtime.vault.get_access_token(*grant_key) for _each in range(3)]
        await asyncio.to_thread(sandbox.release)
        return tokens

    old = run_in_runtime(story)
    assert len(set(old)) == 1
    assert token_of(granted_access) not in old
    assert refreshes(sandbox) == {"refresh_token": 1}


def test_a_slow_vendor_takes_no_room_from_the_grants_of_others(
    granted_access: GrantedAccess, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caller_timeout: None
) -> None:
    """A keeper that may look after one grant at a time, and two that are slow."""
    monkeypatch.setattr("koppel.connections.vault.maintenance.UNDER_WAY_MAX", 1)
    *slow, quick = create_grants(sandbox, granted_access.row().connection, 3)
    for number, grant in enumerate(slow):
        grant.change(maintain_at=now() - timedelta(hours=1, minutes=number))
    sandbox.hold("/connect/token", times=2)
    quick.change(maintain_at=now())
    before, slow_before = quick.row().generation, [grant.row().generation for grant in slow]

    async def story(runtime: Runtime) -> None:
        maintenance = TokenMaintenance(runtime.vault)
        for held in (1, 2):
            await maintenance.run_once()
            await maintenance.wait()
            await asyncio.to_thread(wait_until, lambda held=held: sandbox.holds(held))
        await maintenance.run_once()
        await maintenance.wait()
        try:
            await asyncio.to_thread(wait_until, lambda: in_thread(quick.row).generation > before)
        finally:
            await asyncio.to_thread(sandbox.release)

    run_in_runtime(story)
    assert all(grant.row().generation > before for grant, before in zip(slow, slow_before, strict=True))


def test_a_process_killed_ten_minutes_into_a_call_leaves_a_token_that_is_tried_at_once(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    sandbox.client(CLIENT, grace_seconds=LONG)
    kill_at({"called": [granted_access]}, sandbox)
    granted_access.change(refresh_started_at=now() - timedelta(minutes=10))
    token_of(granted_access)
    assert sandbox.control("tokens")["within_grace"] == 1


@pytest.mark.kill
def test_a_stopping_worker_waits_for_the_response(
    granted_access: GrantedAccess, sandbox: Sandbox, database_addresses: Any
) -> None:
    """Its keeper had begun; by the time of the answer everything else of the worker is over."""
    sandbox.hold("/connect/token")
    granted_access.change(maintain_at=now())
    with run_worker(database_addresses.superuser_url) as worker:
        wait_until(sandbox.holds)
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: _workers(database_addresses.superuser_url) == 0)
        assert worker.poll() is None
        sandbox.release()
        assert worker.wait(timeout=120) == 0
    assert (granted_access.row().generation, granted_access.row().refresh_started_at) == (2, None)


@pytest.mark.kill
def test_a_stop_waits_no_longer_than_is_set_and_the_intent_stands(
    granted_access: GrantedAccess, sandbox: Sandbox, database_addresses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPPEL_TOKEN_STOP_SECONDS", "0.5")
    sandbox.client(CLIENT, grace_seconds=LONG)
    sandbox.hold("/connect/token")
    granted_access.change(maintain_at=now())
    with run_worker(database_addresses.superuser_url) as worker:
        wait_until(sandbox.holds)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=120) == 0
    assert (granted_access.row().generation, granted_access.row().refresh_started_at is None) == (1, False)
    sandbox.release()
    token_of(granted_access)


def _workers(superuser_url: str) -> int:
    with psycopg.connect(superuser_url) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_workers").fetchone()
    return int(row[0]) if row else 0


def expire_grant(connected: Connected) -> GrantedAccess:
    """The connection's consent: its access token ended, the vendor keeps no grace, and the next answer is
    held back.
    """
    connected.sandbox.client(CLIENT, grace_seconds=0)
    with organisation_scope(connected.actor.organisation_id):
        grant = RemoteCompany.objects.filter(connection=connected.connection).first()
    assert grant is not None
    assert grant.grant_id is not None
    granted_access = GrantedAccess(
        organisation_id=connected.actor.organisation_id,
        connection_id=connected.connection.pk,
        grant_id=grant.grant_id,
        family="",
    )
    expire([granted_access])
    connected.sandbox.hold("/connect/token")
    return granted_access


def test_a_page_says_that_it_is_slow_and_the_answer_is_stored_after_it(
    connected: MakeConnected, caller_timeout: None
) -> None:
    """Anna presses Test now. Her page comes back; the web process keeps waiting."""
    firm = connected()
    granted_access = expire_grant(firm)
    check = check_connection(firm.actor, firm.connection.pk)
    assert (check.code, check.message) == (refresh_policy.RENEWAL_SLOW, refresh_policy.SLOW)
    assert granted_access.row().generation == 1
    firm.sandbox.release()
    wait_until(lambda: granted_access.row().generation == 2)
    assert check_connection(firm.actor, firm.connection.pk).answered


def test_a_run_is_requeued_without_counting_a_failure(connected: MakeConnected, caller_timeout: None) -> None:
    firm = connected()
    synced = import_company(firm)
    granted_access = expire_grant(firm)

    def waits() -> bool:
        with organisation_scope(granted_access.organisation_id):
            return Run.objects.filter(attempt=1, state="queued").exists()

    with ThreadPoolExecutor(1) as threads:
        released = threads.submit(in_thread, lambda: release_when(firm.sandbox, waits))
        run = synced.sync()
        released.result()
    assert (run.state, run.failures, run.crashes) == ("queued", 0, 0)
    assert run.not_before is not None
    assert synced.perform(run.pk).state == "succeeded"
    assert granted_access.row().generation == 2


@pytest.mark.kill
def test_a_stopping_web_process_waits_for_the_response(connected: MakeConnected, free_port: int) -> None:
    """A script of Anna's tests the connection over REST; meanwhile an operator stops the web."""
    firm = connected()
    granted_access, secret = expire_grant(firm), rest_token(firm)
    with run_web(free_port) as web, ThreadPoolExecutor(1) as threads:
        request = threads.submit(
            post_to_api, free_port, secret, f"connections/{firm.connection.pk}/test", b""
        )
        wait_until(firm.sandbox.holds)
        web.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            web.wait(timeout=WEB_STOP_SECONDS + 2)
        firm.sandbox.release()
        assert web.wait(timeout=PATIENCE_SECONDS) == 0
        request.exception()  # whether the request was answered in time is not what a stop promises
    assert granted_access.row().generation == 2
    assert refreshes(firm.sandbox)["refresh_token"] == 1


@pytest.mark.kill
def test_a_web_process_without_such_an_answer_stops_at_once(clean_database: None, free_port: int) -> None:
    with run_web(free_port) as web:
        web.send_signal(signal.SIGTERM)
        assert web.wait(timeout=PATIENCE_SECONDS) == 0


@contextmanager
def run_web(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A real `koppel web` that answers."""
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(port)]
    process = subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: responds(port, "/healthz"))
        yield process
    finally:
        process.terminate()
        process.wait()


def rest_token(firm: Connected) -> str:
    with organisation_scope(firm.actor.organisation_id):
        return create_token(firm.actor, name="script", days=30, role=None, read_only=False)[1].reveal()


def post_to_api(port: int, secret: str, path: str, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {secret}", "Host": "localhost"}
    with urlopen(
        Request(f"http://127.0.0.1:{port}/api/v1/{path}", body, headers), timeout=PATIENCE_SECONDS
    ) as answer:
        answer.read()
