"""State that calls to vendors share within a process: `blocking_calls` opens it for web requests, `as_worker`
for a worker.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from django.conf import settings

from koppel.connections.health import HealthReporter
from koppel.connections.rate_limits import RateLimiter
from koppel.connections.sessions.token_probe import TokenProbe
from koppel.connections.vault import CALL_SECONDS_MAX, TOKEN_CACHE_SECONDS, TokenRefresher
from koppel.kit.database.pool import Database
from koppel.kit.http.client import HttpClient

CONNECT_SECONDS_MAX = 30
"""How long opening a connection to a token endpoint may take, with the name lookup: afterwards the vendor may
have received the request.
"""


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
async def runtime(
    http: HttpClient, *, size: int, token_cache_seconds: float = TOKEN_CACHE_SECONDS
) -> AsyncIterator[Runtime]:
    """Open what calls to vendors need, with at most `size` database connections, and close it at the end of
    the block. `token_cache_seconds`: how long a token is used without reading its grant again.
    """
    # The vault calls through connections of its own: syncs that use up theirs must not keep a token waiting.
    async with (
        HttpClient(
            timeout_seconds=CALL_SECONDS_MAX, connect_seconds=CONNECT_SECONDS_MAX, connections_max=0
        ) as token_http,
        Database.open(size=size) as database,
    ):
        vault = TokenRefresher(database, token_http, cache_seconds=token_cache_seconds)
        rate_limiter = RateLimiter(database)
        try:
            yield Runtime(database, http, vault, rate_limiter, HealthReporter(database), TokenProbe())
        finally:
            try:
                await rate_limiter.close()
            finally:
                await vault.close(settings.TOKEN_STOP_SECONDS)


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
