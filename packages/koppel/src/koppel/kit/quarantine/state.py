"""Quarantine: while it is on, nothing leaves this installation.

There are no calls to vendors, registers or identity providers, no email, no webhooks. A restored copy needs
it: it has the original's tokens and people and must use neither.

The state is a row of the database, so all processes of all machines obey it, and a backup of a quarantined
copy is quarantined as well. A process caches it for a second. A process whose machine does not belong to the
database is in quarantine without a row, see `koppel.kit.quarantine.installation_identity`.

`refuse` and `refuse_async` are called where calls and email leave (`kit.http`,
`kit.quarantine.email_backends`), and before actions that would otherwise be done by half.
"""

import asyncio
import atexit
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from django.utils.translation import gettext_lazy as _

from koppel.kit.database.replication.hosts import KEEP_ALIVE
from koppel.kit.errors import KoppelError
from koppel.kit.quarantine import installation_identity
from koppel.kit.quarantine.reasons import Reason

CACHE_SECONDS = 1.0
CONNECT_SECONDS = 5
_OPTIONS: dict[str, Any] = {
    "application_name": "koppel quarantine",
    "connect_timeout": CONNECT_SECONDS,
    **KEEP_ALIVE,
}
_OPEN = "SELECT began_at, began_by, reason FROM kit_quarantine WHERE ended_at IS NULL"

SENTENCE = _(
    "Koppel is in quarantine: it makes no calls and sends no mail or webhooks. "
    "The operator of this installation ends the"
    " quarantine on the server with “koppel quarantine off”."
)
COPY_SENTENCE = _(
    "This Koppel is in quarantine, because it is a copy of another installation: it makes no calls and sends "
    "no mail or webhooks. If it takes the place of the original, the operator ends the quarantine on the "
    "server with “koppel adopt”."
)
CODE = "quarantined"

log = structlog.get_logger(__name__)


class Quarantined(KoppelError):
    """Nothing may leave the installation now; nothing was sent, so the action can be repeated later.

    The text is translated when it is read.
    """

    code = CODE
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, period: "QuarantinePeriod | None" = None) -> None:
        super().__init__(COPY_SENTENCE if period is not None and period.reason.is_copy else SENTENCE)


@dataclass(frozen=True)
class QuarantinePeriod:
    """The current quarantine."""

    since: datetime
    by: str
    reason: Reason = Reason.MANUAL

    @property
    def sentence(self) -> str:
        """The meaning of the quarantine and who ends it, in the language of the reader."""
        return str(COPY_SENTENCE if self.reason.is_copy else SENTENCE)


class _Reader:
    """Reads the state in a thread with its own connection; one per process.

    This serves async code, web requests inside transactions and short-lived event loops alike.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="quarantine")
        self._connection: psycopg.Connection[Any] | None = None
        self._mismatch: QuarantinePeriod | None = None
        self._next_seen = 0.0
        self._url = ""
        self._cached: tuple[QuarantinePeriod | None, float] | None = None

    def fresh(self) -> tuple[QuarantinePeriod | None] | None:
        """Return the cached value in a tuple; None when it has expired or was never read."""
        cached = self._cached
        return (cached[0],) if cached is not None and cached[1] > time.monotonic() else None

    def last_known(self) -> QuarantinePeriod | None:
        return self._cached[0] if self._cached is not None else None

    def read(self) -> QuarantinePeriod | None:
        return self._thread.submit(self._read_period).result()

    async def read_async(self) -> QuarantinePeriod | None:
        return await asyncio.wrap_future(self._thread.submit(self._read_period))

    def forget(self) -> None:
        if self._cached is not None:
            self._cached = (self._cached[0], 0.0)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _read_period(self) -> QuarantinePeriod | None:
        """Return the open quarantine.

        While the database is unreachable, return the last value read; raise `psycopg.Error` if there is none.
        """
        if cached := self.fresh():
            return cached[0]
        try:
            period = self._query_database()
        except psycopg.Error:
            if self._cached is None:
                raise
            period = self._cached[0]
        self._cache_and_log_change(period)
        return period

    def _cache_and_log_change(self, period: QuarantinePeriod | None) -> None:
        before = self.last_known()
        self._cached = (period, time.monotonic() + CACHE_SECONDS)
        if period is not None and before is None:
            log.warning(
                "quarantine_on", since=period.since.isoformat(), by=period.by, reason=period.reason.value
            )
        elif period is None and before is not None:
            log.warning("quarantine_off")

    def _query_database(self) -> QuarantinePeriod | None:
        """Query the state; repeat once if an idle connection was closed.

        A database without tables has no quarantine.
        """
        url = os.environ.get("DATABASE_URL", "")
        if not url:
            return None
        try:
            row = self._fetch_open_period(url)
        except psycopg.errors.UndefinedTable:
            return None
        except (psycopg.OperationalError, psycopg.InterfaceError):
            self.close()
            row = self._fetch_open_period(url)
        if row is not None:
            since, by, reason = row
            return QuarantinePeriod(since, by, Reason(reason))
        return self._mismatch

    def _fetch_open_period(self, url: str) -> tuple[datetime, str, str] | None:
        connection = self._connection
        if connection is None or connection.closed or url != self._url:
            self.close()
            connection = psycopg.connect(url, autocommit=True, **_OPTIONS)
            try:
                self._examine(connection)
            except psycopg.Error:  # it has not been examined: the next read begins anew
                connection.close()
                raise
            self._connection, self._url = connection, url
        elif self._mismatch is not None:
            self._examine(connection)
        row = connection.execute(_OPEN).fetchone()
        if row is None and self._mismatch is None and time.monotonic() > self._next_seen:
            self._next_seen = time.monotonic() + installation_identity.SEEN_SECONDS
            if os.environ.get("KOPPEL_PROCESS"):
                installation_identity.record_seen(connection)
        return row

    def _examine(self, connection: psycopg.Connection[Any]) -> None:
        """Find out whether the database is a copy: at each new session, and until it no longer is one."""
        reason = installation_identity.examine(connection)
        if reason is None:
            self._mismatch = None
            installation_identity.accept(connection)
        elif self._mismatch is None or self._mismatch.reason is not reason:
            self._mismatch = QuarantinePeriod(datetime.now(UTC), "", reason)


_reader = _Reader()
atexit.register(_reader.close)


def current() -> QuarantinePeriod | None:
    """Return the current quarantine, or None.

    Raises `psycopg.Error` when it cannot be read and never was.
    """
    cached = _reader.fresh()
    return cached[0] if cached else _reader.read()


async def current_async() -> QuarantinePeriod | None:
    """Return the same as `current`, without blocking the event loop."""
    cached = _reader.fresh()
    return cached[0] if cached else await _reader.read_async()


def last_known() -> QuarantinePeriod | None:
    """Return the last value read, for pages that are shown while the database is unreachable."""
    try:
        return current()
    except psycopg.Error:
        return _reader.last_known()


def refuse() -> None:
    """Raise `Quarantined` during a quarantine."""
    if (period := current()) is not None:
        raise Quarantined(period)


async def refuse_async() -> None:
    """Do the same as `refuse`, without blocking the event loop."""
    if (period := await current_async()) is not None:
        raise Quarantined(period)


def forget() -> None:
    """Discard the cached value: this process has just changed the state."""
    _reader.forget()
