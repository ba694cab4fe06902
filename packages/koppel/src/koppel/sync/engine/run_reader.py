"""Reads a run's resources page by page, in the connector's order.

`koppel.sync.engine.page_commit` commits the pages. The next page is requested after this one is committed, so
a crash loses at most one page. A vendor error ends the read of the resource, or the run, as
`koppel.sync.engine.error_policy` says.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import structlog
from django.utils import timezone

from koppel.connections.companies.changes import verify_company
from koppel.connections.sessions import ReadingSession, Runtime, reading_session
from koppel.connector.contract import Connector, HistoryWindow, ReadMode, ResourceSpec
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing, UnexpectedResponse
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.quarantine import Quarantined
from koppel.sync.engine.page_commit import PageCommitter, PendingPage
from koppel.sync.engine.page_writer import PageWriter
from koppel.sync.engine.read_rules import ReadRules
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.errors import Preempted, RunTakenOver
from koppel.sync.models import ResourceState
from koppel.sync.runs import checkpoints, claims
from koppel.sync.runs.checkpoints import CheckpointState
from koppel.sync.runs.claims import ClaimedRun

HEARTBEAT_SECONDS = 5

log = structlog.get_logger(__name__)


@dataclass
class RunResult:
    """The outcome of a run."""

    failed_resources: dict[str, str] = field(default_factory=dict)
    """The resources that could not be read, also in earlier attempts, with the reasons."""
    changed_resources: set[str] = field(default_factory=set)
    """The resources of which this attempt changed records."""
    committed_pages: int = 0
    """The pages that the run has committed, in all attempts."""


async def read_run(runtime: Runtime, run: ClaimedRun, plan: SyncPlan) -> RunResult:
    """Read every resource of the plan.

    Raises the connector's errors and `RunTakenOver`; committed pages are kept.
    """
    session = await reading_session(runtime, run.organisation_id, run.administration_id)
    reader = RunReader(runtime, run, plan, session, connector(run.connector))
    async with _heartbeat(runtime, run):
        await verify_company(session, run.connector)
        return await reader.read_all()


@contextlib.asynccontextmanager
async def _heartbeat(runtime: Runtime, run: ClaimedRun) -> AsyncIterator[None]:
    """Send heartbeats while the block runs.

    When another worker takes the run over, cancel the block and raise `RunTakenOver`.
    """
    task = asyncio.current_task()
    fenced = False

    async def send_heartbeats() -> None:
        nonlocal fenced
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with runtime.database.tenant_transaction(run.organisation_id) as database_connection:
                    still_held = await claims.heartbeat(database_connection, run)
            except Exception as error:
                log.warning("heartbeat_failed", run=run.id, error=type(error).__name__)
                continue
            if not still_held and task is not None:
                fenced = True
                task.cancel()
                return

    heartbeat_task = asyncio.create_task(send_heartbeats())
    try:
        yield
    except asyncio.CancelledError:
        if fenced:
            raise RunTakenOver from None
        raise
    finally:
        heartbeat_task.cancel()


class RunReader:
    """Reads the resources of one run. `ReadRules` decides which reads each one gets."""

    def __init__(
        self,
        runtime: Runtime,
        run: ClaimedRun,
        plan: SyncPlan,
        session: ReadingSession,
        connector: Connector,
    ) -> None:
        self._runtime, self._run, self._session, self._connector = runtime, run, session, connector
        self._rules = ReadRules.of_run(run, plan, timezone.get_default_timezone())
        self._window = HistoryWindow(plan.fiscal_years_back, now().date())
        self._result = RunResult()
        self._committer = PageCommitter(runtime.database, run)

    async def read_all(self) -> RunResult:
        """Read the remaining resources.

        Raises the connector's errors, `Quarantined` and `Preempted`, after committing what was read.
        """
        specs = self._rules.choose(await self._connector.list_resources(self._session))
        async with self._transaction() as database_connection:
            planned = await checkpoints.plan_resources(
                database_connection,
                self._run,
                [(spec.key, "" if spec.available else spec.unavailable_reason) for spec in specs],
            )
        self._committer.committed_pages = sum(resource.pages for resource in planned.values())
        try:
            for position, spec in enumerate(specs):
                resource = planned[spec.key]
                if resource.state == ResourceState.FAILED:
                    self._result.failed_resources[spec.key] = resource.reason
                elif resource.state in (ResourceState.WAITING, ResourceState.RUNNING):
                    is_first = position == 0 and self._run.resources is None
                    await self._read_resource_or_record_failure(
                        spec, resource.checkpoint or CheckpointState(), is_first=is_first
                    )
        except (ConnectorError, Quarantined, Preempted):
            await self._committer.flush()
            raise
        await self._committer.flush()
        self._result.changed_resources |= self._committer.changed_resources
        self._result.committed_pages = self._committer.committed_pages
        return self._result

    async def _read_resource_or_record_failure(
        self, spec: ResourceSpec, checkpoint: CheckpointState, *, is_first: bool
    ) -> None:
        """Read the resource; if the vendor refuses only this one, mark it unavailable.

        A company that refuses everything refuses its first resource, which ends the run.
        """
        try:
            await self._read_resource(spec, checkpoint)
        except (NotConsented, SetupMissing) as refusal:
            if is_first:
                raise
            await self._record_failure(spec.key, ResourceState.SKIPPED, refusal.sentence)
        except UnexpectedResponse as error:
            log.error(
                "unexpected_response",
                run=self._run.id,
                resource=spec.key,
                code=error.code,
                reason=str(error),
            )
            self._result.failed_resources[spec.key] = error.sentence
            await self._record_failure(spec.key, ResourceState.FAILED, error.sentence)

    async def _record_failure(self, resource: str, state: ResourceState, reason: str) -> None:
        """Record that the resource was not read, so that its next read starts again.

        Pending pages are committed first: they would overwrite the record.
        """
        await self._committer.flush()
        async with self._transaction() as database_connection:
            await checkpoints.reset_cursor(database_connection, self._run, resource)
            if state == ResourceState.SKIPPED:
                await checkpoints.mark_unavailable(database_connection, self._run, resource, reason)
            await checkpoints.finish_resource(database_connection, self._run, resource, state, reason)

    async def _read_resource(self, spec: ResourceSpec, checkpoint: CheckpointState) -> None:
        next_checkpoint: CheckpointState | None = self._rules.first_read(spec, checkpoint, now())
        while next_checkpoint is not None:
            finished = await self._read_pages(spec, next_checkpoint)
            next_checkpoint = self._rules.next_read(finished, now())

    async def _read_pages(self, spec: ResourceSpec, checkpoint: CheckpointState) -> CheckpointState:
        """Read page by page to the end. Returns the checkpoint from which another read can begin."""
        writer = PageWriter(self._run, self._connector, spec.key)
        while True:
            cursor = checkpoint.resume_cursor or checkpoint.incremental_cursor or None
            page = await self._connector.read_page(
                self._session, spec.key, ReadMode(checkpoint.read_mode), self._window, cursor
            )
            more_follows = self._rules.full_read_follows(checkpoint, now())
            checkpoint = await self._committer.add(
                PendingPage(writer, spec.key, checkpoint, page, more_follows)
            )
            if not checkpoint.resume_cursor:
                return checkpoint

    def _transaction(self) -> AbstractAsyncContextManager[DatabaseConnection]:
        return claims.fenced_transaction(self._runtime.database, self._run)
