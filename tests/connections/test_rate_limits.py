"""Quotas in PostgreSQL between the rate limiters of several processes and the sandbox."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from koppel.connections.rate_limits import QuotaKey, RateLimitedHttp, RateLimiter, leases, usage_reporter
from koppel.connections.rate_limits.quota import LEASE_SECONDS
from koppel.connections.sessions.runtime import Runtime, runtime
from koppel.connections.sessions.vendor_sessions import describing_session
from koppel.connector.contract import rate_limits_of
from koppel.connector.errors import RateLimited
from koppel.connector.registry import connector
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.http.client import HttpClient, Response
from koppel.kit.tenancy import organisation_scope, set_scope_sql
from tests.fixtures.stack import PATIENCE_SECONDS, Connected, MakeConnected

HOURLY = {"x-ratelimit-limit": "100", "x-ratelimit-policy": "4-fixed-window", "x-ratelimit-reset": "3600"}


def record(limiter: RateLimiter, key: QuotaKey, organisation_id: int, answer: Response) -> None:
    """As a session does: the connector reads what the answer states."""
    limiter.record_response(key, organisation_id, answer, rate_limits_of(connector("visma_net"), answer))


def in_workers(work: Callable[[list[Runtime]], Awaitable[Any]], count: int) -> Any:
    """`count` runtimes as those of separate workers: they share nothing but the database."""

    async def within() -> Any:
        async with HttpClient() as http:
            return await opened(http, [], count)

    async def opened(http: HttpClient, runtimes: list[Runtime], more: int) -> Any:
        if not more:
            return await work(runtimes)
        async with runtime(http, size=3) as worker_runtime:
            return await opened(http, [*runtimes, worker_runtime], more - 1)

    return asyncio.run(within())


def first_company(connected: Connected) -> int:
    with organisation_scope(connected.actor.organisation_id):
        return int(connected.connection.companies.order_by("pk").values_list("pk", flat=True)[0])


def describe_until_refused(connected: Connected, workers: int, quota: int) -> tuple[int, list[RateLimited]]:
    company = first_company(connected)
    call_count, refusals = 0, []

    async def describe_on(worker: Runtime) -> None:
        nonlocal call_count
        session = await describing_session(worker, connected.actor.organisation_id, company)
        for _index in range(quota + 5):
            try:
                await connector("visma_net").describe_company(session)
                call_count += 1
            except RateLimited as limited:
                refusals.append(limited)
                if limited.retry_after_seconds > 5:
                    return
                await asyncio.sleep(limited.retry_after_seconds)

    in_workers(lambda call_count: asyncio.gather(*map(describe_on, call_count)), workers)
    return call_count, refusals


@pytest.mark.parametrize("workers", [1, 3])
def test_a_quota_is_used_to_its_last_call_and_the_vendor_never_has_to_refuse(
    connected: MakeConnected, workers: int
) -> None:
    firm = connected()
    firm.sandbox.control("settings", {"quota": 40, "quota_seconds": 600})
    firm.sandbox.forget_calls()
    call_count, refusals = describe_until_refused(firm, workers, 40)
    calls = firm.sandbox.calls("/v1/organization")
    assert [one["status"] for one in calls] == [200] * 40
    assert call_count == 40
    assert refusals[-1].code == "call_budget"
    assert 500 < refusals[-1].retry_after_seconds <= 601, "until the window ends, as the vendor said"


def test_a_worker_asks_the_database_far_less_often_than_it_calls(
    connected: MakeConnected, database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Besides what it reports once a second, and slow calls take many."""
    monkeypatch.setattr(usage_reporter, "REPORT_SECONDS", 3600)
    firm = connected()
    company = first_company(firm)

    async def hundred_calls(runtimes: list[Runtime]) -> None:
        session = await describing_session(runtimes[0], firm.actor.organisation_id, company)
        for _index in range(100):
            await connector("visma_net").describe_company(session)

    before = budget_writes(database_addresses)
    in_workers(hundred_calls, 1)
    assert budget_writes(database_addresses) - before <= 15


def test_another_worker_goes_on_when_one_died_with_a_slice(clean_database: None) -> None:
    key = QuotaKey.for_company(1, "company")

    async def story(runtimes: list[Runtime]) -> None:
        dead, living, successor = (
            RateLimiter(runtimes[0].database),
            RateLimiter(runtimes[1].database),
            RateLimiter(runtimes[1].database),
        )
        await dead.acquire(key, 1)
        record(dead, key, 1, left(99))
        await dead.acquire(key, 1)  # holds fifty calls now, makes one, and is never heard of again
        await dead.reporter.stop()
        async with runtimes[0].database.installation_transaction() as connection:
            await age_leases(connection, LEASE_SECONDS + 1)
        await living.acquire(key, 1)
        with pytest.raises(RateLimited):
            await successor.acquire(key, 1)  # uncertain until the living worker has its response
        record(living, key, 1, left(97))
        await living.close()
        for calls in range(96, -1, -1):
            await successor.acquire(key, 1)
            record(successor, key, 1, left(calls))
        with pytest.raises(RateLimited):
            await successor.acquire(key, 1)
        await successor.close()

    def left(calls: int) -> Response:
        return Response(status=200, headers={**HOURLY, "x-ratelimit-remaining": str(calls)}, body=b"")

    async def age_leases(connection: Any, seconds: float) -> None:
        row = await (await connection.execute("SELECT state FROM connections_rate_limit")).fetchone()
        for lease in row[0]["leases"].values():
            lease["until"] -= seconds
        await connection.execute("UPDATE connections_rate_limit SET state = %s", [json.dumps(row[0])])

    in_workers(story, 2)


def test_when_the_vendor_is_down_it_is_left_alone_for_all_companies(clean_database: None) -> None:
    async def story(runtimes: list[Runtime]) -> None:
        limiter = RateLimiter(runtimes[0].database)
        for company in range(12):
            for _index in range(5):
                await limiter.acquire(QuotaKey.for_company(1, str(company)), 1)
                record(
                    limiter,
                    QuotaKey.for_company(1, str(company)),
                    1,
                    Response(status=502, headers={}, body=b""),
                )
        await limiter.close()
        other = RateLimiter(runtimes[1].database)
        with pytest.raises(RateLimited) as refused:
            await other.acquire(QuotaKey.for_company(1, "another company"), 1)
        assert refused.value.code == "error_budget"
        await other.acquire(QuotaKey.for_company(2, "through another app"), 1)
        await other.close()

    in_workers(story, 2)


def test_no_organisation_sees_the_budgets(clean_database: None, database_addresses: Addresses) -> None:
    with psycopg.connect(database_addresses.app_url) as connection:
        connection.execute(*set_scope_sql(0))
        connection.execute(
            "INSERT INTO connections_rate_limit (app_id, company, state, updated_at) VALUES (1, 'x', '{}', "
            "now())"
        )
        connection.execute(*set_scope_sql(7))
        assert connection.execute("SELECT count(*) FROM connections_rate_limit").fetchone() == (0,)
        with pytest.raises(InsufficientPrivilege):
            connection.execute(
                "INSERT INTO connections_rate_limit (app_id, company, state, updated_at) VALUES (1, 'y', "
                "'{}', now())"
            )


def budget_writes(addresses: Addresses) -> int:
    with psycopg.connect(addresses.superuser_url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        row = connection.execute(
            "SELECT n_tup_upd + n_tup_ins FROM pg_stat_user_tables WHERE relname = 'connections_rate_limit'"
        ).fetchone()
        return int(row[0]) if row else 0


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {**HOURLY, "x-ratelimit-remaining": "9", "x-ratelimit-reset": "inf"}),
        (429, {"retry-after": "inf"}),
        (429, {"retry-after": "1e400"}),
    ],
)
def test_an_absurd_answer_does_not_close_a_company_for_ever(
    clean_database: None, status: int, headers: dict[str, str]
) -> None:
    """Nor those that ask in the same breath."""

    async def story(runtimes: list[Runtime]) -> None:
        limiter, other = RateLimiter(runtimes[0].database), RateLimiter(runtimes[1].database)
        odd, well = QuotaKey.for_company(1, "odd"), QuotaKey.for_company(1, "well")
        await limiter.acquire(odd, 1)
        record(limiter, odd, 1, Response(status=status, headers=headers, body=b""))
        await limiter.close()
        refused, granted = await asyncio.gather(
            other.acquire(odd, 1), other.acquire(well, 1), return_exceptions=True
        )
        assert granted is None
        if status == 200:
            assert refused is None
        else:
            assert isinstance(refused, RateLimited)
            assert 0 < refused.retry_after_seconds <= 86_400
        await other.close()

    in_workers(story, 2)


def test_a_request_during_the_return_of_an_idle_slice_gets_another(
    clean_database: None, database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is slow over the report that gives it back; meanwhile the next run of the company
    begins.
    """
    monkeypatch.setattr(leases, "IDLE_SECONDS", -1.0)
    monkeypatch.setattr(usage_reporter, "REPORT_SECONDS", 0.01)
    key, other = QuotaKey.for_company(1, "company"), QuotaKey.for_company(1, "other")

    async def story(runtimes: list[Runtime]) -> None:
        limiter = RateLimiter(runtimes[0].database)
        with _held_budget(database_addresses) as held:
            await limiter.acquire(key, 1)
            record(limiter, key, 1, remaining(99))
            await held.lock(key)
            runs = [asyncio.create_task(limiter.acquire(one, 1)) for one in (key, other)]
            await asyncio.sleep(0)
            held.release()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(*runs)
        await limiter.close()

    in_workers(story, 1)


def test_two_runs_of_one_company_that_ask_one_after_the_other_both_get_calls(
    clean_database: None, database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second asks while the database still thinks about the first: neither takes away what the other was
    given.
    """
    monkeypatch.setattr(usage_reporter, "REPORT_SECONDS", 3600)
    key = QuotaKey.for_company(1, "company")

    async def story(runtimes: list[Runtime]) -> None:
        limiter = RateLimiter(runtimes[0].database)
        with _held_budget(database_addresses) as held:
            await limiter.acquire(key, 1)
            record(limiter, key, 1, remaining(99))
            await held.lock(key)
            first = asyncio.create_task(limiter.acquire(key, 1))
            await held.is_waited_for()
            second = asyncio.create_task(limiter.acquire(key, 1))
            await asyncio.sleep(0)
            held.release()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.gather(first, second)
        await limiter.close()

    in_workers(story, 1)


def test_slices_that_go_to_and_fro_make_no_call_too_many(
    clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers with many runs of two firms; whatever lies idle for a moment is given back, and everything
    is reported.
    """
    monkeypatch.setattr(leases, "IDLE_SECONDS", 0.02)
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(usage_reporter, "REPORT_SECONDS", 0.001)
    key, quota, calls = QuotaKey.for_company(1, "company"), 100, 0

    async def run(limiter: RateLimiter, firm: int) -> None:
        nonlocal calls
        while calls < quota:
            try:
                await limiter.acquire(key, firm)
            except RateLimited as limited:
                if limited.retry_after_seconds > 5:
                    return
                await asyncio.sleep(limited.retry_after_seconds / 10)
                continue
            calls += 1
            left = quota - calls
            await asyncio.sleep(0)
            record(limiter, key, firm, remaining(left))

    async def story(runtimes: list[Runtime]) -> None:
        workers = [RateLimiter(one.database) for one in runtimes]
        await asyncio.gather(
            *(run(worker, firm) for worker in workers for firm in (1, 2) for _each in range(4))
        )
        for worker in workers:
            await worker.close()

    in_workers(story, 2)
    assert calls == quota


def remaining(calls: int) -> Response:
    return Response(status=200, headers={**HOURLY, "x-ratelimit-remaining": str(calls)}, body=b"")


class _Holder:
    """Somebody else's transaction, which holds a company's budget as a slow machine would."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    async def lock(self, key: QuotaKey) -> None:
        self._connection.execute(
            "SELECT FROM connections_rate_limit WHERE app_id = %s AND company = %s FOR UPDATE",
            [key.app_id, key.subject],
        )
        if usage_reporter.REPORT_SECONDS < 1:
            await self.is_waited_for()

    async def is_waited_for(self) -> None:
        waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                self._connection.execute("SELECT pg_stat_clear_snapshot()")
                row = self._connection.execute(waiting).fetchone()
                if row and row[0]:
                    return
                await asyncio.sleep(0.01)

    def release(self) -> None:
        self._connection.rollback()


@contextmanager
def _held_budget(database_addresses: Addresses) -> Iterator[_Holder]:
    with psycopg.connect(database_addresses.superuser_url) as connection:
        yield _Holder(connection)


def test_a_connector_that_fails_over_a_header_leaves_no_call_uncounted() -> None:
    class Failing(SimpleNamespace):
        def rate_limits(self, response: Response) -> None:
            raise KeyError("x-ratelimit-limit")

    counted: list[Any] = []

    async def acquire(*_quota: Any) -> None:
        pass

    async def send(*_arguments: Any, **_options: Any) -> Response:
        return remaining(5)

    rate_limiter: Any = SimpleNamespace(
        acquire=acquire, record_response=lambda *arguments: counted.append(arguments)
    )
    http: Any = SimpleNamespace(send=send)
    limited = RateLimitedHttp(
        http, rate_limiter, cast("Any", Failing()), QuotaKey.for_company(1, "company"), 1
    )
    assert asyncio.run(limited.send("GET", "https://vendor.test/")).status == 200
    assert [arguments[3] for arguments in counted] == [()]
