"""The vault: the one owner of every token. Nothing else refreshes one.

Across processes it takes an advisory lock per grant (`grant_locks`), within a process one refresh task per
grant. It commits the intent to refresh before the call, and the response before its first use. After a crash
in between, the next use finds the intent and tries the old refresh token once more: within the vendor's grace
period that works, else the consent is lost, with that reason.

The reasons, and what happens when the lock itself is lost: docs/decisions, "One owner for every token".
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.utils.translation import gettext_noop

from koppel.connections.models import GrantReason
from koppel.connections.vault import grant_status
from koppel.connections.vault.encryption import KEY_MISSING, credentials
from koppel.connections.vault.graceful_shutdown import token_calls
from koppel.connections.vault.grant_locks import GrantLocks, LockOutcome
from koppel.connections.vault.grant_store import GrantSnapshot, GrantStore
from koppel.connections.vault.grants import keep_alive_at
from koppel.connections.vault.refresh_policy import (
    CALL_SECONDS_MAX,
    CALLER_SECONDS_MAX,
    REFRESH_BACKOFF,
    SLOW,
    failure_to_record,
    is_by_company_id,
    is_slow,
    may_get_answer,
    pause_seconds,
    token_while_paused,
    token_while_slow,
    usable_token,
)
from koppel.connections.vault.token_pause import TokenPauses
from koppel.connections.vendor_http import OriginRestrictedHttp, base_urls_of
from koppel.connector.contract import Tokens
from koppel.connector.errors import (
    INVALID_GRANT,
    ConnectorError,
    ConsentLost,
    SetupMissing,
    UnexpectedResponse,
    Unreachable,
)
from koppel.connector.registry import connector
from koppel.kit import quarantine
from koppel.kit.clock import now
from koppel.kit.database.outage import is_outage
from koppel.kit.database.pool import Database
from koppel.kit.database.threads import run_in_thread
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.http.client import NOT_CONNECTED, HttpClient
from koppel.kit.quarantine import Quarantined

RECHECK_SECONDS, RECHECK_STEPS = 2.0, 20
"""An intent without a lock is read again after this time, because its process may be reopening a lost lock
connection. Longer than reopening takes, and shorter than the shortest known grace period (5 s).
"""
REOPENING_SECONDS_MAX = 12.0
"""After a failover reopening takes longer: each host of the database may be tried before it answers."""
CONCURRENT_REFRESHES_MAX = 256
"""The most simultaneous refreshes per app registration: a slow vendor holds up its own grants only."""
MAINTAIN_SECONDS = 3.0
"""How long after an intent token maintenance checks whether a crash left it behind."""
APP_REFUSED_SECONDS = 3600.0
TOKEN_CACHE_MAX, TOKEN_CACHE_SECONDS = 1000, 1.0
"""How many access tokens are cached, and how long one is used without reading its grant again. A token that
the vendor refused is always read.
"""
REPORT_SECONDS_MAX = 600
FAILURES_UNTIL_DEGRADED = 3

BUSY = "vault_busy"
CRASH = "crash"
NO_KEY = "vault_key"
STOPPING = gettext_noop("Koppel is shutting down.")
BUSY_ELSEWHERE = gettext_noop("This consent is already being renewed.")
LATE = gettext_noop("The accounting system did not respond in time.")
NO_GRANT = gettext_noop("The consent no longer exists.")
NOT_UNDERSTOOD = gettext_noop("Koppel did not understand the accounting system's answer (%(cause)s).")

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Refresh:
    """A refresh under way in this process."""

    task: asyncio.Task[Secret]
    refused_token: Secret | None
    patience_seconds: float
    """0: it was begun by token maintenance, and gives up when another process has the lock."""
    began: float

    @property
    def seconds_left(self) -> float:
        """The time that a caller still waits for the token."""
        return max(0.0, self.began + CALLER_SECONDS_MAX - _loop_seconds())


class TokenRefresher:
    """Hands out access tokens and refreshes them. One per process.

    `close` finishes the refreshes under way, and gives the lock connection back.
    """

    def __init__(
        self, database: Database, http: HttpClient, *, cache_seconds: float = TOKEN_CACHE_SECONDS
    ) -> None:
        self._cache_seconds = cache_seconds
        self._grants, self._http, self._locks = GrantStore(database), http, GrantLocks()
        self._pauses = TokenPauses(database)
        self._refreshes: dict[int, _Refresh] = {}
        self._app_semaphores: dict[int, asyncio.Semaphore] = {}
        self._token_cache: dict[tuple[int, int], tuple[GrantSnapshot, float]] = {}
        self._closing = False

    @property
    def refreshing_grant_ids(self) -> list[int]:
        """Ids of the grants that this process is refreshing, or waits for another process to refresh."""
        return list(self._refreshes)

    async def close(self, seconds_max: float) -> None:
        """Wait for the refreshes under way, because their responses exist nowhere else; then release the
        locks.

        A refresh that takes longer than `seconds_max` is cancelled: its intent stays, and the next use of the
        grant tries the old refresh token again.
        """
        self._closing = True
        self._locks.stop_waiting()
        if tasks := [refresh.task for refresh in self._refreshes.values()]:
            log.info("vault_draining", grants=self.refreshing_grant_ids)
            _ended, unfinished = await asyncio.wait(tasks, timeout=seconds_max)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        await self._locks.close()

    async def get_access_token(
        self, organisation_id: int, grant_id: int, refused_token: Secret | None = None
    ) -> Secret:
        """Return an access token. `refused_token` is the token that the vendor rejected.

        Returns `refused_token` itself if it was refreshed for a refusal a moment ago: then the token is not
        the reason.

        Raises `ConsentLost` (a person must act), `SetupMissing` (a person must act at the vendor),
        `Unreachable` and other errors that need no person, and `Quarantined` before a refresh begins, with
        vendor and row unchanged.
        """
        cached = self._token_cache.get((organisation_id, grant_id))
        if refused_token is not None:
            self._token_cache.pop((organisation_id, grant_id), None)
        elif cached and cached[1] > _loop_seconds() and cached[0].due_at > now():
            return cached[0].access_token
        grant = await self._read_grant(organisation_id, grant_id)
        if (token := usable_token(grant, refused_token)) is not None:
            self._cache_briefly(grant)
            return token
        while True:
            refresh = self._start_refresh(organisation_id, grant_id, refused_token, CALLER_SECONDS_MAX)
            try:
                token = await self._wait_for_refresh(refresh)
            except TimeoutError:
                return token_while_slow(await self._read_grant(organisation_id, grant_id), refused_token)
            except Unreachable as error:
                if error.code != BUSY:
                    raise
                if refresh.patience_seconds > 0:
                    return token_while_slow(await self._read_grant(organisation_id, grant_id), refused_token)
            else:
                if token != refused_token or refresh.refused_token == refused_token:
                    return token

    async def refresh_if_due(self, organisation_id: int, grant_id: int) -> None:
        """Refresh a grant that must be kept alive, was left with an intent, or is due again after failures.

        Does nothing when this process is refreshing it already, and does not wait for a slow refresh. Raises
        as `get_access_token` does.
        """
        if grant_id not in self._refreshes:
            with contextlib.suppress(TimeoutError):
                await self._wait_for_refresh(self._start_refresh(organisation_id, grant_id, None, 0))

    async def _wait_for_refresh(self, refresh: _Refresh) -> Secret:
        """Wait for a refresh. Raises `TimeoutError` after `CALLER_SECONDS_MAX`; the refresh itself
        continues.
        """
        ended, _unfinished = await asyncio.wait([refresh.task], timeout=refresh.seconds_left)
        if not ended:
            raise TimeoutError
        if refresh.task.cancelled():
            raise Unreachable("closing", STOPPING, retry_after_seconds=1)
        return refresh.task.result()

    async def due_grants(self, limit: int, excluded_ids: Collection[int] = ()) -> list[tuple[int, int]]:
        """Return (organisation, grant) for `refresh_if_due`, the longest overdue first."""
        return await self._grants.due_grants(limit, [*excluded_ids, *self._refreshes])

    def _start_refresh(
        self, organisation_id: int, grant_id: int, refused_token: Secret | None, patience_seconds: float
    ) -> _Refresh:
        """Return the grant's refresh: the one under way, or a new one."""
        refresh = self._refreshes.get(grant_id)
        if refresh is None:
            self._token_cache.pop((organisation_id, grant_id), None)
            task = asyncio.create_task(
                self._refresh_until_usable(organisation_id, grant_id, refused_token, patience_seconds)
            )
            refresh = self._refreshes[grant_id] = _Refresh(
                task, refused_token, patience_seconds, _loop_seconds()
            )
            task.add_done_callback(lambda done: self._refresh_done(grant_id, done))
        return refresh

    def _refresh_done(self, grant_id: int, task: asyncio.Task[Secret]) -> None:
        self._refreshes.pop(grant_id, None)
        if not task.cancelled():
            task.exception()  # Its callers may be cancelled; an exception never retrieved is no error.

    def _cache_briefly(self, grant: GrantSnapshot) -> None:
        if len(self._token_cache) >= TOKEN_CACHE_MAX:
            self._token_cache.clear()
        self._token_cache[grant.organisation_id, grant.id] = (grant, _loop_seconds() + self._cache_seconds)

    async def _refresh_until_usable(
        self, organisation_id: int, grant_id: int, refused_token: Secret | None, patience_seconds: float
    ) -> Secret:
        """Refresh until the grant has a token that can be used. Raises the reason why it has none."""
        grant = await self._read_grant(organisation_id, grant_id)
        async with self._app_semaphores.setdefault(grant.app.pk, asyncio.Semaphore(CONCURRENT_REFRESHES_MAX)):
            return await self._refresh_with_lock(organisation_id, grant_id, refused_token, patience_seconds)

    async def _refresh_with_lock(
        self, organisation_id: int, grant_id: int, refused_token: Secret | None, patience_seconds: float
    ) -> Secret:
        checked_intent: datetime | None = None
        while True:
            grant = await self._read_grant(organisation_id, grant_id)
            if (token := usable_token(grant, refused_token, keeping=patience_seconds <= 0)) is not None:
                return token
            if self._closing:
                raise Unreachable("closing", STOPPING, retry_after_seconds=1)
            patience = 0 if is_slow(grant) else patience_seconds
            outcome = await self._locks.acquire(
                grant_id, grant.generation, grant.failures, patience_seconds=patience
            )
            if outcome is LockOutcome.BUSY:
                raise Unreachable(BUSY, BUSY_ELSEWHERE, retry_after_seconds=10)
            if outcome is LockOutcome.STALE:
                continue
            try:
                if not may_get_answer(grant) or grant.started_at == checked_intent:
                    await quarantine.refuse_async()
                    if pause := await self._pauses.seconds_left(grant.app.pk):
                        return token_while_paused(grant, refused_token, pause)
                    if await self._grants.mark_refresh_started(
                        grant, now() + timedelta(seconds=MAINTAIN_SECONDS)
                    ):
                        with token_calls.track():
                            return await self._renew(grant, refused_token)
                    continue
                checked_intent = grant.started_at
            finally:
                self._locks.release(grant_id)
            await self._wait_for_lock_owner()

    async def _wait_for_lock_owner(self) -> None:
        """Give the process that began a refresh the time to reopen its lock connection.

        Sleep in steps: time while this machine was suspended must not count.
        """
        seconds = max(RECHECK_SECONDS, REOPENING_SECONDS_MAX - self._locks.seconds_since_loss)
        for _step in range(RECHECK_STEPS):
            await asyncio.sleep(seconds / RECHECK_STEPS)

    async def _renew(self, grant: GrantSnapshot, refused_token: Secret | None) -> Secret:
        """Call the token endpoint once, with the lock held and the intent committed.

        `grant` is as read before the intent was stored.
        """
        requested_at, began = now(), _loop_seconds()
        try:
            async with self._reporting_slowness(grant):
                tokens = await asyncio.wait_for(_call_token_endpoint(self._http, grant), CALL_SECONDS_MAX)
        except ConsentLost as lost:
            raise await self._store_refusal(grant, lost) from None
        except ConnectorError as error:
            return await self._store_failure(grant, error, refused_token)
        except Quarantined:
            # It began after the intent was committed, and nothing was sent.
            await _retry_on_outage(lambda: self._grants.withdraw(grant))
            raise
        except DecryptionError as error:
            log.error("vault_key_missing", grant=grant.id, reason=str(error))
            return await self._store_failure(grant, _key_missing(), refused_token)
        except TimeoutError:
            late = Unreachable("timeout", LATE)
            return await self._store_failure(grant, late, refused_token)
        except Exception as error:
            log.exception("token_response_invalid", grant=grant.id)
            broken = UnexpectedResponse("token_response", NOT_UNDERSTOOD, cause=type(error).__name__)
            return await self._store_failure(grant, broken, refused_token)
        was_slow = _loop_seconds() - began > CALLER_SECONDS_MAX
        return await self._store_tokens(grant, tokens, requested_at, refused_token, was_slow=was_slow)

    @contextlib.asynccontextmanager
    async def _reporting_slowness(self, grant: GrantSnapshot) -> AsyncIterator[None]:
        """Mark the connection as degraded while the block waits so long that callers are left without a
        token.
        """
        responded = asyncio.Event()
        task = asyncio.create_task(self._report_if_slow(grant, responded))
        try:
            yield
        finally:
            responded.set()
            await asyncio.gather(task, return_exceptions=True)

    async def _report_if_slow(self, grant: GrantSnapshot, responded: asyncio.Event) -> None:
        seconds = max(CALLER_SECONDS_MAX, (grant.expires_at - now()).total_seconds())
        try:
            await asyncio.wait_for(responded.wait(), seconds)
        except TimeoutError:
            log.warning("grant_renewal_slow", grant=grant.id)
            await run_in_thread(
                lambda: grant_status.mark_degraded(grant.organisation_id, grant.connection_id, SLOW)
            )

    async def _store_tokens(
        self,
        grant: GrantSnapshot,
        tokens: Tokens,
        requested_at: datetime,
        refused_token: Secret | None,
        *,
        was_slow: bool,
    ) -> Secret:
        """Store the new tokens and return the access token.

        Its lifetime counts from the request, because the response may have been long under way; the next
        maintenance from the response.
        """
        received_at = now()
        tokens = replace(
            tokens, issued_at=received_at, expires_at=requested_at + (tokens.expires_at - tokens.issued_at)
        )
        maintain_at = keep_alive_at(grant.app.connector, received_at, tokens.refresh_expires_at)
        if not (tokens.refresh_token or grant.encrypted_refresh_token):
            maintain_at = None
        last_forced_refresh_at = received_at if refused_token is not None else grant.last_forced_refresh_at
        if not await _retry_on_outage(
            lambda: self._grants.store_tokens(grant, tokens, maintain_at, last_forced_refresh_at)
        ):
            log.warning("grant_changed_meanwhile", grant=grant.id, generation=grant.generation)
            other = await self._read_grant(grant.organisation_id, grant.id)
            return other.access_token
        log.info("grant_refreshed", grant=grant.id, generation=grant.generation + 1)
        if grant.failures or was_slow:
            await self._report(
                lambda: grant_status.mark_recovered(grant.organisation_id, grant.connection_id)
            )
        return tokens.access_token

    async def _store_refusal(self, grant: GrantSnapshot, lost: ConsentLost) -> ConsentLost:
        """Store the vendor's refusal and return the error to raise.

        `invalid_grant` ends the grant; any other code is about the app registration, and the grant stays.
        """
        if lost.code != INVALID_GRANT:
            retry_at = now() + timedelta(seconds=APP_REFUSED_SECONDS)
            failure = failure_to_record(lost)
            await _retry_on_outage(lambda: self._grants.record_failure(grant, failure, retry_at, None))
            await self._report(
                lambda: grant_status.mark_app_refused(
                    grant.organisation_id, grant.connection_id, lost.sentence
                )
            )
            log.warning("app_refused", grant=grant.id, code=lost.code)
            return lost
        if grant.started_at is not None:
            lost = ConsentLost(
                GrantReason.ANSWER_LOST,
                grant_status.INTERRUPTED if grant.refresh_error in ("", CRASH) else grant_status.UNANSWERED,
            )
        await self._mark_invalid(grant, lost)
        return lost

    async def _mark_invalid(self, grant: GrantSnapshot, lost: ConsentLost) -> None:
        if await self._report(
            lambda: grant_status.mark_lost(
                grant.organisation_id, grant.id, grant.generation, lost.code, lost.sentence
            )
        ):
            log.warning("grant_lost", grant=grant.id, code=lost.code)

    async def _store_failure(
        self, grant: GrantSnapshot, error: ConnectorError, refused_token: Secret | None
    ) -> Secret:
        """Store a failure that needs no person, and back off. Returns the old access token while it is
        valid.
        """
        if pause := error.requested_pause_seconds:
            await _retry_on_outage(lambda: self._pauses.add(grant.app.pk, pause))
        retry_at = now() + timedelta(seconds=pause_seconds(error, grant.failures))
        failure = failure_to_record(error)
        has_no_response = isinstance(error, Unreachable | UnexpectedResponse) and error.code not in (
            NOT_CONNECTED,
            NO_KEY,
        )
        # What an earlier call may have done stays uncertain when a later one was certainly not heard.
        refresh_error = (grant.refresh_error or CRASH) if grant.started_at else None
        if has_no_response:
            refresh_error = error.code[:60]
        await _retry_on_outage(lambda: self._grants.record_failure(grant, failure, retry_at, refresh_error))
        log.warning(
            "grant_refresh_failed",
            grant=grant.id,
            code=error.code,
            failures=grant.failures + 1,
            reason=str(error),
        )
        is_usable = grant.is_live() and refused_token is None
        if not isinstance(error, SetupMissing) and (
            not is_usable or grant.failures + 1 >= FAILURES_UNTIL_DEGRADED
        ):
            await self._report(
                lambda: grant_status.mark_degraded(grant.organisation_id, grant.connection_id, error.sentence)
            )
        if is_usable:
            return grant.access_token
        raise error

    async def _read_grant(self, organisation_id: int, grant_id: int) -> GrantSnapshot:
        """Read a grant. Raises `ConsentLost` when it is known to be lost, `Unreachable` when its key is
        missing.
        """
        try:
            grant = await self._grants.read(organisation_id, grant_id)
        except DecryptionError as error:
            log.error("vault_key_missing", grant=grant_id, reason=str(error))
            raise _key_missing() from None
        if grant is None:
            raise ConsentLost(GrantReason.NO_GRANT, NO_GRANT)
        if grant.invalid_since is not None:
            raise ConsentLost(grant.invalid_code or GrantReason.UNKNOWN, grant.invalid_reason)
        if grant.encrypted_refresh_token is None and not is_by_company_id(grant) and not grant.is_live():
            lost = ConsentLost(GrantReason.NO_REFRESH_TOKEN, grant_status.NO_REFRESH_TOKEN)
            await self._mark_invalid(grant, lost)
            raise lost
        return grant

    async def _report(self, work: Callable[[], T]) -> T:
        return await _retry_on_outage(lambda: run_in_thread(work))


def _key_missing() -> Unreachable:
    return Unreachable(NO_KEY, KEY_MISSING, retry_after_seconds=REFRESH_BACKOFF.cap_seconds)


async def _call_token_endpoint(http: HttpClient, grant: GrantSnapshot) -> Tokens:
    app, token_http = credentials(grant.app), OriginRestrictedHttp(http, base_urls_of(grant.app))
    system, refresh_token = connector(grant.app.connector), grant.refresh_token
    if refresh_token is None:
        return await system.service_token(token_http, app, grant.company_id)
    return await system.refresh(token_http, app, refresh_token)


async def _retry_on_outage(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat a write until the database is back: what the vendor answered is known to this process alone."""
    began = pause = 0.0
    while True:
        try:
            return await work()
        except Exception as error:
            if not is_outage(error):
                raise
            began = began or _loop_seconds()
            if _loop_seconds() - began > REPORT_SECONDS_MAX:
                raise
            log.warning("vault_waits_for_database", error=type(error).__name__)
            pause = min(pause + 0.2, 2.0)
            await asyncio.sleep(pause)


def _loop_seconds() -> float:
    return asyncio.get_running_loop().time()
