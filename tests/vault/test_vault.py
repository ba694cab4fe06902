"""The vault with each kind of grant, and with every response of a token endpoint."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Timer
from typing import Any, TypeVar

import psycopg
import pytest
from django.db import connections

from koppel.connections.models import Connection, Grant, TimelineEvent
from koppel.connections.sessions import runtime
from koppel.connections.sessions.runtime import Runtime
from koppel.connections.vault.grants import clear_app_failures, store_grant
from koppel.connections.vault.maintenance import TokenMaintenance
from koppel.connector.contract import Tokens
from koppel.connector.errors import ConnectorError, ConsentLost, SetupMissing, Unreachable
from koppel.connector.registry import connectors
from koppel.issues.models import Issue
from koppel.kit.clock import clock_set_to, now
from koppel.kit.encryption import Secret
from koppel.kit.http.client import HttpClient
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Notification
from tests.fixtures.stack import CLIENTS, Sandbox, register_app, wait_until
from tests.vault.factories import GrantedAccess, connection_of, create_grants, expire

T = TypeVar("T")
CLIENT, SERVICE = CLIENTS["company_list"], CLIENTS["service"]
LONG = 3600
"""A grace period that no slow machine outlasts."""


@asynccontextmanager
async def process() -> AsyncIterator[Runtime]:
    async with HttpClient() as http, runtime.runtime(http, size=4) as started:
        yield started


def run_in_runtime(work: Callable[[Runtime], Awaitable[Any]]) -> Any:
    """Run the work in a runtime of its own, as a process would."""

    async def run() -> Any:
        async with process() as started:
            return await work(started)

    return asyncio.run(run())


def token_of(granted_access: GrantedAccess, refused: Secret | None = None) -> Secret:
    token: Secret = run_in_runtime(
        lambda current: current.vault.get_access_token(
            granted_access.organisation_id, granted_access.grant_id, refused
        )
    )
    return token


def error_of(granted_access: GrantedAccess, refused: Secret | None = None) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        token_of(granted_access, refused)
    return raised.value


def token_calls(sandbox: Sandbox) -> int:
    return sum(1 for one in sandbox.calls("/connect/token"))


@pytest.fixture
def granted_access(clean_database: None, sandbox: Sandbox, actor: Any) -> GrantedAccess:
    """One consent whose access token has ended; nothing was asked yet."""
    grant = create_grants(sandbox, connection_of(actor(), register_app(sandbox)))[0]
    sandbox.forget_calls()
    return grant


def test_two_hundred_callers_in_one_process_share_one_call(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    async def all_at_once(process_runtime: Runtime) -> set[Secret]:
        return {
            *await asyncio.gather(
                *(
                    process_runtime.vault.get_access_token(
                        granted_access.organisation_id, granted_access.grant_id
                    )
                    for _ in range(200)
                )
            )
        }

    assert len(run_in_runtime(all_at_once)) == 1
    assert token_calls(sandbox) == 1


def test_a_hundred_and_twenty_grants_are_renewed_at_the_same_time(
    sandbox: Sandbox, granted_access: GrantedAccess
) -> None:
    """A token endpoint that takes its time has all of them to answer, not one after the other."""
    many = create_grants(sandbox, granted_access.row().connection, 120)
    sandbox.hold("/connect/token", times=1000)

    async def all_at_once(process_runtime: Runtime) -> set[Secret]:
        calls = asyncio.gather(
            *(process_runtime.vault.get_access_token(grant.organisation_id, grant.grant_id) for grant in many)
        )
        await asyncio.to_thread(wait_until, lambda: sandbox.holds(len(many)))
        await asyncio.to_thread(sandbox.release)
        return {*await calls}

    assert len(run_in_runtime(all_at_once)) == len(many)


def test_a_reusable_token_is_used_again_and_again(granted_access: GrantedAccess, sandbox: Sandbox) -> None:
    sandbox.client(CLIENT, rotating=False, grace_seconds=0)
    before = bytes(granted_access.row().refresh_token or b"")
    first = token_of(granted_access)
    expire([granted_access])
    second = token_of(granted_access)
    assert first != second
    assert (before, granted_access.row().generation) != (b"", 1)
    assert sandbox.control("tokens")["refusals"] == {}


def test_a_service_grant_has_no_refresh_token_and_is_asked_for_again(
    clean_database: None, sandbox: Sandbox, actor: Any
) -> None:
    """The company takes its approval back: its administration waits for a person, the connection lives."""
    admin, app = actor(), register_app(sandbox, "service")
    connection, tenant = connection_of(admin, app), sandbox.companies()[0]["tenant_id"]
    granted_service = service_grant(admin, connection, tenant)
    token_of(granted_service)
    assert sandbox.control("tokens")["calls"] == {"client_credentials": 1}
    sandbox.control("approvals", {"client_id": SERVICE, "tenant_id": tenant, "approved": False})
    expire([granted_service])
    with clock_set_to(now()):
        assert isinstance(error_of(granted_service), SetupMissing)
        assert isinstance(error_of(granted_service), SetupMissing)
    assert sandbox.control("tokens")["refusals"] == {"invalid_tenant": 1}, (
        "The second caller heard it from the first."
    )
    assert granted_service.row().connection.state == "active"
    sandbox.control("approvals", {"client_id": SERVICE, "tenant_id": tenant, "approved": True})
    granted_service.change(retry_at=now())
    token_of(granted_service)


def service_grant(admin: Any, connection: Connection, tenant: str) -> GrantedAccess:
    ended = Tokens(
        access_token=Secret("ended"),
        refresh_token=None,
        issued_at=now() - timedelta(hours=1),
        expires_at=now(),
    )
    with organisation_scope(admin.organisation_id):
        grant = store_grant(admin.organisation_id, connection, tenant, tenant, ended)
    return GrantedAccess(
        organisation_id=admin.organisation_id, connection_id=connection.pk, grant_id=grant.pk, family=""
    )


def test_a_grant_without_any_way_to_renew_it_asks_for_a_person_when_it_ends(
    granted_access: GrantedAccess,
) -> None:
    granted_access.change(refresh_token=None)
    assert error_of(granted_access).code == "no_refresh_token"
    assert granted_access.row().connection.state == "needs_reauth"


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"kind": "html", "status": 502}, {"kind": "truncate"}], ids=str
)
def test_an_unavailable_token_endpoint_is_retried_with_backoff(
    granted_access: GrantedAccess, sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.client(CLIENT, grace_seconds=LONG)
    sandbox.fault("/connect/token", times=100, **fault)
    with clock_set_to(now()):
        assert {error_of(granted_access).code for _try in range(5)} != {"invalid_grant"}
    assert token_calls(sandbox) == 1
    row = granted_access.row()
    assert (row.failures, row.invalid_since, row.connection.state) == (1, None, "degraded")
    sandbox.control("faults", method="DELETE")
    granted_access.change(retry_at=now())
    token_of(granted_access)
    assert (granted_access.row().failures, granted_access.row().connection.state) == (0, "active")


def test_an_answer_that_broke_off_has_used_up_the_token_and_is_recovered_within_the_grace_period(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    sandbox.client(CLIENT, grace_seconds=LONG)
    sandbox.fault("/connect/token", kind="drop")
    error_of(granted_access)
    granted_access.change(retry_at=now())
    token_of(granted_access)
    assert sandbox.control("tokens")["within_grace"] == 1


def test_without_a_grace_period_the_reason_is_the_answer_that_broke_off(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    sandbox.client(CLIENT, grace_seconds=0)
    sandbox.fault("/connect/token", kind="drop")
    error_of(granted_access)
    granted_access.change(retry_at=now())
    lost = error_of(granted_access)
    assert lost.code == "answer_lost"
    assert "did not respond" in granted_access.row().connection.reason


def test_a_consent_withdrawn_while_the_endpoint_could_not_be_reached_is_called_withdrawn(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    """Nothing was sent, so no answer of ours was lost."""
    reachable = dict(granted_access.row().connection.app.base_urls)
    _address(granted_access, {**reachable, "identity": "http://127.0.0.1:9"})
    assert isinstance(error_of(granted_access), Unreachable)
    assert granted_access.row().refresh_started_at is None
    _address(granted_access, reachable)
    sandbox.control("revoke", {})
    granted_access.change(retry_at=now())
    assert error_of(granted_access).code == "invalid_grant"


def _address(granted_access: GrantedAccess, addresses: dict[str, str]) -> None:
    with installation_scope("test"):
        app = granted_access.row().connection.app
        type(app).objects.filter(pk=app.pk).update(base_urls=addresses)


def test_a_changed_client_secret_loses_no_grant(granted_access: GrantedAccess, sandbox: Sandbox) -> None:
    """An Administrator corrects it, and everything goes on without a new sign-in."""
    sandbox.client(CLIENT, secret="another")
    assert isinstance(error_of(granted_access), ConsentLost)
    assert error_of(granted_access).code == "invalid_client"
    assert token_calls(sandbox) == 1
    row = granted_access.row()
    assert (row.invalid_since, row.connection.state) == (None, "needs_reauth")
    sandbox.client(CLIENT, secret="koppel-demo-secret")
    with installation_scope("test"):
        assert clear_app_failures(row.connection.app) == 1
    token_of(granted_access)
    assert granted_access.row().connection.state == "active"


def test_a_live_token_is_used_on_while_the_endpoint_is_down(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    sandbox.fault("/connect/token", status=503, times=100)
    with clock_set_to(now()):
        expire([granted_access], now() + timedelta(seconds=30))
        token_of(granted_access)
    assert (granted_access.row().failures, granted_access.row().connection.state) == (1, "active")


def test_a_token_that_is_refused_again_after_its_renewal_is_not_the_reason(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    """A company that always answers 401 costs one refresh a minute, however often it is called."""
    token = token_of(granted_access)
    renewed = token_of(granted_access, refused=token)
    assert renewed != token
    assert [token_of(granted_access, refused=renewed) for _try in range(3)] == [renewed] * 3
    assert token_calls(sandbox) == 2


def test_the_vendor_is_not_asked_before_it_allows(
    granted_access: GrantedAccess, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.client(CLIENT, access_seconds=600)
    with clock_set_to(now()):
        token = token_of(granted_access)
        sandbox.client(CLIENT, refresh_not_before_seconds=570)
        _forbid_early_refresh(monkeypatch)
        refusal = error_of(granted_access, refused=token)
        assert isinstance(refusal, Unreachable)
        assert refusal.retry_after_seconds == 571
        granted_access.change(
            issued_at=now() - timedelta(seconds=565), expires_at=now() + timedelta(seconds=35)
        )
        assert token_of(granted_access) == token, "It ends within a minute, but may not be renewed yet."
    assert token_calls(sandbox) == 1


def _forbid_early_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    system = connectors()["visma_net"]
    strict = replace(system.descriptor, refresh_not_before=timedelta(seconds=570))
    monkeypatch.setattr(type(system), "descriptor", strict)


@pytest.mark.parametrize("seconds", [0, 3], ids=["at once", "after the machine stood still"])
def test_losing_the_lock_connection_does_not_repeat_the_call(
    granted_access: GrantedAccess, sandbox: Sandbox, database_addresses: Any, seconds: int
) -> None:
    """While the endpoint thinks, every lock connection is cut; then another process wants the token."""
    sandbox.client(CLIENT, grace_seconds=0)
    sandbox.hold("/connect/token")
    grant_key = (granted_access.organisation_id, granted_access.grant_id)

    async def two() -> list[Secret]:
        async with process() as first_process, process() as other:
            first = asyncio.create_task(first_process.vault.get_access_token(*grant_key))
            await asyncio.to_thread(wait_until, sandbox.holds)
            await asyncio.to_thread(_terminate_connections, database_addresses.superuser_url)
            second = asyncio.create_task(other.vault.get_access_token(*grant_key))
            await asyncio.sleep(0.2)
            time.sleep(seconds)  # both stand still, in the middle of what they do about it
            await asyncio.sleep(1)  # time to make a mistake; who is slower makes none
            await asyncio.to_thread(sandbox.release)
            return [await second, await first]

    assert len(set(asyncio.run(two()))) == 1
    assert sandbox.control("tokens")["calls"] == {"refresh_token": 1}


def _terminate_connections(superuser_url: str) -> None:
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'koppel%'"
        )


def test_a_caller_that_gives_up_does_not_stop_the_refresh(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    """Neither does the end of the program: the answer is stored before the vault is closed."""
    sandbox.client(CLIENT, grace_seconds=0)
    sandbox.hold("/connect/token")

    async def give_up(process_runtime: Runtime) -> None:
        caller = asyncio.create_task(
            process_runtime.vault.get_access_token(granted_access.organisation_id, granted_access.grant_id)
        )
        await asyncio.to_thread(wait_until, sandbox.holds)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        Timer(0.5, sandbox.release).start()  # while the vault is being closed

    run_in_runtime(give_up)
    assert granted_access.row().generation == 2
    assert granted_access.row().refresh_started_at is None


def test_a_new_sign_in_during_a_refresh_is_not_overwritten_by_its_answer(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    sandbox.hold("/connect/token")
    fresh = sandbox.control("grants", {"client_id": CLIENT})["grants"][0]
    from tests.vault.factories import tokens_of

    async def meanwhile(process_runtime: Runtime) -> Secret:
        old = asyncio.create_task(
            process_runtime.vault.get_access_token(granted_access.organisation_id, granted_access.grant_id)
        )
        await asyncio.to_thread(wait_until, sandbox.holds)
        await asyncio.to_thread(sign_in)
        await asyncio.to_thread(sandbox.release)
        return await old

    def sign_in() -> None:
        from django.db import connections

        row = granted_access.row()
        with organisation_scope(granted_access.organisation_id):
            store_grant(granted_access.organisation_id, row.connection, row.subject, "", tokens_of(fresh))
        connections.close_all()

    assert run_in_runtime(meanwhile) == Secret(fresh["access_token"])


def test_the_keeper_renews_unused_grants(granted_access: GrantedAccess, sandbox: Sandbox) -> None:
    """Half the vendor's limit has passed, the connection is paused, nothing is due."""
    issued = now() - timedelta(hours=13)
    granted_access.change(
        issued_at=issued, expires_at=issued + timedelta(hours=1), maintain_at=issued + timedelta(hours=12)
    )
    with organisation_scope(granted_access.organisation_id):
        Connection.objects.filter(pk=granted_access.connection_id).update(state="paused")
    _keep(times=2)
    row = granted_access.row()
    assert row.generation == 2
    assert row.maintain_at is not None
    assert timedelta(hours=9) < row.maintain_at - now() < timedelta(hours=12, minutes=1)
    assert token_calls(sandbox) == 1


def test_the_keeper_brings_a_degraded_connection_back(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    sandbox.fault("/connect/token", status=503)
    error_of(granted_access)
    assert granted_access.row().connection.state == "degraded"
    granted_access.change(retry_at=now(), maintain_at=now())
    _keep()
    assert granted_access.row().connection.state == "active"
    with organisation_scope(granted_access.organisation_id):
        assert (
            TimelineEvent.objects.filter(connection_id=granted_access.connection_id, kind="degraded").count()
            == 1
        )


def test_consents_that_were_given_together_are_not_renewed_together_for_ever(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    """A hundred in one minute, unused: their next renewals lie hours apart."""
    many = create_grants(sandbox, granted_access.row().connection, 100, expired=False)
    with organisation_scope(granted_access.organisation_id):
        rows = Grant.objects.filter(pk__in=[one.grant_id for one in many])
        at = sorted(one for one in rows.values_list("maintain_at", flat=True) if one is not None)
    assert len(at) == 100
    assert at[-1] - at[0] > timedelta(hours=1)
    assert at[-1] - now() < timedelta(hours=12, minutes=1)


def test_a_token_endpoint_that_is_down_for_an_hour_is_asked_seldom_and_comes_back_by_itself(
    granted_access: GrantedAccess, sandbox: Sandbox
) -> None:
    """The hour passes on two clocks, the vault's and the vendor's; syncs ask for a token every ten
    seconds.
    """
    sandbox.fault("/connect/token", kind="down", status=503, times=10_000)
    began, passed = now(), timedelta(0)

    async def hour(process_runtime: Runtime) -> None:
        nonlocal passed
        maintenance = TokenMaintenance(process_runtime.vault)
        while passed < timedelta(hours=1):
            await maintenance.run_once()
            await maintenance.wait()
            with pytest.raises(Unreachable):
                await process_runtime.vault.get_access_token(
                    granted_access.organisation_id, granted_access.grant_id
                )
            passed += timedelta(seconds=10)
        assert 10 < token_calls(sandbox) < 25, "at growing pauses of up to five minutes"
        assert given_row().connection.state == "degraded"
        sandbox.control("faults", method="DELETE")
        sandbox.control("clock", {"advance_seconds": passed.total_seconds()})
        passed += timedelta(minutes=6)
        await maintenance.run_once()
        await maintenance.wait()

    def given_row() -> Grant:
        return in_thread(granted_access.row)

    with clock_set_to(lambda: began + passed):
        run_in_runtime(hour)
    row = granted_access.row()
    assert (row.failures, row.invalid_since, row.connection.state) == (0, None, "active")
    with organisation_scope(granted_access.organisation_id):
        kinds = list(TimelineEvent.objects.order_by("pk").values_list("kind", flat=True))
        assert kinds == ["degraded"]
        assert not Notification.objects.exists()
        assert not Issue.objects.exists()


def in_thread(work: Callable[[], T]) -> T:
    """Django's own connections belong to a thread without a loop."""
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(work).result()
        pool.submit(connections.close_all).result()
    return result


def _keep(times: int = 1) -> None:
    async def keep(process_runtime: Runtime) -> None:
        maintenance = TokenMaintenance(process_runtime.vault)
        for _round in range(times):
            await maintenance.run_once()
            await maintenance.wait()

    run_in_runtime(keep)
