"""Commits the pages of a run: records, checkpoint, change log and counts in one transaction.

Small pages may be held back, so that one transaction commits several.
"""

import time
from dataclasses import dataclass, field, replace

from psycopg.errors import UniqueViolation

from koppel.connector.contract import Page, ReadMode
from koppel.kit.database.pool import Database, DatabaseConnection
from koppel.sync.engine.page_writer import PageResult, PageWriter, advance_checkpoint
from koppel.sync.models import ResourceState
from koppel.sync.runs import checkpoints, claims
from koppel.sync.runs.checkpoints import CheckpointState, ResourceDelta
from koppel.sync.runs.claims import ClaimedRun

PENDING_ROWS_MAX, PENDING_SECONDS_MAX = 1000, 0.5
"""Limits of the batch of pending pages: rows, and seconds since the first was read. Progress becomes visible
with each commit.
"""


@dataclass(frozen=True)
class PendingPage:
    """A page that was read and is not committed yet."""

    writer: PageWriter
    resource: str
    checkpoint: CheckpointState
    page: Page
    more_follows: bool = False
    """Whether another read of the resource follows this one."""
    pending_since: float = field(default_factory=time.monotonic)

    @property
    def row_count(self) -> int:
        return len(self.page.records) + sum(len(record.children) for record in self.page.records)

    @property
    def can_wait(self) -> bool:
        """Return whether the page may be held back until the next one.

        At most one page of a resource is pending, unless they are empty: that is all a crash can lose.
        """
        proof = self.page.absence_proof
        return self.is_noop or (
            self.page.next_cursor is None
            and (proof is None or (proof.restart_cursor is None and proof.is_consistent))
        )

    @property
    def is_noop(self) -> bool:
        """Return whether the page has nothing to write and proves no deletion."""
        page = self.page
        if (
            self.checkpoint.is_baseline
            or page.records
            or page.rejected
            or page.tombstones
            or page.absence_proof is not None
        ):
            return False
        return page.unchanged or (
            self.checkpoint.read_mode == ReadMode.MODIFIED_SINCE and page.next_cursor is None
        )

    def next_checkpoint(self) -> CheckpointState:
        """Return the checkpoint after the page, as far as it is known before writing."""
        return advance_checkpoint(
            replace(self.checkpoint, resume_cursor=self.page.next_cursor or ""), self.page
        )

    async def write(self, database_connection: DatabaseConnection, *, compare_existing: bool) -> PageResult:
        """Write the page in the caller's transaction, if there is something to write."""
        if self.is_noop:
            new = self.next_checkpoint()
            delta = ResourceDelta(
                ResourceState.RUNNING if new.resume_cursor else ResourceState.DONE, new.read_mode
            )
            result = PageResult(new, delta, has_changes=False)
        else:
            result = await self.writer.write(
                database_connection, self.checkpoint, self.page, compare_existing=compare_existing
            )
        return (
            replace(result, delta=replace(result.delta, state=ResourceState.RUNNING))
            if self.more_follows
            else result
        )


class PageCommitter:
    """Commits the pages of one run in the order in which they were read.

    `changed_resources` holds the resources that changed in the books.
    """

    def __init__(self, database: Database, run: ClaimedRun) -> None:
        self._database, self._run = database, run
        self._pending: list[PendingPage] = []
        self._failures_reset = False
        self.changed_resources: set[str] = set()

    async def add(self, pending: PendingPage) -> CheckpointState:
        """Commit the page, or hold it back if it may wait; return the checkpoint after it.

        A resource is staged once per transaction, so its changes are committed before the full read
        that follows.
        """
        if any(earlier.resource == pending.resource and earlier.page.records for earlier in self._pending):
            await self._commit()
        self._pending.append(pending)
        if pending.can_wait and not self._is_batch_full():
            return pending.next_checkpoint()
        return await self._commit()

    async def flush(self) -> None:
        """Commit the pending pages."""
        if self._pending:
            await self._commit()

    def _is_batch_full(self) -> bool:
        return (
            sum(pending.row_count for pending in self._pending) > PENDING_ROWS_MAX
            or time.monotonic() - self._pending[0].pending_since > PENDING_SECONDS_MAX
        )

    async def _commit(self) -> CheckpointState:
        """Commit all pending pages in one transaction. Returns the checkpoint of the last one."""
        try:
            return await self._commit_pending()
        except UniqueViolation:
            return await self._commit_pending(compare_existing=True)

    async def _commit_pending(self, *, compare_existing: bool = False) -> CheckpointState:
        updates, changed_resources = [], set()
        async with claims.fenced_transaction(self._database, self._run) as database_connection:
            for pending in self._pending:
                result = await pending.write(database_connection, compare_existing=compare_existing)
                updates.append((pending.resource, result.checkpoint, result.delta))
                changed_resources |= {pending.resource} if result.has_changes else set()
            await checkpoints.save_checkpoints(database_connection, self._run, updates)
            if (self._run.failures or self._run.worker_losses) and not self._failures_reset:
                await claims.reset_failures(database_connection, self._run)
        self._failures_reset = True
        self._pending.clear()
        self.changed_resources |= changed_resources
        return updates[-1][1]
