"""Call quotas and error limits, shared by all workers on all machines through PostgreSQL.

`RateLimiter` is one process's side: it leases calls in batches, and uses the database only for the next batch and, once a
second, to report for all companies at once. The arithmetic is in `koppel.connections.rate_limits.quota`. A caller waits at
most for the answer of a call under way: a company without calls raises `RateLimited`, and its run goes back to the queue.
"""

import asyncio
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

import msgspec
import structlog

from koppel.connections.rate_limits import quota
from koppel.connections.rate_limits.quota import (
    LEASE_SECONDS,
    Allocation,
    QuotaState,
    RateLimitReading,
    UsageReport,
    stricter_reading,
)
from koppel.connections.vendor_http import OriginRestrictedHttp
from koppel.connector.errors import RateLimited
from koppel.kit.database.pool import Connection, Database
from koppel.kit.http.client import Response
from koppel.kit.quarantine import Quarantined

REPORT_SECONDS = 1.0
IDLE_SECONDS = 2.0
"""A lease that was not used for so long is given back."""
RENEW_SECONDS = 5.0
USABLE_SECONDS = LEASE_SECONDS - 5
"""Stop using a lease well before its end: a report may be late, a clock uneven."""
APP_ERRORS_MAX = 60
"""With so many failed calls a minute through one app registration, over all companies, the vendor counts as down."""
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500
RETRY_SECONDS_DEFAULT = 60.0
SECONDS_MAX = 86_400.0
"""A waiting time that a vendor states counts for a day at most: an absurd number must not block a company for ever."""
EPOCH = 1_000_000_000

on_before_request: ContextVar[Callable[[], None] | None] = ContextVar("on_before_request", default=None)
"""A function to call before each request; it may raise one of the connector's errors. Set by the code that runs a sync."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, order=True)
class QuotaKey:
    """What a quota is for. `company` is the vendor's id; '' stands for the app registration as a whole."""

    app_id: int
    company: str


@dataclass
class _LocalLease:
    """The calls that this process has leased for one company and organisation, and the usage that it has not reported yet.

    Times are of the monotonic clock, also those in `reported`; they are converted to the database's when reported."""

    left: int = 0
    until: float = 0.0
    in_flight: int = 0
    used_at: float = 0.0
    reported_at: float = 0.0
    reported: UsageReport = field(default_factory=UsageReport)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    def is_usable(self) -> bool:
        return self.left > 0 and time.monotonic() < self.until


LeaseKey = tuple[QuotaKey, int]


class RateLimiter:
    """Leases calls to the sessions of one process. `close` gives all leases back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._leases: dict[LeaseKey, _LocalLease] = {}
        self._pending: dict[LeaseKey, asyncio.Future[Allocation]] = {}
        self._in_exchange: dict[LeaseKey, asyncio.Future[Allocation]] = {}
        self._exchanging: asyncio.Task[None] | None = None
        self._exchange_lock = asyncio.Lock()
        self._reporting: asyncio.Task[None] | None = None

    async def acquire(self, key: QuotaKey, organisation_id: int) -> None:
        """Before a call; `record_response` or `record_failure` must follow. Raises `RateLimited` when no call is left."""
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._report_for_ever())
        lease_key = (key, organisation_id)
        lease = self._leases.setdefault(lease_key, _LocalLease())
        while not lease.is_usable():
            lease.answered.clear()
            lease.used_at = time.monotonic()
            allocation = await self._request_allocation(lease_key)
            if allocation.calls == 0 and allocation.reason == "busy" and lease.in_flight:
                await lease.answered.wait()
            elif allocation.calls == 0:
                raise _refusal(allocation)
            lease = self._leases.setdefault(lease_key, _LocalLease())
        lease.left -= 1
        lease.in_flight += 1
        lease.used_at = time.monotonic()

    def record_response(self, key: QuotaKey, organisation_id: int, response: Response) -> None:
        """Count a call that was answered, with whatever status, and keep what the answer says about the limits."""
        lease = self._record_call_ended((key, organisation_id))
        readings = _readings(response.headers)
        lease.reported.readings |= {
            name: stricter_reading(lease.reported.readings.get(name), reading) for name, reading in readings.items()
        }
        lease.reported.unstated += not readings
        lease.reported.errors += response.status >= SERVER_ERROR
        lease.reported.answered |= response.status < SERVER_ERROR or bool(readings)
        if response.status == TOO_MANY_REQUESTS:
            lease.left = 0
            seconds = _seconds(response.headers.get("retry-after", ""), RETRY_SECONDS_DEFAULT)
            lease.reported.blocked_until = time.monotonic() + seconds

    def record_failure(self, key: QuotaKey, organisation_id: int, *, ours: bool) -> None:
        """Count a call that ended without an answer; the vendor may have counted it.

        `ours`: Koppel cancelled it, so it counts as no error of the vendor."""
        lease = self._record_call_ended((key, organisation_id))
        lease.reported.unstated += 1
        lease.reported.errors += not ours

    async def close(self) -> None:
        """Report the calls that were made and give back the leases."""
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)
        if self._exchanging is not None:
            await asyncio.gather(self._exchanging, return_exceptions=True)
        async with self._exchange_lock:
            if self._leases:
                await self._exchange({}, list(self._leases), done=True)

    def _record_call_ended(self, lease_key: LeaseKey) -> _LocalLease:
        lease = self._leases.setdefault(lease_key, _LocalLease())
        lease.in_flight = max(0, lease.in_flight - 1)
        lease.reported.calls += 1
        lease.used_at = time.monotonic()
        lease.answered.set()
        return lease

    async def _request_allocation(self, lease_key: LeaseKey) -> Allocation:
        """Ask for calls in the next exchange with the database.

        Callers with the same lease key share one allocation, also that of the exchange under way: another exchange would give
        back what the first caller has not used yet."""
        future = self._in_exchange.get(lease_key) or self._pending.get(lease_key)
        if future is None:
            future = self._pending[lease_key] = asyncio.get_running_loop().create_future()
        if self._exchanging is None or self._exchanging.done():
            self._exchanging = asyncio.create_task(self._exchange_requested())
        return await asyncio.shield(future)

    async def _exchange_requested(self) -> None:
        while self._pending:
            requested: dict[LeaseKey, asyncio.Future[Allocation]] = {}
            try:
                async with self._exchange_lock:
                    requested, self._pending = self._pending, {}
                    self._in_exchange = requested
                    await self._exchange(requested, list(requested), done=True)
            except Exception as error:
                for future in requested.values():
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # nobody may be waiting any more
            finally:
                self._in_exchange = {}

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            try:
                async with self._exchange_lock:
                    await self._report()
            except Exception as error:
                log.warning("rate_limit_report_failed", error=type(error).__name__, reason=str(error)[:200])

    async def _report(self) -> None:
        """Give back idle leases, report usage, and renew the leases in use."""
        now = time.monotonic()
        idle, active = [], []
        for lease_key, lease in self._leases.items():
            if now - lease.used_at > IDLE_SECONDS and not lease.in_flight:
                idle.append(lease_key)
            elif lease.reported.calls or now - lease.reported_at > RENEW_SECONDS:
                active.append(lease_key)
        for lease_keys, done in ((idle, True), (active, False)):
            if lease_keys:
                await self._exchange({}, lease_keys, done=done)

    async def _exchange(
        self, requested: Mapping[LeaseKey, "asyncio.Future[Allocation]"], lease_keys: list[LeaseKey], *, done: bool
    ) -> None:
        """In one transaction, report usage for all `lease_keys` and allocate calls to the `requested` ones."""
        usage_reports = {lease_key: self._take_report(lease_key, done=done) for lease_key in lease_keys}
        try:
            allocations = await self._settle_with_database(usage_reports, set(requested))
        except BaseException:
            for lease_key, report in usage_reports.items():
                self._restore_report(lease_key, report)
            raise
        for lease_key in lease_keys:
            lease = self._leases[lease_key]
            lease.until = lease.reported_at + USABLE_SECONDS
            if lease_key in requested:
                lease.left = allocations[lease_key].calls
                lease.used_at = time.monotonic()  # its caller uses it in a moment
                if not requested[lease_key].done():
                    requested[lease_key].set_result(allocations[lease_key])
            elif done and not lease.in_flight and not lease.reported.calls and lease_key not in self._pending:
                # A caller that came meanwhile holds this lease: the next exchange reports and fills it.
                del self._leases[lease_key]

    def _take_report(self, lease_key: LeaseKey, *, done: bool) -> UsageReport:
        lease = self._leases[lease_key]
        report, lease.reported = lease.reported, UsageReport()
        report.done, report.in_flight = done, lease.in_flight
        lease.reported_at = time.monotonic()
        if done:
            lease.left = 0
        return report

    def _restore_report(self, lease_key: LeaseKey, report: UsageReport) -> None:
        """Put back a report that the database did not store, so that the next report includes it."""
        lease = self._leases.setdefault(lease_key, _LocalLease())
        newer = lease.reported
        newer.calls += report.calls
        newer.unstated += report.unstated
        newer.errors += report.errors
        newer.answered |= report.answered
        newer.blocked_until = max(newer.blocked_until, report.blocked_until)
        newer.readings = {**report.readings, **newer.readings}

    async def _settle_with_database(
        self, usage_reports: Mapping[LeaseKey, UsageReport], asking: set[LeaseKey]
    ) -> dict[LeaseKey, Allocation]:
        keys = {key for key, _organisation in usage_reports}
        keys |= {QuotaKey(key.app_id, "") for (key, _organisation), report in usage_reports.items() if report.errors}
        asked_at = time.monotonic()
        async with self._database.installation_transaction() as connection:
            states, app_waits, now = await _read(connection, keys)
            allocations: dict[LeaseKey, Allocation] = {}
            for (key, organisation), report in usage_reports.items():
                quota.apply_report(
                    now,
                    states[key],
                    self._holder(organisation),
                    organisation,
                    _with_database_time(report, now - asked_at),
                )
                if report.errors:
                    quota.apply_report(now, states[QuotaKey(key.app_id, "")], "", 0, UsageReport(errors=report.errors))
            for key, organisation in sorted(asking):
                wait = app_waits.get(key.app_id, 0.0)
                allocations[(key, organisation)] = (
                    Allocation(0, wait, "errors")
                    if wait
                    else quota.allocate(now, states[key], self._holder(organisation), organisation)
                )
            await _write(connection, states)
        return allocations

    def _holder(self, organisation_id: int) -> str:
        return f"{self._name}:{organisation_id}"


class RateLimitedHttp:
    """`OriginRestrictedHttp` for one company: each call is taken from its quota, and each answer updates it."""

    def __init__(
        self, http: OriginRestrictedHttp, rate_limiter: RateLimiter, key: QuotaKey, organisation_id: int
    ) -> None:
        self._http, self._rate_limiter, self._quota = http, rate_limiter, (key, organisation_id)

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request. Raises `RateLimited` when the quota does not allow it, and what `on_before_request` raises."""
        if before_request := on_before_request.get():
            before_request()
        await self._rate_limiter.acquire(*self._quota)
        try:
            answer = await self._http.send(method, url, params=params, headers=headers)
        except BaseException as error:
            self._rate_limiter.record_failure(
                *self._quota, ours=isinstance(error, asyncio.CancelledError | Quarantined)
            )
            raise
        self._rate_limiter.record_response(*self._quota, answer)
        return answer


def rate_limited(
    http: OriginRestrictedHttp, rate_limiter: RateLimiter, app_id: int, company: str | None, organisation_id: int
) -> OriginRestrictedHttp | RateLimitedHttp:
    """Limit the calls for a company. Calls that only list companies are not limited: the vendor does not count them."""
    return http if company is None else RateLimitedHttp(http, rate_limiter, QuotaKey(app_id, company), organisation_id)


def _refusal(allocation: Allocation) -> RateLimited:
    if allocation.reason == "errors":
        message = "Too many calls failed: Koppel leaves the accounting system alone for a moment."
        return RateLimited("error_budget", message, retry_after_seconds=allocation.wait_seconds)
    message = "The calls that the accounting system allows for this company are used up for now."
    return RateLimited("call_budget", message, retry_after_seconds=allocation.wait_seconds)


def _readings(headers: Mapping[str, str]) -> dict[str, RateLimitReading]:
    """Return the reading of the `X-RateLimit-*` headers by policy; empty when they are missing or unreadable.

    `x-ratelimit-reset` is in seconds from now, or in seconds since 1970."""
    try:
        limit, remaining = int(headers["x-ratelimit-limit"]), int(headers["x-ratelimit-remaining"])
        reset = float(headers["x-ratelimit-reset"])
    except (KeyError, ValueError):
        return {}
    if not math.isfinite(reset):
        return {}
    seconds = min(max(0.0, reset - time.time() if reset > EPOCH else reset), SECONDS_MAX)
    return {
        headers.get("x-ratelimit-policy", ""): RateLimitReading(limit, max(0, remaining), time.monotonic() + seconds)
    }


def _with_database_time(readings_in_seconds: UsageReport, offset: float) -> UsageReport:
    """Convert the report's times from the monotonic to the database's clock. The offset makes ends late rather than early."""
    readings = {
        name: RateLimitReading(reading.limit, reading.remaining, reading.ends_at + offset)
        for name, reading in readings_in_seconds.readings.items()
    }
    blocked_until = readings_in_seconds.blocked_until + offset if readings_in_seconds.blocked_until else 0.0
    return msgspec.structs.replace(readings_in_seconds, readings=readings, blocked_until=blocked_until)


def _seconds(text: str, default: float) -> float:
    try:
        return min(max(1.0, float(text)), SECONDS_MAX)
    except ValueError:
        return default


_decode = msgspec.json.Decoder(QuotaState)

_READ = """
SELECT budget.app_id, budget.company, budget.state::text, app.state::text, extract(epoch FROM clock_timestamp())::float8
  FROM connections_rate_limit budget
  LEFT JOIN connections_rate_limit app ON app.app_id = budget.app_id AND app.company = ''
 WHERE (budget.app_id, budget.company) IN (SELECT * FROM unnest(%s::bigint[], %s::text[]))
 ORDER BY budget.app_id, budget.company FOR UPDATE OF budget
"""
_ADD = """
INSERT INTO connections_rate_limit (app_id, company, state, updated_at)
SELECT app_id, company, '{}', now() FROM unnest(%s::bigint[], %s::text[]) AS new (app_id, company) ORDER BY 1, 2
    ON CONFLICT DO NOTHING
"""
_WRITE = """
UPDATE connections_rate_limit budget SET state = new.state::jsonb, updated_at = now()
  FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (app_id, company, state)
 WHERE budget.app_id = new.app_id AND budget.company = new.company
"""


async def _read(
    connection: Connection, keys: Iterable[QuotaKey]
) -> tuple[dict[QuotaKey, QuotaState], dict[int, float], float]:
    """Return the states, locked in a fixed order; how many seconds to leave each app registration with too many failed calls
    alone; and the database's time."""
    requested = sorted(keys)
    columns = [[key.app_id for key in requested], [key.company for key in requested]]
    rows = await (await connection.execute(_READ, columns)).fetchall()
    if len(rows) < len(requested):
        await connection.execute(_ADD, columns)
        rows = await (await connection.execute(_READ, columns)).fetchall()
    states, now = (
        {QuotaKey(app_id, company): _decode.decode(state) for app_id, company, state, *_rest in rows},
        rows[-1][4],
    )
    apps = {app_id: _decode.decode(app) for app_id, _company, _state, app, _now in rows if app}
    waits = {app_id: quota.errors_wait_seconds(now, key, APP_ERRORS_MAX) for app_id, key in apps.items()}
    return states, {app_id: seconds for app_id, seconds in waits.items() if seconds > 0}, now


async def _write(connection: Connection, states: Mapping[QuotaKey, QuotaState]) -> None:
    keys = list(states)
    texts = [msgspec.json.encode(states[key]).decode() for key in keys]
    await connection.execute(_WRITE, [[state.app_id for state in keys], [state.company for state in keys], texts])
