"""PostgreSQL for async code: a pool of psycopg connections as the application role.

Each transaction has a named scope. Django's async ORM runs on one thread; workers read and write hundreds of
pages a second, so they use psycopg directly.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection, AsyncCursor, adapters
from psycopg.types.string import BytesBinaryDumper
from psycopg_pool import AsyncConnectionPool

from koppel.kit.database.outage import needs_new_session
from koppel.kit.database.replication import Durability, connection_limits, durability_sql
from koppel.kit.database.turns import wait_for_turn
from koppel.kit.tenancy import INSTALLATION

# The last registered dumper serves COPY. psycopg's default for bytes calls Python for each payload and hash.
adapters.register_dumper(bytes, BytesBinaryDumper)
WORKER_APPLICATION_NAME = "koppel worker"
WAIT_SECONDS = 60
IDLE_IN_TRANSACTION_OPTION = "-c idle_in_transaction_session_timeout=15s"
"""A process that was suspended within a transaction must not hold its locks, even if its machine still
responds.
"""
TIME_OUT_OPTIONS = "-c statement_timeout=15min -c lock_timeout=60s"
"""Longer than any page of a sync, and than any lock that Koppel holds."""
HEALTHCHECK_AFTER_IDLE_SECONDS = 2.0
DatabaseConnection = AsyncConnection[tuple[Any, ...]]


class Database:
    """Use as `async with Database.open(size=8) as database`."""

    def __init__(self, pool: AsyncConnectionPool[DatabaseConnection]) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, *, size: int) -> AsyncIterator["Database"]:
        url = os.environ["DATABASE_URL"]
        pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=size,
            timeout=WAIT_SECONDS,
            kwargs={
                "application_name": WORKER_APPLICATION_NAME,
                "autocommit": True,
                "options": f"{IDLE_IN_TRANSACTION_OPTION} {TIME_OUT_OPTIONS}",
                **connection_limits(url),
            },
            check=_check_after_idling,
            open=False,
        )
        async with pool:
            yield cls(pool)

    @asynccontextmanager
    async def tenant_transaction(
        self, organisation_id: int, *, guard: str = "", durability: Durability = Durability.SERVER
    ) -> AsyncIterator[DatabaseConnection]:
        """Open a transaction in the scope of an organisation; commit at the end of the block.

        `guard` is a statement without parameters, sent together with BEGIN. Raises `GuardFailed` unless it
        returns a row. `durability`: what the commit waits for.
        """
        if organisation_id <= INSTALLATION:
            raise ValueError("An organisation's scope needs the id of an organisation.")
        async with self._transaction(organisation_id, guard, durability) as connection:
            yield connection

    @asynccontextmanager
    async def installation_transaction(self) -> AsyncIterator[DatabaseConnection]:
        """Open a transaction over all organisations, for the sweeper and the scheduler."""
        async with self._transaction(INSTALLATION) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(
        self, scope: int, guard: str = "", durability: Durability = Durability.SERVER
    ) -> AsyncIterator[DatabaseConnection]:
        await wait_for_turn()
        async with self._pool.connection() as connection:
            try:
                # BEGIN, scope and guard take one round trip. The pool's block commits, or rolls back after
                # an exception.
                statements = (_BEGIN.format(int(scope)), durability_sql(durability), guard)
                cursor = await connection.execute("; ".join(filter(None, statements)).encode())
                if guard and not _matched_row(cursor):
                    raise GuardFailed
                yield connection
            except psycopg.Error as error:
                if needs_new_session(error):
                    await connection.close()  # the pool opens another
                raise
            finally:
                _last_used_at[connection] = time.monotonic()


class GuardFailed(LookupError):
    """The guard of a transaction returned no row."""


def _matched_row(cursor: AsyncCursor[tuple[Any, ...]]) -> bool:
    """Return whether the last of several statements returned a row."""
    while cursor.nextset():
        pass
    return cursor.rowcount > 0


_BEGIN = "BEGIN; SELECT set_config('koppel.organisation', '{}', true)"
_last_used_at: WeakKeyDictionary[DatabaseConnection, float] = WeakKeyDictionary()


async def _check_after_idling(connection: DatabaseConnection) -> None:
    """Check a connection only after it was idle: checking each time would cost as much as the work."""
    if time.monotonic() - _last_used_at.get(connection, 0.0) > HEALTHCHECK_AFTER_IDLE_SECONDS:
        await AsyncConnectionPool.check_connection(connection)


async def open_lock_connection() -> DatabaseConnection:
    """Open a separate connection for session advisory locks. The caller closes it.

    The server checks the client with keep-alive, so a machine that loses power releases its locks within 15
    s.
    """
    url = os.environ["DATABASE_URL"]
    connection = await AsyncConnection.connect(
        url, autocommit=True, application_name="koppel locks", **connection_limits(url)
    )
    await connection.execute(_SERVER_KEEPALIVES.encode())
    return connection


_SERVER_KEEPALIVES = "".join(
    f"SET {name} = {value};"
    for name, value in (
        ("tcp_keepalives_idle", 5),
        ("tcp_keepalives_interval", 5),
        ("tcp_keepalives_count", 2),
        ("tcp_user_timeout", 15000),
    )
)
