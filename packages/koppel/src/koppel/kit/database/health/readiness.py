"""Whether this web process can serve requests: the database answers and is writable, its tables are those of
this version, and the keys can be used.

Load balancers ask every few seconds, also while the database hangs. One thread of its own asks the database;
whoever asks meanwhile gets the same answer, or none within the time.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import psycopg
import structlog
from django.db.migrations.loader import MigrationLoader

from koppel.kit import quarantine
from koppel.kit.database.replication.hosts import KEEP_ALIVE
from koppel.kit.encryption import Keyring

ANSWER_SECONDS = 1.5
CACHE_SECONDS = 1.0
SECRET_KEY_CHARACTERS_MIN = 50
_OPTIONS: dict[str, Any] = {
    "application_name": "koppel readiness",
    "autocommit": True,
    "connect_timeout": 2,
    **KEEP_ALIVE,
}
_READ_ONLY = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean"
_APPLIED = "SELECT app, name FROM django_migrations"

log = structlog.get_logger(__name__)


class Unreadiness(StrEnum):
    """Why a web process cannot serve."""

    DATABASE_UNREACHABLE = "database_unreachable"
    DATABASE_SLOW = "database_slow"
    DATABASE_READ_ONLY = "database_read_only"
    MIGRATIONS_PENDING = "migrations_pending"
    KEYS_UNUSABLE = "keys_unusable"


@dataclass(frozen=True)
class Readiness:
    """`reasons` is empty when the process is ready. `is_quarantined` is known only then."""

    reasons: tuple[Unreadiness, ...] = ()
    is_quarantined: bool = False

    @property
    def is_ready(self) -> bool:
        return not self.reasons

    @property
    def content(self) -> dict[str, Any]:
        """Return the answer: no secrets, and nothing but codes."""
        if self.is_ready:
            return {"status": "ok", "quarantined": self.is_quarantined}
        return {"status": "unavailable", "reasons": [reason.value for reason in self.reasons]}


class ReadinessCheck:
    """Checks in a thread of its own. Belongs to one event loop."""

    def __init__(self, check: "Callable[[], Readiness] | None" = None) -> None:
        self._database = _DatabaseCheck()
        self._check = check or self._database.check
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="koppel readiness")
        self._current: Future[Readiness] | None = None
        self._checked_at = -CACHE_SECONDS
        self._last = Readiness()

    async def readiness(self) -> Readiness:
        """Return whether this process can serve, within two seconds."""
        if self._current is None or (
            self._current.done() and time.monotonic() - self._checked_at > CACHE_SECONDS
        ):
            self._checked_at = time.monotonic()
            self._current = self._thread.submit(self._check)
        waiting = asyncio.shield(asyncio.wrap_future(self._current))
        try:
            readiness = await asyncio.wait_for(waiting, ANSWER_SECONDS)
        except TimeoutError:
            readiness = Readiness((Unreadiness.DATABASE_SLOW,))
        self._log_change(readiness)
        return readiness

    def close(self) -> None:
        """Close the connection, unless the database hangs."""
        if self._current is None or self._current.done():
            self._database.close()
        self._thread.shutdown(wait=False)

    def _log_change(self, readiness: Readiness) -> None:
        if readiness.reasons != self._last.reasons:
            log.warning(
                "readiness_changed",
                ready=readiness.is_ready,
                reasons=[reason.value for reason in readiness.reasons],
            )
        self._last = readiness


class _DatabaseCheck:
    """Keeps one connection."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection[Any] | None = None

    def check(self) -> Readiness:
        reasons = [] if keys_are_usable() else [Unreadiness.KEYS_UNUSABLE]
        try:
            reasons += self._database_reasons()
            is_quarantined = not reasons and quarantine.current() is not None
        except psycopg.Error:
            reasons.append(Unreadiness.DATABASE_UNREACHABLE)
            is_quarantined = False
        return Readiness(tuple(reasons), is_quarantined)

    def _database_reasons(self) -> list[Unreadiness]:
        try:
            return self._ask()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self.close()
            return self._ask()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _ask(self) -> list[Unreadiness]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(os.environ["DATABASE_URL"], **_OPTIONS)
        row = self._connection.execute(_READ_ONLY).fetchone()
        if row is not None and row[0]:
            return [Unreadiness.DATABASE_READ_ONLY]
        try:
            applied = set(self._connection.execute(_APPLIED).fetchall())
        except psycopg.errors.UndefinedTable:
            return [Unreadiness.MIGRATIONS_PENDING]
        return [Unreadiness.MIGRATIONS_PENDING] if _migrations() - applied else []


def keys_are_usable() -> bool:
    """Return whether the keys have the right form."""
    try:
        Keyring.parse(os.environ.get("KOPPEL_VAULT_KEYS", ""))
    except ValueError:
        return False
    return len(os.environ.get("KOPPEL_SECRET_KEY", "")) >= SECRET_KEY_CHARACTERS_MIN


@lru_cache(maxsize=1)
def _migrations() -> frozenset[tuple[str, str]]:
    """Return (app, name) of all migrations of this version; one that replaces others counts by itself."""
    loader = MigrationLoader(None)
    return frozenset(loader.graph.nodes)
