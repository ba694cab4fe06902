"""One run: every resource in the connector's order, page by page; a page and its checkpoint are one transaction.

The next page is asked for when this one is committed, so that a crash costs at most the page under way. What the vendor does
to us ends the read of a resource or the run; the reactions stand in `koppel.sync.engine.error_policy`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from django.utils import timezone
from psycopg.errors import UniqueViolation

from koppel.connections.companies.changes import verify_company
from koppel.connections.sessions import ReadingSession, Runtime, reading_session
from koppel.connector.contract import Connector, HistoryWindow, Page, ReadMode, ResourceSpec
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing, UnexpectedResponse
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database.pool import Connection
from koppel.kit.quarantine import Quarantined
from koppel.sync.engine.page_writer import CHILDREN, PageResult, PageWriter, advance_checkpoint
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.errors import Fenced, Preempted
from koppel.sync.runs import checkpoints, claims
from koppel.sync.runs.checkpoints import CheckpointState, ResourceDelta
from koppel.sync.runs.claims import ClaimedRun

HEARTBEAT_SECONDS = 5
PENDING_ROWS_MAX, PENDING_SECONDS_MAX = 1000, 0.5
"""How much, and how long after it was read, may wait for the next page. People see progress with each commit."""

log = structlog.get_logger(__name__)


@dataclass
class RunResult:
    """How a run ended: the resources that could not be read, in earlier attempts too, and what changed in this one."""

    broken: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


async def read_run(runtime: Runtime, claimed: ClaimedRun, plan: SyncPlan) -> RunResult:
    """Read everything that is wanted. Raises the connector's errors and `Fenced`; all that was read stays."""
    session = await reading_session(runtime, claimed.organisation_id, claimed.administration_id)
    reader = RunReader(runtime, claimed, plan, session, connector(claimed.connector))
    async with _heartbeat(runtime, claimed):
        await verify_company(session, claimed.connector)
        return await reader.read_all()


@contextlib.asynccontextmanager
async def _heartbeat(runtime: Runtime, claimed: ClaimedRun) -> AsyncIterator[None]:
    """Within the block the run is known to live; when it is taken over, the block is cancelled and `Fenced` raised."""
    task = asyncio.current_task()
    fenced = False

    async def beat() -> None:
        nonlocal fenced
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with runtime.database.tenant_transaction(claimed.organisation_id) as connection:
                    ours = await claims.heartbeat(connection, claimed)
            except Exception as error:
                log.warning("heartbeat_failed", run=claimed.id, error=type(error).__name__)
                continue
            if not ours and task is not None:
                fenced = True
                task.cancel()
                return

    heart = asyncio.create_task(beat())
    try:
        yield
    except asyncio.CancelledError:
        if fenced:
            raise Fenced from None
        raise
    finally:
        heart.cancel()


def full_comparison_is_due(last: datetime | None, weekday: int, at: datetime) -> bool:
    """Whether the week day of the full comparison has come since the last one, in the installation's time zone.

    A day that was missed is caught up at the next run."""
    if last is None:
        return True
    today = timezone.localtime(at).date()
    newest = today - timedelta(days=(today.weekday() - weekday) % 7)
    return timezone.localtime(last).date() < newest


class RunReader:
    """Reads the resources of one run, in the connector's order."""

    def __init__(
        self, runtime: Runtime, claimed: ClaimedRun, plan: SyncPlan, session: ReadingSession, connector: Connector
    ) -> None:
        self._runtime, self._claimed, self._session, self._connector = runtime, claimed, session, connector
        self._plan = plan
        self._window = HistoryWindow(plan.fiscal_years_back, now().date())
        self._result = RunResult()
        self._failures_reset = False
        self._pending: list[_PendingPage] = []

    async def read_all(self) -> RunResult:
        specs = [
            spec for spec in await self._connector.list_resources(self._session) if spec.key in self._plan.resources
        ]
        if self._claimed.resources is not None:
            specs = [spec for spec in specs if spec.key in self._claimed.resources]
        async with self._transaction() as connection:
            parts = await checkpoints.plan_resources(
                connection,
                self._claimed,
                [(spec.key, "" if spec.available else spec.unavailable_reason) for spec in specs],
            )
        try:
            for position, spec in enumerate(specs):
                state, reason, checkpoint = parts[spec.key]
                if state == "failed":
                    self._result.broken[spec.key] = reason
                elif state in ("waiting", "running"):
                    is_first = position == 0 and self._claimed.resources is None
                    await self._read_or_record_failure(spec, checkpoint or CheckpointState(), is_first=is_first)
        except (ConnectorError, Quarantined, Preempted):
            await self._commit_if_pending()
            raise
        await self._commit_if_pending()
        return self._result

    async def _read_or_record_failure(self, spec: ResourceSpec, checkpoint: CheckpointState, *, is_first: bool) -> None:
        """A company that refuses everything refuses its first resource; a single one that is refused is left out. What was
        read before is committed first, so that it does not overwrite what is noted."""
        try:
            await self._read(spec, checkpoint)
        except (NotConsented, SetupMissing) as refusal:
            if is_first:
                raise
            await self._commit_if_pending()
            async with self._transaction() as connection:
                await checkpoints.reset_cursor(connection, self._claimed, spec.key)
                await checkpoints.mark_unavailable(connection, self._claimed, spec.key, str(refusal))
                await checkpoints.finish_resource(connection, self._claimed, spec.key, "skipped", str(refusal))
        except UnexpectedResponse as error:
            log.error(
                "unexpected_response", run=self._claimed.id, resource=spec.key, code=error.code, reason=str(error)
            )
            self._result.broken[spec.key] = str(error)
            await self._commit_if_pending()
            async with self._transaction() as connection:
                await checkpoints.reset_cursor(connection, self._claimed, spec.key)
                await checkpoints.finish_resource(connection, self._claimed, spec.key, "failed", str(error))

    async def _read(self, spec: ResourceSpec, checkpoint: CheckpointState) -> None:
        if not checkpoint.resume_cursor or self._predates_request(checkpoint):
            checkpoint = self._start_read(spec, checkpoint)
        checkpoint = await self._read_to_end(spec, checkpoint)
        if self._needs_full_read_after(checkpoint):
            await self._read_to_end(spec, self._start_read(spec, checkpoint, complete=True))

    async def _read_to_end(self, spec: ResourceSpec, checkpoint: CheckpointState) -> CheckpointState:
        """Of what was begun. The checkpoint afterwards, with which another read can begin."""
        writer = PageWriter(self._claimed, self._connector, spec.key)
        while True:
            cursor = checkpoint.resume_cursor or checkpoint.incremental_cursor or None
            page = await self._connector.read_page(
                self._session, spec.key, ReadMode(checkpoint.read_mode), self._window, cursor
            )
            checkpoint = await self._take_page(writer, spec.key, checkpoint, page)
            if not checkpoint.resume_cursor:
                return checkpoint

    def _predates_request(self, checkpoint: CheckpointState) -> bool:
        """Another run left this read half done; who asks for a full one now means from here on."""
        started = checkpoint.read_started_at
        return self._claimed.full and (started is None or started < self._claimed.created_at)

    def _is_full_due(self, checkpoint: CheckpointState) -> bool:
        """At first, on demand, on the week day, and when more years are wanted."""
        plan = self._plan
        return (
            self._claimed.full or not checkpoint.incremental_cursor
            or checkpoint.fiscal_years_back < plan.fiscal_years_back
            or full_comparison_is_due(checkpoint.last_full_at, plan.full_comparison_weekday, now())
        )  # fmt: skip

    def _needs_full_read_after(self, checkpoint: CheckpointState) -> bool:
        """What changed is read before all is compared: an entry that moved to another period is then known to be there, and
        its absence from the old one is no deletion."""
        return checkpoint.read_mode == ReadMode.MODIFIED_SINCE and self._is_full_due(checkpoint)

    def _start_read(
        self, spec: ResourceSpec, checkpoint: CheckpointState, *, complete: bool = False
    ) -> CheckpointState:
        """A new read, complete or in the best way that the vendor has to tell what changed."""
        changes_first = bool(checkpoint.incremental_cursor) and not checkpoint.is_baseline and spec.key in CHILDREN
        is_full = complete or (self._is_full_due(checkpoint) and not changes_first)
        mode = ReadMode.FULL if is_full else spec.read_modes[0]
        years = self._plan.fiscal_years_back if is_full else checkpoint.fiscal_years_back
        return replace(
            checkpoint, resume_cursor="", read_mode=mode, read_id=checkpoint.read_id + 1, read_started_at=now(),
            fiscal_years_back=years,
            is_verifying_deletes=False, is_inconsistent=False, seen_count=0,
        )  # fmt: skip

    async def _take_page(
        self, writer: PageWriter, resource: str, checkpoint: CheckpointState, page: Page
    ) -> CheckpointState:
        """Commit the page, or let it wait for the next one: it is small, and nothing more of its resource is asked for. Rows
        of a resource are staged once in a transaction, so what changed is committed before the comparison that follows."""
        if any(pending.resource == resource and pending.page.records for pending in self._pending):
            await self._commit()
        self._pending.append(
            _PendingPage(writer, resource, checkpoint, page, more_follows=self._needs_full_read_after(checkpoint))
        )
        if _can_wait(checkpoint, page) and not self._is_batch_full():
            return advance_checkpoint(replace(checkpoint, resume_cursor=page.next_cursor or ""), page)
        return await self._commit()

    def _is_batch_full(self) -> bool:
        first = self._pending[0]
        return (
            sum(pending.rows for pending in self._pending) > PENDING_ROWS_MAX
            or time.monotonic() - first.pending_since > PENDING_SECONDS_MAX
        )

    async def _commit_if_pending(self) -> None:
        if self._pending:
            await self._commit()

    async def _commit(self) -> CheckpointState:
        """Everything that waits, in one transaction. The checkpoint of the last page."""
        try:
            return await self._commit_pending()
        except UniqueViolation:
            return await self._commit_pending(compares=True)

    async def _commit_pending(self, *, compares: bool = False) -> CheckpointState:
        updates, touched = [], set()
        async with self._transaction() as connection:
            for pending in self._pending:
                applied = await pending.apply(connection, compares=compares)
                updates.append((pending.resource, applied.checkpoint, applied.delta))
                touched |= {pending.resource} if applied.touched else set()
            await checkpoints.save_checkpoints(connection, self._claimed, updates)
            if self._claimed.failures and not self._failures_reset:
                await claims.reset_failures(connection, self._claimed)
        self._failures_reset = True
        self._pending.clear()
        self._result.touched |= touched
        return updates[-1][1]

    def _transaction(self) -> AbstractAsyncContextManager[Connection]:
        return claims.fenced_transaction(self._runtime.database, self._claimed)


@dataclass(frozen=True)
class _PendingPage:
    """A page that was read and is not committed yet."""

    writer: PageWriter
    resource: str
    checkpoint: CheckpointState
    page: Page
    more_follows: bool = False
    """Another read of the resource comes after this one: its part of the run is not done."""
    pending_since: float = field(default_factory=time.monotonic)

    @property
    def rows(self) -> int:
        return len(self.page.records) + sum(len(record.children) for record in self.page.records)

    async def apply(self, connection: Connection, *, compares: bool) -> PageResult:
        if _is_noop(self.checkpoint, self.page):
            new = advance_checkpoint(replace(self.checkpoint, resume_cursor=self.page.next_cursor or ""), self.page)
            applied = PageResult(
                new, ResourceDelta("running" if new.resume_cursor else "done", new.read_mode), touched=False
            )
        else:
            applied = await self.writer.apply(connection, self.checkpoint, self.page, compares=compares)
        return replace(applied, delta=replace(applied.delta, state="running")) if self.more_follows else applied


def _can_wait(checkpoint: CheckpointState, page: Page) -> bool:
    """At most one page of a resource waits, unless nothing is in them: a crash costs no more than that."""
    if _is_noop(checkpoint, page):
        return True
    return page.next_cursor is None and (
        page.snapshot is None or (page.snapshot.restart_cursor is None and page.snapshot.is_consistent)
    )


def _is_noop(checkpoint: CheckpointState, page: Page) -> bool:
    """Nothing to write and nothing to prove."""
    if checkpoint.is_baseline or page.records or page.rejected or page.tombstones or page.snapshot is not None:
        return False
    return page.unchanged or (checkpoint.read_mode == ReadMode.MODIFIED_SINCE and page.next_cursor is None)
