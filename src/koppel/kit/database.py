"""PostgreSQL for async code: a pool of psycopg connections as the application role, each transaction in a named scope.

Django's async ORM runs on one thread; workers read and write hundreds of pages a second, so they use psycopg itself.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from koppel.kit.tenancy import INSTALLATION, set_scope_sql

KEEP_ALIVE: dict[str, Any] = {"keepalives_idle": 15, "tcp_user_timeout": 15000}
WAIT_SECONDS = 60
GIVE_UP = "-c idle_in_transaction_session_timeout=15s"
"""A process that was stopped in the middle of a transaction, and whose machine still answers, must not hold its locks."""
Connection = AsyncConnection[tuple[Any, ...]]


class Database:
    """Use as `async with Database.open(size=8) as database`."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, *, size: int) -> AsyncIterator["Database"]:
        pool = AsyncConnectionPool(
            os.environ["DATABASE_URL"],
            min_size=1,
            max_size=size,
            timeout=WAIT_SECONDS,
            kwargs={"application_name": "koppel worker", "options": GIVE_UP, **KEEP_ALIVE},
            check=AsyncConnectionPool.check_connection,
            open=False,
        )
        async with pool:
            yield cls(pool)

    @asynccontextmanager
    async def scoped(self, organisation_id: int) -> AsyncIterator[Connection]:
        """One transaction that may touch this organisation's rows; committed at the end of the block."""
        if organisation_id <= INSTALLATION:
            raise ValueError("An organisation's scope needs the id of an organisation.")
        async with self._transaction(organisation_id) as connection:
            yield connection

    @asynccontextmanager
    async def for_installation(self) -> AsyncIterator[Connection]:
        """One transaction over all organisations: the sweeper and the scheduler."""
        async with self._transaction(INSTALLATION) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(self, scope: int) -> AsyncIterator[Connection]:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(*set_scope_sql(scope))
            yield connection


async def lock_connection() -> Connection:
    """A connection of its own for session advisory locks. The caller closes it.

    The server too looks whether the other end lives, so that a machine that lost its power gives its locks back in 15 s."""
    connection = await AsyncConnection.connect(
        os.environ["DATABASE_URL"], autocommit=True, application_name="koppel locks", **KEEP_ALIVE
    )
    await connection.execute(_SERVER_LOOKS.encode())
    return connection


_SERVER_LOOKS = "".join(
    f"SET {name} = {value};"
    for name, value in (
        ("tcp_keepalives_idle", 5),
        ("tcp_keepalives_interval", 5),
        ("tcp_keepalives_count", 2),
        ("tcp_user_timeout", 15000),
    )
)
