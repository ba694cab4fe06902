"""State that calls to vendors share within a process, for the length of a web request or for the life of a
worker.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from django.conf import settings

from koppel.connections.health import HealthReporter
from koppel.connections.rate_limits import RateLimiter
from koppel.connections.sessions.token_probe import TokenProbe
from koppel.connections.vault import CALL_SECONDS_MAX, TokenRefresher
from koppel.kit.database.pool import Database
from koppel.kit.http.client import HttpClient, refuse_in_transaction
from koppel.kit.http.outbound_budget import CallKind, call_slot

T = TypeVar("T")
WEB_CALL_SECONDS_MAX = 60
CONNECT_SECONDS_MAX = 30
"""How long opening a connection to a token endpoint may take, with the name lookup: afterwards the vendor may
have received the request.
"""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Runtime:
    """The state that async work shares within a process."""

    database: Database
    http: HttpClient
    vault: TokenRefresher
    rate_limiter: RateLimiter
    health: HealthReporter
    token_probe: TokenProbe


_current_worker: list[Runtime] = []


@asynccontextmanager
async def runtime(http: HttpClient, *, size: int) -> AsyncIterator[Runtime]:
    """Open what calls to vendors need, with at most `size` database connections, and close it at the end of
    the block.
    """
    # The vault calls through connections of its own: syncs that use up theirs must not keep a token waiting.
    async with (
        HttpClient(
            timeout_seconds=CALL_SECONDS_MAX, connect_seconds=CONNECT_SECONDS_MAX, connections_max=0
        ) as token_http,
        Database.open(size=size) as database,
    ):
        vault, rate_limiter = TokenRefresher(database, token_http), RateLimiter(database)
        try:
            yield Runtime(database, http, vault, rate_limiter, HealthReporter(database), TokenProbe())
        finally:
            try:
                await rate_limiter.close()
            finally:
                await vault.close(settings.TOKEN_STOP_SECONDS)


def call_vendor_blocking(work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Run vendor calls to their end from synchronous code (a web request or a command).

    Runs in a thread of its own, which outlives the request while a refresh is under way: the response of a
    token endpoint exists nowhere else, and may take longer than a person waits for a page. Raises `CallsBusy`
    when too many requests of this process wait for vendors, and `RuntimeError` inside a database transaction.
    """
    refuse_in_transaction()
    with call_slot(CallKind.VENDOR):
        calls = _BackgroundCalls(work)
        # Not a daemon: a process that ends waits for it.
        threading.Thread(target=copy_context().run, args=(calls.run,), name="koppel calls").start()
        try:
            return calls.outcome.result()
        except KeyboardInterrupt:
            calls.cancel()
            raise


class _BackgroundCalls(Generic[T]):
    """Work in a thread. `outcome` is set when everything is closed, or earlier when the vault still refreshes
    a token.
    """

    def __init__(self, work: Callable[[Runtime], Awaitable[T]]) -> None:
        self.outcome: Future[T] = Future()
        self._work = work
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[T] | None = None

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                result = runner.run(self._run())
            except BaseException as error:
                self._end(error)
            else:
                self._end(None, result)

    def cancel(self) -> None:
        """Cancel the work, but not the vault's refreshes."""
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _run(self) -> T:
        async with (
            HttpClient(timeout_seconds=WEB_CALL_SECONDS_MAX) as http,
            runtime(http, size=4) as open_runtime,
        ):
            self._task = asyncio.ensure_future(self._work(open_runtime))
            await asyncio.wait([self._task])
            if open_runtime.vault.refreshing_grant_ids:
                self._end_with(self._task)
            return self._task.result()

    def _end_with(self, task: "asyncio.Task[T]") -> None:
        if task.cancelled():
            self._end(asyncio.CancelledError())
        elif error := task.exception():
            self._end(error)
        else:
            self._end(None, task.result())

    def _end(self, error: BaseException | None, *results: T) -> None:
        if not self.outcome.done():
            if error is None:
                self.outcome.set_result(*results)
            else:
                self.outcome.set_exception(error)
        elif error is not None and error is not self.outcome.exception():
            log.warning("calls_not_closed", error=type(error).__name__)


@asynccontextmanager
async def as_worker(http: HttpClient, *, size: int) -> AsyncIterator[Runtime]:
    """Open the runtime of a worker; its tasks get it from `current_worker`."""
    async with runtime(http, size=size) as current:
        _current_worker.append(current)
        try:
            yield current
        finally:
            _current_worker.remove(current)


def current_worker() -> Runtime:
    """Return the worker's runtime. Raises `RuntimeError` outside a worker."""
    if not _current_worker:
        raise RuntimeError("This task runs in a worker only.")
    return _current_worker[-1]
