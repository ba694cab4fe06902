"""The vault: the one owner of every token. Nobody else refreshes.

Across processes a session advisory lock per grant; within a process one flight per grant. The intent to refresh is committed
before the call, the answer before its first use. A crash in between is seen at the next use (`refresh_started_at` is set) and
the old refresh token is tried once more: it works within the vendor's grace period, else the consent is lost, with that reason.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from koppel.connections.models import AppRegistration
from koppel.connections.outbound import PlainHttp
from koppel.connections.sealing import addresses, credentials, open_token, seal_token
from koppel.connector.contract import Tokens
from koppel.connector.errors import ConsentLost, Unreachable
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database import Connection, Database, lock_connection
from koppel.kit.http import HttpClient
from koppel.kit.secrets import Secret

MARGIN = timedelta(seconds=60)
"""A token that ends sooner than this is not handed out."""
LOCK_SPACE = 0x4B4F
LOCK_POLL_SECONDS = 0.05
LOCK_WAIT_SECONDS = 60

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Held:
    """A grant as read, with its app registration."""

    organisation_id: int
    id: int
    app: AppRegistration
    access_token: Secret
    refresh_token: Secret | None
    expires_at: datetime
    generation: int
    refresh_started_at: datetime | None
    lost_at: datetime | None
    lost_reason: str

    def is_fresh(self, refused: Secret | None) -> bool:
        return self.expires_at > now() + MARGIN and (refused is None or refused != self.access_token)


class Vault:
    """One per process. Close it to give the lock connection back."""

    def __init__(self, database: Database, http: HttpClient) -> None:
        self._database, self._http = database, http
        self._flights: dict[int, asyncio.Task[Secret]] = {}
        self._locks: Connection | None = None
        self._locks_guard = asyncio.Lock()

    async def close(self) -> None:
        if self._locks is not None:
            await self._locks.close()

    async def access_token(self, organisation_id: int, grant_id: int, refused: Secret | None = None) -> Secret:
        """A token that lives at least a minute. `refused`: the vendor did not accept this one.

        Raises `ConsentLost` (a person must sign in), `Unreachable` (the token endpoint does not answer)."""
        held = await self._read(organisation_id, grant_id)
        _must_be_alive(held)
        if held.is_fresh(refused):
            return held.access_token
        flight = self._flights.get(grant_id)
        if flight is None:
            flight = asyncio.create_task(self._refresh(organisation_id, grant_id, refused))
            self._flights[grant_id] = flight
            flight.add_done_callback(lambda _done: self._flights.pop(grant_id, None))
        return await asyncio.shield(flight)

    async def _refresh(self, organisation_id: int, grant_id: int, refused: Secret | None) -> Secret:
        await self._lock(grant_id)
        try:
            held = await self._read(organisation_id, grant_id)
            _must_be_alive(held)
            if held.is_fresh(refused):
                return held.access_token
            if held.refresh_token is None:
                raise await self._lose(held, ConsentLost("no_refresh_token", "The vendor gave no refresh token."))
            await self._intend(held)
            return await self._exchange(held, held.refresh_token)
        finally:
            await self._unlock(grant_id)

    async def _exchange(self, held: _Held, refresh_token: Secret) -> Secret:
        app = credentials(held.app)
        http = PlainHttp(self._http, addresses(held.app))
        try:
            tokens = await connector(held.app.connector).refresh(http, app, refresh_token)
        except ConsentLost as lost:
            raise await self._lose(held, lost) from None
        await self._store(held, tokens)
        log.info("grant_refreshed", grant=held.id, generation=held.generation + 1)
        return tokens.access_token

    async def _read(self, organisation_id: int, grant_id: int) -> _Held:
        async with self._database.scoped(organisation_id) as connection:
            found = await connection.execute(_READ, [grant_id])
            row = await found.fetchone()
        if row is None:
            raise ConsentLost("no_grant", "The consent no longer exists.")
        return _held(organisation_id, grant_id, row)

    async def _intend(self, held: _Held) -> None:
        async with self._database.scoped(held.organisation_id) as connection:
            await connection.execute(
                "UPDATE connections_grant SET refresh_started_at = %s WHERE id = %s", [now(), held.id]
            )

    async def _store(self, held: _Held, tokens: Tokens) -> None:
        place = (held.organisation_id, held.id)
        renewed = tokens.refresh_token
        values = [
            seal_token(tokens.access_token, *place, "access_token"),
            seal_token(renewed, *place, "refresh_token") if renewed else None,
            tokens.issued_at,
            tokens.expires_at,
            tokens.refresh_expires_at,
            held.id,
        ]
        async with self._database.scoped(held.organisation_id) as connection:
            await connection.execute(_STORE, values)

    async def _lose(self, held: _Held, lost: ConsentLost) -> ConsentLost:
        """Write down that the grant is dead, so that nobody tries it again."""
        if held.refresh_started_at is not None and lost.code == "invalid_grant":
            lost = ConsentLost(
                "answer_lost", "Koppel was interrupted while it renewed the consent, and the new token was lost."
            )
        async with self._database.scoped(held.organisation_id) as connection:
            await connection.execute(
                "UPDATE connections_grant SET lost_at = %s, lost_reason = %s WHERE id = %s AND lost_at IS NULL",
                [now(), f"{lost.code}: {lost}", held.id],
            )
        log.warning("grant_lost", grant=held.id, code=lost.code)
        return lost

    async def _lock(self, grant_id: int) -> None:
        """Wait for the grant's lock without holding up other grants: the lock connection serves them all."""
        deadline = asyncio.get_running_loop().time() + LOCK_WAIT_SECONDS
        while not await self._ask_lock("SELECT pg_try_advisory_lock(%s, %s)", grant_id):
            if asyncio.get_running_loop().time() > deadline:
                raise Unreachable("vault_busy", "Another process renews this consent.", retry_after_seconds=10)
            await asyncio.sleep(LOCK_POLL_SECONDS)

    async def _unlock(self, grant_id: int) -> None:
        await self._ask_lock("SELECT pg_advisory_unlock(%s, %s)", grant_id)

    async def _ask_lock(self, statement: str, grant_id: int) -> bool:
        async with self._locks_guard:
            if self._locks is None or self._locks.closed:
                self._locks = await lock_connection()
            found = await self._locks.execute(statement, [LOCK_SPACE, grant_id % 2**31])
            row = await found.fetchone()
        return bool(row and row[0])


_READ = """
SELECT g.access_token, g.refresh_token, g.expires_at, g.generation, g.refresh_started_at, g.lost_at, g.lost_reason,
       a.id, a.connector, a.environment, a.consent_mode, a.client_id, a.client_secret, a.addresses
  FROM connections_grant g
  JOIN connections_connection c ON c.id = g.connection_id AND c.organisation_id = g.organisation_id
  JOIN connections_app_registration a ON a.id = c.app_id
 WHERE g.id = %s
"""

_STORE = """
UPDATE connections_grant
   SET access_token = %s, refresh_token = coalesce(%s, refresh_token), issued_at = %s, expires_at = %s,
       refresh_expires_at = coalesce(%s, refresh_expires_at), generation = generation + 1, refresh_started_at = NULL
 WHERE id = %s
"""


def _held(organisation_id: int, grant_id: int, row: tuple[Any, ...]) -> _Held:
    access, refresh, expires_at, generation, started, lost_at, lost_reason, *app = row
    names = ("id", "connector", "environment", "consent_mode", "client_id", "client_secret", "addresses")
    return _Held(
        organisation_id,
        grant_id,
        AppRegistration(**dict(zip(names, app, strict=True))),
        open_token(access, organisation_id, grant_id, "access_token"),
        open_token(refresh, organisation_id, grant_id, "refresh_token") if refresh else None,
        expires_at,
        generation,
        started,
        lost_at,
        lost_reason,
    )


def _must_be_alive(held: _Held) -> None:
    if held.lost_at is not None:
        code, _, sentence = held.lost_reason.partition(": ")
        raise ConsentLost(code or "lost", sentence)
