"""Call quotas and error limits, shared by all workers on all machines through PostgreSQL.

`RateLimiter` is one process's side: it leases calls in batches, and uses the database only for the next batch
and, once a second, to report for all companies at once. A caller waits at most for the response of a call
under way: a company without calls raises `RateLimited`, and its run goes back to the queue.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

import structlog
from django.utils.translation import gettext_noop

from koppel.connections.rate_limits.leases import SERVER_ERROR, LeaseCache, LeaseKey, QuotaKey
from koppel.connections.rate_limits.quota import Allocation, AllocationReason
from koppel.connections.rate_limits.quota_store import QuotaStore
from koppel.connections.rate_limits.usage_reporter import UsageReporter
from koppel.connections.vendor_http import OriginRestrictedHttp
from koppel.connector.contract import Connector, RateLimitStatus, rate_limits_of
from koppel.connector.errors import RateLimited
from koppel.kit.database.pool import Database
from koppel.kit.http.client import Response
from koppel.kit.http.retry_after import requested_pause
from koppel.kit.jobs.process_name import new_process_name
from koppel.kit.quarantine import Quarantined

TOO_MANY_REQUESTS = 429
RETRY_SECONDS_DEFAULT = 60.0
PAUSE_REQUESTED = gettext_noop("The accounting system asked Koppel to wait before the next call.")
TOO_MANY_ERRORS = gettext_noop(
    "Too many calls failed: Koppel leaves the accounting system alone for a moment."
)
CALLS_USED_UP = gettext_noop(
    "The calls that the accounting system allows for this company are used up for now."
)

on_before_request: ContextVar[Callable[[], None] | None] = ContextVar("on_before_request", default=None)
"""A function to call before each request; it may raise one of the connector's errors. Set by the code that
runs a sync.
"""

log = structlog.get_logger(__name__)


class RateLimiter:
    """Leases calls to the sessions of one process. `close` gives all leases back."""

    def __init__(self, database: Database) -> None:
        self._leases = LeaseCache()
        self.reporter = UsageReporter(self._leases, QuotaStore(database, new_process_name()))

    async def acquire(self, quota: QuotaKey, organisation_id: int) -> None:
        """Take a call; `record_response` or `record_failure` must follow. Raises `RateLimited` when no call
        is left.
        """
        self.reporter.start()
        key = LeaseKey(quota, organisation_id)
        while not self._leases.take_call(key, time.monotonic()):
            call_ended = self._leases[key].call_ended
            call_ended.clear()
            allocation = await self.reporter.request(key)
            if (
                allocation.calls == 0
                and allocation.reason is AllocationReason.BUSY
                and self._leases[key].in_flight
            ):
                await call_ended.wait()
            elif allocation.calls == 0:
                raise _refusal(allocation)

    def record_response(
        self, quota: QuotaKey, organisation_id: int, response: Response, limits: Sequence[RateLimitStatus]
    ) -> float:
        """Count a response of any status; `limits` are the limits that it states.

        Returns the seconds of a pause that it asks for; `report` announces the pause to the other processes.
        """
        key, now = LeaseKey(quota, organisation_id), time.monotonic()
        self._leases.record_response(key, response.status, limits, now)
        pause = _pause_seconds(response)
        if pause:
            self._leases.block(key, pause, now)
        return pause

    async def report(self, quota: QuotaKey, organisation_id: int) -> None:
        """Store the counted calls at once: another process, or this one after a restart, needs them."""
        await self.reporter.report(LeaseKey(quota, organisation_id))

    def record_failure(self, quota: QuotaKey, organisation_id: int, *, cancelled_by_us: bool) -> None:
        """Count a call that ended without a response; the vendor may have counted it.

        `cancelled_by_us`: Koppel cancelled it, so it counts as no error of the vendor.
        """
        self._leases.record_failure(
            LeaseKey(quota, organisation_id), time.monotonic(), cancelled_by_us=cancelled_by_us
        )

    async def close(self) -> None:
        """Report the calls that were made and give back the leases."""
        await self.reporter.close()


class RateLimitedHttp:
    """`OriginRestrictedHttp` for one company: each call is taken from its quota, and each response updates
    it.
    """

    def __init__(
        self,
        http: OriginRestrictedHttp,
        rate_limiter: RateLimiter,
        vendor: Connector,
        quota: QuotaKey,
        organisation_id: int,
    ) -> None:
        self._http, self._rate_limiter, self._vendor = http, rate_limiter, vendor
        self._quota = (quota, organisation_id)

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request. Raises `RateLimited` if the quota does not allow the call, and the errors of
        `on_before_request`.
        """
        if before_request := on_before_request.get():
            before_request()
        await self._rate_limiter.acquire(*self._quota)
        try:
            response = await self._http.send(method, url, params=params, headers=headers)
        except BaseException as error:
            self._rate_limiter.record_failure(
                *self._quota, cancelled_by_us=isinstance(error, asyncio.CancelledError | Quarantined)
            )
            raise
        if self._rate_limiter.record_response(*self._quota, response, self._limits(response)):
            await self._rate_limiter.report(*self._quota)
        return response

    def _limits(self, response: Response) -> Sequence[RateLimitStatus]:
        try:
            return rate_limits_of(self._vendor, response)
        except Exception as error:
            # A connector that fails over a header must not leave a call uncounted.
            log.warning("rate_limit_headers_failed", error=type(error).__name__)
            return ()


def _refusal(allocation: Allocation) -> RateLimited:
    if allocation.reason is AllocationReason.ERRORS:
        return RateLimited("error_budget", TOO_MANY_ERRORS, retry_after_seconds=allocation.wait_seconds)
    if allocation.reason is AllocationReason.REQUESTED:
        return RateLimited("pause", PAUSE_REQUESTED, retry_after_seconds=allocation.wait_seconds)
    return RateLimited("call_budget", CALLS_USED_UP, retry_after_seconds=allocation.wait_seconds)


def _pause_seconds(response: Response) -> float:
    """Return the pause that a refusal or a server error asks for. A refusal always asks for one."""
    refused = response.status == TOO_MANY_REQUESTS
    if not refused and response.status < SERVER_ERROR:
        return 0.0
    pause = requested_pause(response.headers)
    return pause.seconds if pause else RETRY_SECONDS_DEFAULT if refused else 0.0
