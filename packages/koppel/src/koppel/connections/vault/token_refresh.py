"""The vault: the one owner of every token. Nobody else refreshes.

Across processes an advisory lock per grant (`locks`), within a process one flight per grant. The intent to refresh is committed
before the call, the answer before its first use. A crash in between is seen at the next use (the intent stands) and the old
refresh token is tried once more: within the vendor's grace period it works, else the consent is lost, with that reason.

Why it is so, and what it does when its own lock is lost: docs/decisions, "One owner for every token".
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.utils.translation import gettext_noop

from koppel.connections.vault import grant_status
from koppel.connections.vault.encryption import KEY_MISSING, credentials
from koppel.connections.vault.graceful_shutdown import token_calls
from koppel.connections.vault.grant_locks import GrantLocks, LockOutcome
from koppel.connections.vault.grant_store import GrantSnapshot, GrantStore
from koppel.connections.vault.grants import keep_alive_at
from koppel.connections.vault.refresh_policy import (
    BACK_OFF_SECONDS_MAX,
    CALL_SECONDS_MAX,
    CALLER_SECONDS_MAX,
    SLOW,
    is_by_company_id,
    is_slow,
    may_still_be_in_flight,
    pause_seconds,
    usable_token,
    while_slow,
)
from koppel.connections.vendor_http import OriginRestrictedHttp, base_urls_of
from koppel.connector.contract import Tokens
from koppel.connector.errors import (
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

SECOND_LOOK_SECONDS, SECOND_LOOK_STEPS = 2.0, 20
"""An intent without a lock is looked at twice: its process may have lost only its lock connection and be taking another.
Longer than that takes, shorter than the shortest grace period that is known (5 s)."""
CONCURRENT_REFRESHES_MAX = 256
"""Renewals under way per app registration: a vendor that is slow holds up its own grants only."""
MAINTAIN_SECONDS = 3.0
"""After an intent, when token maintenance looks whether it was left by a crash."""
APP_REFUSED_SECONDS = 3600.0
KEPT_MAX, KEPT_SECONDS = 1000, 1.0
"""How long an access token is used without looking whether it moved. A refused one is always looked up."""
REPORT_SECONDS_MAX = 600
FAILURES_UNTIL_DEGRADED = 3

BUSY = "vault_busy"
CRASH = "crash"
NO_KEY = "vault_key"
STOPPING = gettext_noop("Koppel is stopping.")
BUSY_ELSEWHERE = gettext_noop("Another process renews this consent.")
LATE = gettext_noop("The accounting system did not answer in time.")
NO_GRANT = gettext_noop("The consent no longer exists.")

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Refresh:
    """A renewal under way in this process. `patience_seconds` 0: that of token maintenance, which gives up when another is at
    it."""

    task: asyncio.Task[Secret]
    refused: Secret | None
    patience_seconds: float
    began: float

    @property
    def seconds_left(self) -> float:
        """How long who needs its token still waits for it."""
        return max(0.0, self.began + CALLER_SECONDS_MAX - _loop_seconds())


class Vault:
    """One per process. Close it: it finishes what is under way, and gives the lock connection back."""

    def __init__(self, database: Database, http: HttpClient) -> None:
        self._rows, self._http, self._locks = GrantStore(database), http, GrantLocks()
        self._flights: dict[int, _Refresh] = {}
        self._turns: dict[int, asyncio.Semaphore] = {}
        self._kept: dict[tuple[int, int], tuple[GrantSnapshot, float]] = {}
        self._closing = False

    @property
    def under_way(self) -> list[int]:
        """The grants that this process is renewing, or waits for another to renew."""
        return list(self._flights)

    async def close(self, seconds_max: float) -> None:
        """A token that is on its way is stored first: its answer exists nowhere else. What takes longer than `seconds_max`
        is broken off; its intent stands, and the old token is tried once more by whoever comes next."""
        self._closing = True
        self._locks.stop_waiting()
        if flights := [refresh.task for refresh in self._flights.values()]:
            log.info("vault_draining", grants=self.under_way)
            _ended, lasting = await asyncio.wait(flights, timeout=seconds_max)
            for task in lasting:
                task.cancel()
            await asyncio.gather(*lasting, return_exceptions=True)
        await self._locks.close()

    async def access_token(self, organisation_id: int, grant_id: int, refused: Secret | None = None) -> Secret:
        """A token to call with. `refused`: the vendor did not accept this one.

        It is `refused` itself when that was renewed for a refusal a moment ago: then the token is not the reason.
        Raises `ConsentLost` (a person must act), `SetupMissing` (at the vendor), `Unreachable` and others (nobody must), and
        `Quarantined` before a renewal: then neither the vendor nor the grant's row knows of it."""
        cached = self._kept.get((organisation_id, grant_id))
        if refused is not None:
            self._kept.pop((organisation_id, grant_id), None)
        elif cached and cached[1] > _loop_seconds() and cached[0].due_at > now():
            return cached[0].access_token
        grant = await self._read(organisation_id, grant_id)
        if (token := usable_token(grant, refused)) is not None:
            self._cache_briefly(grant)
            return token
        while True:
            refresh = self._start(organisation_id, grant_id, refused, CALLER_SECONDS_MAX)
            try:
                token = await self._wait(refresh)
            except TimeoutError:
                return while_slow(await self._read(organisation_id, grant_id), refused)
            except Unreachable as error:
                if error.code != BUSY:
                    raise
                if refresh.patience_seconds > 0:
                    return while_slow(await self._read(organisation_id, grant_id), refused)
            else:
                if token != refused or refresh.refused == refused:
                    return token

    async def maintain(self, organisation_id: int, grant_id: int) -> None:
        """Renew a grant that is due to be kept alive, was left in the middle, or is to be tried again after failures.

        Does nothing when somebody is at it, and does not wait for one that is slow. Raises as `access_token` does."""
        if grant_id not in self._flights:
            with contextlib.suppress(TimeoutError):
                await self._wait(self._start(organisation_id, grant_id, None, 0))

    async def _wait(self, flight: "_Refresh") -> Secret:
        """Raises `TimeoutError` after as long as anybody waits for a renewal, which goes on."""
        ended, _lasting = await asyncio.wait([flight.task], timeout=flight.seconds_left)
        if not ended:
            raise TimeoutError
        if flight.task.cancelled():
            raise Unreachable("closing", STOPPING, retry_after_seconds=1)
        return flight.task.result()

    async def due(self, limit: int, leave_out: Collection[int] = ()) -> list[tuple[int, int]]:
        """(organisation, grant) of what `maintain` has something to do for, the longest overdue first."""
        return await self._rows.due(limit, [*leave_out, *self._flights])

    def _start(
        self, organisation_id: int, grant_id: int, refused: Secret | None, patience_seconds: float
    ) -> "_Refresh":
        """The grant's flight: the one that is under way, or a new one."""
        refresh = self._flights.get(grant_id)
        if refresh is None:
            self._kept.pop((organisation_id, grant_id), None)
            task = asyncio.create_task(self._refresh_until_usable(organisation_id, grant_id, refused, patience_seconds))
            refresh = self._flights[grant_id] = _Refresh(task, refused, patience_seconds, _loop_seconds())
            task.add_done_callback(lambda done: self._refresh_done(grant_id, done))
        return refresh

    def _refresh_done(self, grant_id: int, task: asyncio.Task[Secret]) -> None:
        self._flights.pop(grant_id, None)
        if not task.cancelled():
            task.exception()  # Whoever asked may have been cancelled; an outcome that nobody collects is no fault.

    def _cache_briefly(self, grant: GrantSnapshot) -> None:
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[grant.organisation_id, grant.id] = (grant, _loop_seconds() + KEPT_SECONDS)

    async def _refresh_until_usable(
        self, organisation_id: int, grant_id: int, refused: Secret | None, patience_seconds: float
    ) -> Secret:
        """Until the grant has a token that can be used, or a reason why not."""
        grant = await self._read(organisation_id, grant_id)
        async with self._turns.setdefault(grant.app.pk, asyncio.Semaphore(CONCURRENT_REFRESHES_MAX)):
            return await self._fly_now(organisation_id, grant_id, refused, patience_seconds)

    async def _fly_now(
        self, organisation_id: int, grant_id: int, refused: Secret | None, patience_seconds: float
    ) -> Secret:
        looked_at: datetime | None = None
        while True:
            held = await self._read(organisation_id, grant_id)
            if (token := usable_token(held, refused, keeping=patience_seconds <= 0)) is not None:
                return token
            if self._closing:
                raise Unreachable("closing", STOPPING, retry_after_seconds=1)
            patience = 0 if is_slow(held) else patience_seconds
            turn = await self._locks.acquire(grant_id, held.generation, held.failures, patience_seconds=patience)
            if turn is LockOutcome.BUSY:
                raise Unreachable(BUSY, BUSY_ELSEWHERE, retry_after_seconds=10)
            if turn is LockOutcome.STALE:
                continue
            try:
                if not may_still_be_in_flight(held) or held.started_at == looked_at:
                    await quarantine.refuse_async()
                    if await self._rows.mark_refresh_started(held, now() + timedelta(seconds=MAINTAIN_SECONDS)):
                        with token_calls.at_work():
                            return await self._renew(held, refused)
                    continue
                looked_at = held.started_at
            finally:
                self._locks.release(grant_id)
            # In small steps, so that time in which this machine stood still, and perhaps that process, does not count.
            for _step in range(SECOND_LOOK_STEPS):
                await asyncio.sleep(SECOND_LOOK_SECONDS / SECOND_LOOK_STEPS)

    async def _renew(self, grant: GrantSnapshot, refused: Secret | None) -> Secret:
        """The one call, with the lock held and the intent committed. `held` is as read before the intent."""
        requested_at, began = now(), _loop_seconds()
        try:
            async with self._telling_if_slow(grant):
                tokens = await asyncio.wait_for(_call_token_endpoint(self._http, grant), CALL_SECONDS_MAX)
        except ConsentLost as lost:
            raise await self._refused(grant, lost) from None
        except ConnectorError as error:
            return await self._failed(grant, error, refused)
        except Quarantined:
            # It began after the intent was committed, and nothing was sent.
            await _retry_on_outage(lambda: self._rows.withdraw(grant))
            raise
        except DecryptionError as closed:
            log.error("vault_key_missing", grant=grant.id, reason=str(closed))
            return await self._failed(grant, _key_missing(), refused)
        except TimeoutError:
            late = Unreachable("timeout", LATE)
            return await self._failed(grant, late, refused)
        except Exception as surprise:
            log.exception("token_response_invalid", grant=grant.id)
            broken = UnexpectedResponse(
                "token_answer", f"Koppel did not understand the answer ({type(surprise).__name__})."
            )
            return await self._failed(grant, broken, refused)
        was_slow = _loop_seconds() - began > CALLER_SECONDS_MAX
        return await self._store(grant, tokens, requested_at, refused, was_slow=was_slow)

    @contextlib.asynccontextmanager
    async def _telling_if_slow(self, held: GrantSnapshot) -> AsyncIterator[None]:
        """When callers have nothing to go on with, the connection says why. It never says so after the block."""
        answered = asyncio.Event()
        task = asyncio.create_task(self._tell_if_slow(held, answered))
        try:
            yield
        finally:
            answered.set()
            await asyncio.gather(task, return_exceptions=True)

    async def _tell_if_slow(self, held: GrantSnapshot, answered: asyncio.Event) -> None:
        seconds = max(CALLER_SECONDS_MAX, (held.expires_at - now()).total_seconds())
        try:
            await asyncio.wait_for(answered.wait(), seconds)
        except TimeoutError:
            log.warning("grant_renewal_slow", grant=held.id)
            await run_in_thread(lambda: grant_status.degraded(held.organisation_id, held.connection_id, SLOW))

    async def _store(
        self, grant: GrantSnapshot, tokens: Tokens, requested_at: datetime, refused: Secret | None, *, was_slow: bool
    ) -> Secret:
        """The lifetime counts from the question, for the answer may have been long under way; the pause from the answer."""
        answered_at = now()
        tokens = replace(
            tokens, issued_at=answered_at, expires_at=requested_at + (tokens.expires_at - tokens.issued_at)
        )
        maintain_at = keep_alive_at(grant.app.connector, answered_at, tokens.refresh_expires_at)
        if not (tokens.refresh_token or grant.encrypted_refresh_token):
            maintain_at = None
        last_forced_refresh_at = answered_at if refused is not None else grant.last_forced_refresh_at
        if not await _retry_on_outage(
            lambda: self._rows.store_tokens(grant, tokens, maintain_at, last_forced_refresh_at)
        ):
            log.warning("grant_changed_meanwhile", grant=grant.id, generation=grant.generation)
            other = await self._read(grant.organisation_id, grant.id)
            return other.access_token
        log.info("grant_refreshed", grant=grant.id, generation=grant.generation + 1)
        if grant.failures or was_slow:
            await self._report(lambda: grant_status.recovered(grant.organisation_id, grant.connection_id))
        return tokens.access_token

    async def _refused(self, grant: GrantSnapshot, lost: ConsentLost) -> ConsentLost:
        """`invalid_grant` ends the grant; any other refusal is about the app registration, and the grant outlives it."""
        if lost.code != "invalid_grant":
            retry_at = now() + timedelta(seconds=APP_REFUSED_SECONDS)
            failure = (f"{type(lost).__name__}:{lost.code}"[:60], str(lost))
            await _retry_on_outage(lambda: self._rows.record_failure(grant, failure, retry_at, None))
            await self._report(lambda: grant_status.app_refused(grant.organisation_id, grant.connection_id, str(lost)))
            log.warning("app_refused", grant=grant.id, code=lost.code)
            return lost
        if grant.started_at is not None:
            lost = ConsentLost(
                "answer_lost",
                grant_status.INTERRUPTED if grant.refresh_error in ("", CRASH) else grant_status.UNANSWERED,
            )
        await self._mark_invalid(grant, lost)
        return lost

    async def _mark_invalid(self, grant: GrantSnapshot, lost: ConsentLost) -> None:
        facts = (grant.organisation_id, grant.id, grant.generation, lost.code, str(lost))
        if await self._report(lambda: grant_status.grant_lost(*facts)):
            log.warning("grant_lost", grant=grant.id, code=lost.code)

    async def _failed(self, grant: GrantSnapshot, error: ConnectorError, refused: Secret | None) -> Secret:
        """Nobody has to act. Back off; while the old access token lives it is used on."""
        retry_at = now() + timedelta(seconds=pause_seconds(error, grant.failures))
        failure = (f"{type(error).__name__}:{error.code}"[:60], str(error))
        is_unanswered = isinstance(error, Unreachable | UnexpectedResponse) and error.code not in (
            NOT_CONNECTED,
            NO_KEY,
        )
        # What an earlier call may have done stays uncertain when a later one was certainly not heard.
        refresh_error = (grant.refresh_error or CRASH) if grant.started_at else None
        if is_unanswered:
            refresh_error = error.code[:60]
        await _retry_on_outage(lambda: self._rows.record_failure(grant, failure, retry_at, refresh_error))
        log.warning(
            "grant_not_refreshed", grant=grant.id, code=error.code, failures=grant.failures + 1, reason=str(error)
        )
        is_usable = grant.is_live() and refused is None
        if not isinstance(error, SetupMissing) and (not is_usable or grant.failures + 1 >= FAILURES_UNTIL_DEGRADED):
            facts = (grant.organisation_id, grant.connection_id, str(error))
            await self._report(lambda: grant_status.degraded(*facts))
        if is_usable:
            return grant.access_token
        raise error

    async def _read(self, organisation_id: int, grant_id: int) -> GrantSnapshot:
        """A grant that is not known to be dead."""
        try:
            grant = await self._rows.read(organisation_id, grant_id)
        except DecryptionError as broken:
            log.error("vault_key_missing", grant=grant_id, reason=str(broken))
            raise _key_missing() from None
        if grant is None:
            raise ConsentLost("no_grant", NO_GRANT)
        if grant.invalid_since is not None:
            code, _, message = grant.invalid_reason.partition(": ")
            raise ConsentLost(code or "lost", message)
        if grant.encrypted_refresh_token is None and not is_by_company_id(grant) and not grant.is_live():
            lost = ConsentLost("no_refresh_token", grant_status.NO_REFRESH_TOKEN)
            await self._mark_invalid(grant, lost)
            raise lost
        return grant

    async def _report(self, work: Callable[[], T]) -> T:
        return await _retry_on_outage(lambda: run_in_thread(work))


def _key_missing() -> Unreachable:
    return Unreachable(NO_KEY, KEY_MISSING, retry_after_seconds=BACK_OFF_SECONDS_MAX)


async def _call_token_endpoint(http: HttpClient, grant: GrantSnapshot) -> Tokens:
    app, plain = credentials(grant.app), OriginRestrictedHttp(http, base_urls_of(grant.app))
    system, refresh_token = connector(grant.app.connector), grant.refresh_token
    if refresh_token is None:
        return await system.service_token(plain, app, grant.company_id)
    return await system.refresh(plain, app, refresh_token)


async def _retry_on_outage(work: Callable[[], Awaitable[T]]) -> T:
    """Write to a database that may be away for a moment: what the vendor said is known to this process alone."""
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
