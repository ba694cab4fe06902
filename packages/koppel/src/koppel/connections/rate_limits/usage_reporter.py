"""The exchange of one process's usage for calls: when a caller has none left, and once a second for all
leases.

Exchanges follow each other, so that the database sees the usage of a lease in order.
"""

import asyncio
import time
from collections.abc import Mapping

import structlog

from koppel.connections.rate_limits.leases import LeaseCache, LeaseKey
from koppel.connections.rate_limits.quota import Allocation
from koppel.connections.rate_limits.quota_store import QuotaStore

REPORT_SECONDS = 1.0

log = structlog.get_logger(__name__)
Requests = dict[LeaseKey, "asyncio.Future[Allocation]"]


class UsageReporter:
    """Fills a `LeaseCache` from a `QuotaStore`. `close` gives all leases back."""

    def __init__(self, leases: LeaseCache, store: QuotaStore) -> None:
        self._leases, self._store = leases, store
        self._requests: Requests = {}
        self._requests_in_exchange: Requests = {}
        self._lock = asyncio.Lock()
        self._answering: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to report once a second, unless it was begun."""
        if self._reporting is None:
            self._reporting = asyncio.create_task(self._report_periodically())

    async def stop(self) -> None:
        """End the reports. Leases end by themselves."""
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)

    async def close(self) -> None:
        """Report the calls that were made and give back the leases."""
        await self.stop()
        if self._answering is not None:
            await asyncio.gather(self._answering, return_exceptions=True)
        async with self._lock:
            await self._exchange(self._leases.keys(), done=True)

    async def report(self, key: LeaseKey) -> None:
        """Report the usage of one lease at once. What cannot be stored now is in the next report."""
        try:
            async with self._lock:
                await self._exchange([key], done=True)
        except Exception as error:
            log.warning("rate_limit_report_failed", error=type(error).__name__, reason=str(error)[:200])

    async def request(self, key: LeaseKey) -> Allocation:
        """Ask for calls in the next exchange, and fill the lease with them.

        Callers with the same key share one allocation, also that of the exchange under way: another exchange
        would give back what the first caller has not used yet.
        """
        future = self._requests_in_exchange.get(key) or self._requests.get(key)
        if future is None:
            future = self._requests[key] = asyncio.get_running_loop().create_future()
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_requests())
        return await asyncio.shield(future)

    async def _answer_requests(self) -> None:
        while self._requests:
            requests: Requests = {}
            try:
                async with self._lock:
                    requests, self._requests = self._requests, {}
                    self._requests_in_exchange = requests
                    await self._exchange(list(requests), requests, done=True)
            except Exception as error:
                for future in requests.values():
                    if not future.done():
                        future.set_exception(error)
                        future.exception()  # its caller may have stopped waiting
            finally:
                self._requests_in_exchange = {}

    async def _report_periodically(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            try:
                async with self._lock:
                    idle, active = self._leases.due_reports(time.monotonic())
                    await self._exchange(idle, done=True)
                    await self._exchange(active, done=False)
            except Exception as error:
                log.warning("rate_limit_report_failed", error=type(error).__name__, reason=str(error)[:200])

    async def _exchange(
        self,
        keys: list[LeaseKey],
        requests: Mapping[LeaseKey, "asyncio.Future[Allocation]"] | None = None,
        *,
        done: bool,
    ) -> None:
        """Report usage for all `keys` and allocate calls to the requests among them, in one transaction."""
        if not keys:
            return
        began = time.monotonic()
        reports = {key: self._leases.take_report(key, began, done=done) for key in keys}
        try:
            allocations = await self._store.settle(reports, requests or {}, began)
        except BaseException:
            for key, report in reports.items():
                self._leases.restore(key, report)
            raise
        for key in keys:
            self._leases.extend(key)
            if requests and key in requests:
                self._leases.fill(key, allocations[key], time.monotonic())
                if not requests[key].done():
                    requests[key].set_result(allocations[key])
            elif done and key not in self._requests:
                # A caller that came meanwhile holds this lease: the next exchange reports and fills it.
                self._leases.drop_unused(key)
