"""The locks of grants: session advisory locks of PostgreSQL, all of a process on one connection.

Connections are few and waiting is common, so nothing waits inside PostgreSQL: one task tries the locks of all
requests in one statement, which also says which of the grants another process has changed meanwhile. When the
connection is lost, its locks are lost with it: the task opens another and tries them again.
"""

import asyncio
import contextlib
import math
from dataclasses import dataclass, field
from enum import Enum

import psycopg
import structlog

from koppel.kit.database.locks import (
    TRY_SESSION_LOCK_SQL,
    LockName,
    lock_key,
    release_session_locks,
    try_session_locks,
)
from koppel.kit.database.pool import DatabaseConnection, open_lock_connection
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import INSTALLATION, set_scope_sql

PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.03, 0.3
TRY_LOCKS_SQL = load_statements("koppel.connections")["try_grant_locks"].format(
    try_session_lock=TRY_SESSION_LOCK_SQL
)
HEARTBEAT_SECONDS = 0.5
ONCE_SECONDS_MAX = 10

log = structlog.get_logger(__name__)


class LockOutcome(Enum):
    """The outcome of a request for a grant's lock."""

    ACQUIRED = "acquired"
    """The lock is held and must be released."""
    STALE = "stale"
    """The grant has changed and must be read again."""
    BUSY = "busy"
    """Another process has the lock."""


@dataclass
class _LockRequest:
    generation: int
    failures: int
    once: bool
    outcome: asyncio.Future[LockOutcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class GrantLocks:
    """The grant locks of one process. At most one task may wait for a grant at a time, because session locks
    are re-entrant.
    """

    def __init__(self) -> None:
        self._database_connection: DatabaseConnection | None = None
        self._session_locks: set[int] = set()
        self._held: set[int] = set()
        self._waiting: dict[int, _LockRequest] = {}
        self._server: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._lost_at = -math.inf

    @property
    def seconds_since_loss(self) -> float:
        """How long ago this process lost the lock connection, and other processes probably theirs."""
        return asyncio.get_running_loop().time() - self._lost_at

    async def acquire(
        self, grant_id: int, generation: int, failures: int, *, patience_seconds: float
    ) -> LockOutcome:
        """Wait for the grant's lock while the grant is as it was read. `patience_seconds` 0 tries once."""
        request = self._waiting[grant_id] = _LockRequest(generation, failures, once=patience_seconds <= 0)
        self._serve()
        outcome = LockOutcome.BUSY
        try:
            await asyncio.wait([request.outcome], timeout=patience_seconds or ONCE_SECONDS_MAX)
            if request.outcome.done():
                outcome = request.outcome.result()
        except asyncio.CancelledError:
            if request.outcome.done() and request.outcome.result() is LockOutcome.ACQUIRED:
                self.release(grant_id)
            raise
        finally:
            request.outcome.cancel()
            self._waiting.pop(grant_id, None)
        return outcome

    def release(self, grant_id: int) -> None:
        """Release the lock: at once for this process, within a moment for others."""
        self._held.discard(grant_id)
        self._serve()

    def stop_waiting(self) -> None:
        """Refuse all waiting requests with BUSY."""
        for request in self._waiting.values():
            if not request.outcome.done():
                request.outcome.set_result(LockOutcome.BUSY)

    async def close(self) -> None:
        """Release all locks, by closing their connection."""
        if self._server is not None:
            self._server.cancel()
            await asyncio.gather(self._server, return_exceptions=True)
        if self._database_connection is not None:
            await self._database_connection.close()

    def _serve(self) -> None:
        self._wake.set()
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve_all())

    async def _serve_all(self) -> None:
        pause = PAUSE_SECONDS_MIN
        while self._waiting or self._held or self._session_locks:
            self._wake.clear()
            try:
                pause = PAUSE_SECONDS_MIN if await self._round() else min(pause * 1.5, PAUSE_SECONDS_MAX)
            except Exception as error:
                log.warning("lock_connection_lost", held=len(self._held), error=type(error).__name__)
                await self._drop()
                pause = PAUSE_SECONDS_MAX
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause if self._waiting else HEARTBEAT_SECONDS)

    async def _round(self) -> bool:
        """Release, reacquire and try locks once. Returns whether a request was answered."""
        if self._database_connection is None or self._database_connection.closed:
            self._session_locks.clear()
            self._database_connection = await open_lock_connection()
        async with self._database_connection.transaction():
            await self._database_connection.execute(*set_scope_sql(INSTALLATION))
            await self._release(self._database_connection)
            await self._reacquire(self._database_connection)
            return await self._try_requested(self._database_connection)

    async def _release(self, database_connection: DatabaseConnection) -> None:
        if done := self._session_locks - self._held:
            await release_session_locks(database_connection, LockName.GRANT, done)
            self._session_locks -= done

    async def _reacquire(self, database_connection: DatabaseConnection) -> None:
        """Take the locks of a lost connection again.

        A lock that another process has taken stays missing: then the row's generation keeps this process from
        storing anything.
        """
        if missing := self._held - self._session_locks:
            self._session_locks |= await try_session_locks(database_connection, LockName.GRANT, missing)

    async def _try_requested(self, database_connection: DatabaseConnection) -> bool:
        requests = {key: request for key, request in self._waiting.items() if not request.outcome.done()}
        if not requests:
            return False
        columns = {
            "ids": list(requests),
            "keys": [lock_key(LockName.GRANT, grant_id) for grant_id in requests],
            "generations": [request.generation for request in requests.values()],
            "failures": [request.failures for request in requests.values()],
        }
        rows = await database_connection.execute(TRY_LOCKS_SQL, columns)
        is_resolved = False
        for grant_id, is_stale, is_acquired in await rows.fetchall():
            if is_acquired:
                self._session_locks.add(grant_id)
            is_resolved |= self._resolve(
                grant_id, requests[grant_id], is_stale=is_stale, is_acquired=is_acquired
            )
        return is_resolved

    def _resolve(self, grant_id: int, request: _LockRequest, *, is_stale: bool, is_acquired: bool) -> bool:
        if request.outcome.done() or not (is_stale or is_acquired or request.once):
            return False
        if is_acquired:
            # A request that stopped waiting meanwhile does not get it; the next round releases it.
            self._held.add(grant_id)
        request.outcome.set_result(
            LockOutcome.ACQUIRED if is_acquired else LockOutcome.STALE if is_stale else LockOutcome.BUSY
        )
        return True

    async def _drop(self) -> None:
        self._lost_at = asyncio.get_running_loop().time()
        if self._database_connection is not None:
            with contextlib.suppress(psycopg.Error):
                await self._database_connection.close()
        self._database_connection = None
        self._session_locks.clear()
