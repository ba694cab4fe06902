"""Reads one run: every resource in the connector's order, page by page; `koppel.sync.engine.page_commit` commits the pages.

The next page is requested when this one is committed, so that a crash costs at most the page under way. An error of the
vendor ends the read of a resource or the run; `koppel.sync.engine.error_policy` says which, and what follows.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog
from django.utils import timezone

from koppel.connections.companies.changes import verify_company
from koppel.connections.sessions import ReadingSession, Runtime, reading_session
from koppel.connector.contract import Connector, HistoryWindow, ReadMode, ResourceSpec
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing, UnexpectedResponse
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database.pool import Connection
from koppel.kit.quarantine import Quarantined
from koppel.sync.engine.page_commit import PageCommitter, PendingPage
from koppel.sync.engine.page_writer import CHILDREN, PageWriter
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.errors import Preempted, RunTakenOver
from koppel.sync.runs import checkpoints, claims
from koppel.sync.runs.checkpoints import CheckpointState
from koppel.sync.runs.claims import ClaimedRun

HEARTBEAT_SECONDS = 5

log = structlog.get_logger(__name__)


@dataclass
class RunResult:
    """How a run ended: the resources that could not be read, in earlier attempts too, and what changed in this one."""

    broken: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


async def read_run(runtime: Runtime, claimed: ClaimedRun, plan: SyncPlan) -> RunResult:
    """Read every resource of the plan. Raises the connector's errors and `RunTakenOver`; what was committed stays."""
    session = await reading_session(runtime, claimed.organisation_id, claimed.administration_id)
    reader = RunReader(runtime, claimed, plan, session, connector(claimed.connector))
    async with _heartbeat(runtime, claimed):
        await verify_company(session, claimed.connector)
        return await reader.read_all()


@contextlib.asynccontextmanager
async def _heartbeat(runtime: Runtime, claimed: ClaimedRun) -> AsyncIterator[None]:
    """Send heartbeats while the block runs; cancel it and raise `RunTakenOver` when another worker takes the run over."""
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
            raise RunTakenOver from None
        raise
    finally:
        heart.cancel()


def full_comparison_is_due(last: datetime | None, weekday: int, at: datetime) -> bool:
    """Return whether the weekday of the full comparison has come since the last one, in the installation's time zone.

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
        self._committer = PageCommitter(runtime.database, claimed)

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
            await self._committer.flush()
            raise
        await self._committer.flush()
        self._result.touched |= self._committer.touched
        return self._result

    async def _read_or_record_failure(self, spec: ResourceSpec, checkpoint: CheckpointState, *, is_first: bool) -> None:
        """Read the resource; a refusal of it alone marks it unavailable. A company that refuses everything refuses its first
        resource, which ends the run. Pending pages are committed first: they would overwrite the refusal."""
        try:
            await self._read(spec, checkpoint)
        except (NotConsented, SetupMissing) as refusal:
            if is_first:
                raise
            await self._committer.flush()
            async with self._transaction() as connection:
                await checkpoints.reset_cursor(connection, self._claimed, spec.key)
                await checkpoints.mark_unavailable(connection, self._claimed, spec.key, str(refusal))
                await checkpoints.finish_resource(connection, self._claimed, spec.key, "skipped", str(refusal))
        except UnexpectedResponse as error:
            log.error(
                "unexpected_response", run=self._claimed.id, resource=spec.key, code=error.code, reason=str(error)
            )
            self._result.broken[spec.key] = str(error)
            await self._committer.flush()
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
        """Read page by page until the source has no more. Returns the checkpoint, from which another read can begin."""
        writer = PageWriter(self._claimed, self._connector, spec.key)
        while True:
            cursor = checkpoint.resume_cursor or checkpoint.incremental_cursor or None
            page = await self._connector.read_page(
                self._session, spec.key, ReadMode(checkpoint.read_mode), self._window, cursor
            )
            more_follows = self._needs_full_read_after(checkpoint)
            checkpoint = await self._committer.add(PendingPage(writer, spec.key, checkpoint, page, more_follows))
            if not checkpoint.resume_cursor:
                return checkpoint

    def _predates_request(self, checkpoint: CheckpointState) -> bool:
        """Return whether the read that was begun is older than the request of a full read, which means one from then on."""
        started = checkpoint.read_started_at
        return self._claimed.full and (started is None or started < self._claimed.created_at)

    def _is_full_due(self, checkpoint: CheckpointState) -> bool:
        """Return whether a full read is due: at first, on demand, on the weekday, and when more fiscal years are wanted."""
        plan = self._plan
        return (
            self._claimed.full or not checkpoint.incremental_cursor
            or checkpoint.fiscal_years_back < plan.fiscal_years_back
            or full_comparison_is_due(checkpoint.last_full_at, plan.full_comparison_weekday, now())
        )  # fmt: skip

    def _needs_full_read_after(self, checkpoint: CheckpointState) -> bool:
        """Return whether a full read comes after this one. Changes are read before all is compared: an entry that moved to
        another period is then in the books, and its absence from the old period is no deletion."""
        return checkpoint.read_mode == ReadMode.MODIFIED_SINCE and self._is_full_due(checkpoint)

    def _start_read(
        self, spec: ResourceSpec, checkpoint: CheckpointState, *, complete: bool = False
    ) -> CheckpointState:
        """Return the checkpoint of a new read: full, or in the first mode of the resource, the best for what changed."""
        changes_first = bool(checkpoint.incremental_cursor) and not checkpoint.is_baseline and spec.key in CHILDREN
        is_full = complete or (self._is_full_due(checkpoint) and not changes_first)
        mode = ReadMode.FULL if is_full else spec.read_modes[0]
        years = self._plan.fiscal_years_back if is_full else checkpoint.fiscal_years_back
        return replace(
            checkpoint, resume_cursor="", read_mode=mode, read_id=checkpoint.read_id + 1, read_started_at=now(),
            fiscal_years_back=years,
            is_verifying_deletes=False, is_inconsistent=False, seen_count=0,
        )  # fmt: skip

    def _transaction(self) -> AbstractAsyncContextManager[Connection]:
        return claims.fenced_transaction(self._runtime.database, self._claimed)
