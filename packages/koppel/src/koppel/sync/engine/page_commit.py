"""Commits the pages of a run: records, checkpoint, change log and counts in one transaction.

Small pages may be held back, so that one transaction commits several.
"""

import time
from dataclasses import dataclass, field

from psycopg.errors import UniqueViolation

from koppel.connector.contract import Page
from koppel.kit.database.pool import Database
from koppel.kit.database.replication import Durability
from koppel.sync.engine.checkpoint_rules import checkpoint_after, may_wait
from koppel.sync.engine.page_writer import PageWriter
from koppel.sync.runs import checkpoints, claims
from koppel.sync.runs.checkpoints import CheckpointState
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


class PageCommitter:
    """Commits the pages of one run in the order in which they were read.

    `changed_resources` holds the resources that changed in the books, `committed_pages` counts the pages of
    all attempts: set it to those of earlier ones before the first.
    """

    def __init__(self, database: Database, run: ClaimedRun) -> None:
        self._database, self._run = database, run
        self._pending: list[PendingPage] = []
        self._failures_reset = False
        self.changed_resources: set[str] = set()
        self.committed_pages = 0

    async def add(self, pending: PendingPage) -> CheckpointState:
        """Commit the page, or hold it back if it may wait; return the checkpoint after it.

        A resource is staged once per transaction, so its changes are committed before the full read
        that follows.
        """
        if any(earlier.resource == pending.resource and earlier.page.records for earlier in self._pending):
            await self._commit()
        self._pending.append(pending)
        if may_wait(pending.checkpoint, pending.page) and not self._is_batch_full():
            return checkpoint_after(pending.checkpoint, pending.page)
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
        """Commit all pending pages in one transaction. Returns the checkpoint of the last one.

        No standby is waited for: a page that a failover loses is read again.
        """
        try:
            return await self._commit_pending()
        except UniqueViolation:
            return await self._commit_pending(compare_existing=True)

    async def _commit_pending(self, *, compare_existing: bool = False) -> CheckpointState:
        updates, changed_resources = [], set()
        async with claims.fenced_transaction(
            self._database,
            self._run,
            committed_pages=self.committed_pages,
            durability=Durability.LOCAL,
        ) as database_connection:
            for pending in self._pending:
                result = await pending.writer.write(
                    database_connection,
                    pending.checkpoint,
                    pending.page,
                    more_follows=pending.more_follows,
                    compare_existing=compare_existing,
                )
                updates.append((pending.resource, result.checkpoint, result.delta))
                changed_resources |= {pending.resource} if result.has_changes else set()
            await checkpoints.save_checkpoints(database_connection, self._run, updates)
            if (self._run.failures or self._run.worker_losses) and not self._failures_reset:
                await claims.reset_failures(database_connection, self._run)
        self._failures_reset = True
        self.committed_pages += sum(delta.pages for _resource, _checkpoint, delta in updates)
        self._pending.clear()
        self.changed_resources |= changed_resources
        return updates[-1][1]
