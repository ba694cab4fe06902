"""Makes a `Runtime`: for the length of a web request, or for the life of a worker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from koppel.connections.budgets import Budgets
from koppel.connections.pulse import Pulse
from koppel.connections.renewal import CALL_SECONDS_MAX
from koppel.connections.sessions import Runtime
from koppel.connections.trial import Trials
from koppel.connections.vault import Vault
from koppel.kit import http as outbound
from koppel.kit.database import Database
from koppel.kit.http import HttpClient

T = TypeVar("T")

_of_worker: list[Runtime] = []


@asynccontextmanager
async def runtime(http: HttpClient, *, size: int) -> AsyncIterator[Runtime]:
    """`size` database connections at most."""
    # The vault calls through connections of its own: syncs that use up theirs must not keep a token waiting.
    async with (
        HttpClient(timeout_seconds=CALL_SECONDS_MAX, connections_max=0) as token_http,
        Database.open(size=size) as database,
    ):
        vault, budgets = Vault(database, token_http), Budgets(database)
        try:
            yield Runtime(database, http, vault, budgets, Pulse(database), Trials())
        finally:
            await budgets.close()
            await vault.close()


def run(work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Do vendor calls from a web request or a command. Raises `RuntimeError` inside a database transaction."""

    async def within(http: HttpClient) -> T:
        async with runtime(http, size=4) as made:
            return await work(made)

    return outbound.run(within)


@asynccontextmanager
async def as_worker(http: HttpClient, *, size: int) -> AsyncIterator[Runtime]:
    """The worker's own: tasks find it with `of_worker`."""
    async with runtime(http, size=size) as made:
        _of_worker.append(made)
        try:
            yield made
        finally:
            _of_worker.remove(made)


def of_worker() -> Runtime:
    """Raises `RuntimeError` outside a worker."""
    if not _of_worker:
        raise RuntimeError("This task runs in a worker only.")
    return _of_worker[-1]
