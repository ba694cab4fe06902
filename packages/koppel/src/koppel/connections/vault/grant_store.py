"""The rows of grants: `GrantSnapshot` is a row as read, `GrantStore` reads and writes them.

Each write names the generation it was made for, so that a slow process does not overwrite a newer one.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from koppel.connections.models import AppRegistration, ConnectionState, FailureKind
from koppel.connections.vault.encryption import decrypt_token, encrypt_token
from koppel.connections.vendor_http import CREDENTIAL_COLUMNS
from koppel.connector.contract import Descriptor, Tokens
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database.pool import Database
from koppel.kit.database.replication import Durability
from koppel.kit.database.sql_files import load_statements
from koppel.kit.encryption import DecryptionError, Secret

_SQL = load_statements("koppel.connections")
APP_WIDTH = len(CREDENTIAL_COLUMNS)
MARGIN = timedelta(seconds=60)
"""A token that ends sooner than this is renewed first, unless the vendor forbids it; of a short-lived token a
tenth.
"""
CLOCKS_DIFFER = timedelta(seconds=1)
"""The difference allowed between Koppel's clock and the vendor's: a refresh that is refused as too early
costs more than a second.
"""


@dataclass(frozen=True)
class GrantSnapshot:
    """A grant as read, with its app registration. The fields are those of `Grant`, except these."""

    organisation_id: int
    id: int
    connection_id: int
    company_id: str
    app: AppRegistration
    access_token: Secret
    encrypted_refresh_token: bytes | None
    issued_at: datetime
    expires_at: datetime
    generation: int
    started_at: datetime | None
    """When a refresh began whose response is not stored; `refresh_started_at` of the row."""
    unanswered_seconds: float | None
    """The age of that refresh by the database's clock."""
    refresh_error: str
    failures: int
    failure_kind: str
    failure_code: str
    failure_reason: str
    retry_at: datetime | None
    maintain_at: datetime | None
    last_forced_refresh_at: datetime | None
    invalid_since: datetime | None
    invalid_code: str
    invalid_reason: str

    @property
    def descriptor(self) -> Descriptor:
        return connector(self.app.connector).descriptor

    @property
    def refresh_token(self) -> Secret | None:
        """The token, decrypted at each access, so only when it is sent. Raises `DecryptionError`."""
        if not self.encrypted_refresh_token:
            return None
        return decrypt_token(self.encrypted_refresh_token, self.organisation_id, self.id, "refresh_token")

    @property
    def refresh_allowed_at(self) -> datetime:
        """The first moment at which the vendor accepts a refresh."""
        not_before = self.descriptor.refresh_not_before
        return self.issued_at + (not_before + CLOCKS_DIFFER if not_before else timedelta(0))

    @property
    def due_at(self) -> datetime:
        """The moment to renew the access token: early enough to use it, not before the vendor allows."""
        margin = min(MARGIN, (self.expires_at - self.issued_at) / 10)
        return min(max(self.refresh_allowed_at, self.expires_at - margin), self.expires_at)

    def is_live(self) -> bool:
        return self.expires_at > now()


class RecordedFailure(NamedTuple):
    """A failed call of the token endpoint, as a grant stores it."""

    kind: FailureKind
    code: str
    reason: str


class GrantStore:
    """Reads and writes grants.

    Reads are batched: a thousand simultaneous callers cost a few statements. A statement starts after its
    last caller has asked, so that no caller gets an older row.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pending_reads: dict[int, dict[int, asyncio.Future[GrantSnapshot | None]]] = {}
        self._loading: set[asyncio.Task[None]] = set()

    async def read(self, organisation_id: int, grant_id: int) -> GrantSnapshot | None:
        """Return the grant; None if the organisation has no grant with this id. Raises `DecryptionError`."""
        requested = self._pending_reads.get(organisation_id)
        if requested is None:
            requested = self._pending_reads[organisation_id] = {}
            task = asyncio.create_task(self._load(organisation_id, requested))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        if grant_id not in requested:
            requested[grant_id] = asyncio.get_running_loop().create_future()
            requested[grant_id].add_done_callback(lambda future: future.cancelled() or future.exception())
        return await asyncio.shield(requested[grant_id])

    async def _load(
        self, organisation_id: int, requested: dict[int, "asyncio.Future[GrantSnapshot | None]"]
    ) -> None:
        try:
            async with self._database.tenant_transaction(organisation_id) as database_connection:
                self._pending_reads.pop(organisation_id)
                snapshots = await database_connection.execute(
                    _SQL["read_grants"], {"grant_ids": list(requested)}
                )
                rows = {int(row[0]): row[1:] for row in await snapshots.fetchall()}
            for grant_id, future in requested.items():
                try:
                    future.set_result(
                        _snapshot(organisation_id, grant_id, rows[grant_id]) if grant_id in rows else None
                    )
                except DecryptionError as error:
                    future.set_exception(error)
        except BaseException as error:
            if self._pending_reads.get(organisation_id) is requested:
                del self._pending_reads[organisation_id]
            for future in requested.values():
                if not future.done():
                    future.set_exception(
                        error if isinstance(error, Exception) else RuntimeError("The vault is closed.")
                    )
            if not isinstance(error, Exception):
                raise

    async def mark_refresh_started(self, grant: GrantSnapshot, maintain_at: datetime) -> bool:
        """Commit the intent to refresh. False when another process has changed the grant since it was
        read.
        """
        values = {"maintain_at": maintain_at, "started_at": grant.started_at}
        return await self._update(grant, "mark_refresh_started", values)

    async def withdraw(self, grant: GrantSnapshot) -> bool:
        """Withdraw the intent to refresh, because nothing was sent. `grant` is as read before the intent was
        stored.

        Returns False when the grant has moved on since.
        """
        values = {
            "started_at": grant.started_at,
            "refresh_error": grant.refresh_error,
            "maintain_at": grant.maintain_at,
        }
        return await self._update(grant, "withdraw_refresh", values)

    async def store_tokens(
        self,
        grant: GrantSnapshot,
        tokens: Tokens,
        maintain_at: datetime | None,
        last_forced_refresh_at: datetime | None,
    ) -> bool:
        """Commit the vendor's response. False when the grant has changed meanwhile: by a new consent or
        another process.
        """
        identity, renewed = (grant.organisation_id, grant.id), tokens.refresh_token
        values = {
            "access_token": encrypt_token(tokens.access_token, *identity, "access_token"),
            "refresh_token": encrypt_token(renewed, *identity, "refresh_token") if renewed else None,
            "issued_at": tokens.issued_at,
            "expires_at": tokens.expires_at,
            "refresh_expires_at": tokens.refresh_expires_at,
            "maintain_at": maintain_at,
            "last_forced_refresh_at": last_forced_refresh_at,
        }
        return await self._update(grant, "store_tokens", values)

    async def record_failure(
        self, grant: GrantSnapshot, failure: RecordedFailure, retry_at: datetime, refresh_error: str | None
    ) -> bool:
        """Store a failure that needs no person. False when the grant has moved on since.

        `refresh_error` None: the vendor did nothing, so the intent is withdrawn; else the intent stays, with
        this code.
        """
        values = {
            "kind": failure.kind.value,
            "code": failure.code,
            "reason": failure.reason,
            "retry_at": retry_at,
            "withdraws_intent": refresh_error is None,
            "refresh_error": refresh_error or "",
        }
        return await self._update(grant, "record_refresh_failure", values)

    async def due_grants(self, limit: int, excluded_ids: list[int]) -> list[tuple[int, int]]:
        """Return (organisation, grant) of what token maintenance should look at, the longest overdue
        first.
        """
        async with self._database.installation_transaction() as database_connection:
            values = {
                "now": now(),
                "excluded_ids": excluded_ids,
                "limit": limit,
                "removed": ConnectionState.REMOVED.value,
            }
            rows = await database_connection.execute(_SQL["list_due_grants"], values)
            return [(int(row[0]), int(row[1])) for row in await rows.fetchall()]

    async def _update(self, grant: GrantSnapshot, statement: str, values: dict[str, Any]) -> bool:
        """Execute a named statement on the grant's row, as it was read. Returns whether it changed the
        row. The commit waits for the synchronous standby: the vendor accepts neither token twice.
        """
        async with self._database.tenant_transaction(
            grant.organisation_id, durability=Durability.STANDBY
        ) as database_connection:
            identity = {"grant_id": grant.id, "generation": grant.generation}
            row = await database_connection.execute(_SQL[statement], identity | values)
            return row.rowcount > 0


def _snapshot(organisation_id: int, grant_id: int, row: tuple[Any, ...]) -> GrantSnapshot:
    connection_id, company_id, access, refresh, *facts = row
    app = AppRegistration(**dict(zip(CREDENTIAL_COLUMNS, facts[-APP_WIDTH:], strict=True)))
    token = decrypt_token(access, organisation_id, grant_id, "access_token")
    encrypted = bytes(refresh) if refresh else None
    return GrantSnapshot(
        organisation_id, grant_id, connection_id, company_id, app, token, encrypted, *facts[:-APP_WIDTH]
    )
