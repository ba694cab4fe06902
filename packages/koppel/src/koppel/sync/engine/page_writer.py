"""Writes one page into the books and the change log; returns the next checkpoint and the counts.

`koppel.sync.engine.deletions` finds deletions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from koppel.books.storage import staging, writer
from koppel.connector.contract import Connector, Page, ReadMode, Record
from koppel.kit.clock import now
from koppel.kit.database.pool import DatabaseConnection
from koppel.sync.changes import log
from koppel.sync.engine.checkpoint_rules import (
    advance_checkpoint,
    checkpoint_after,
    has_nothing_to_write,
)
from koppel.sync.engine.deletions import PageDeletions
from koppel.sync.engine.read_rules import CHILDREN
from koppel.sync.models import ResourceState
from koppel.sync.runs import rejected_records
from koppel.sync.runs.checkpoints import CheckpointState, ResourceDelta
from koppel.sync.runs.claims import ClaimedRun

ROWS_MAX = 2**31


@dataclass
class _PageCounts:
    lines: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    rejected: int = 0
    renormalised: int = 0
    has_changes: bool = False


@dataclass(frozen=True, kw_only=True)
class PageResult:
    """The result of writing a page: its checkpoint, counts, and whether the books changed."""

    checkpoint: CheckpointState
    delta: ResourceDelta
    has_changes: bool


class PageWriter:
    """Writes the pages of one resource, in the caller's transaction. Makes no calls to the vendor.

    A first read inserts its records as new. If one exists already, the transaction fails with
    `UniqueViolation`, and the caller writes the page again with `compare_existing`, which looks each record
    up first.
    """

    def __init__(self, run: ClaimedRun, connector: Connector, resource: str) -> None:
        self._run, self._connector, self._resource = run, connector, resource
        self._last_fingerprint: dict[str, bytes | None] = {}
        self._resources: tuple[str, ...] = (
            (resource, CHILDREN[resource]) if resource in CHILDREN else (resource,)
        )

    async def write(
        self,
        database_connection: DatabaseConnection,
        checkpoint: CheckpointState,
        page: Page,
        *,
        more_follows: bool = False,
        compare_existing: bool = False,
    ) -> PageResult:
        """Write the page, in the transaction that also locks the run and stores the checkpoint.

        `more_follows`: another read of the resource follows this one.
        """
        if has_nothing_to_write(checkpoint, page):
            new = checkpoint_after(checkpoint, page)
            delta = ResourceDelta(state=_state(new, more_follows=more_follows), mode=new.read_mode)
            return PageResult(checkpoint=new, delta=delta, has_changes=False)
        context = self._write_context()
        batches = self._batches(page.records)
        counts = _PageCounts(rejected=len(page.rejected))
        await rejected_records.store(database_connection, self._run, self._resource, page.rejected)
        for resource, result in (
            await self._write_batches(
                database_connection, context, batches, checkpoint, compare_existing=compare_existing
            )
        ).items():
            await rejected_records.store(database_connection, self._run, resource, result.rejected)
            counts.rejected += len(result.rejected)
            counts.renormalised += len(result.renormalised)
            counts.has_changes |= result.has_changes
            if resource == self._resource:
                counts.added, counts.changed = len(result.added), len(result.changed)
        counts.lines = sum(len(record.children) for record in page.records)
        deletions = PageDeletions(
            database_connection=database_connection, context=context, run=self._run, resources=self._resources
        )
        if (
            not checkpoint.is_baseline
            and checkpoint.read_mode == ReadMode.MODIFIED_SINCE
            and self._resource in CHILDREN
        ):
            await deletions.delete_missing_lines(page.records)
        await deletions.apply_tombstones(page.tombstones)
        if self._resource == "journals" and counts.has_changes:
            await writer.update_ledger_types(database_connection, context)
        new = advance_checkpoint(await deletions.apply_absence_proof(checkpoint, page, batches), page)
        counts.deleted, counts.has_changes = deletions.deleted, counts.has_changes or deletions.has_deleted
        if not new.resume_cursor and new.read_mode != ReadMode.MODIFIED_SINCE:
            await rejected_records.delete_older(
                database_connection, self._run, self._resources, new.read_started_at
            )
        delta = _delta(new, page, counts, _state(new, more_follows=more_follows))
        return PageResult(checkpoint=new, delta=delta, has_changes=counts.has_changes)

    def _write_context(self) -> writer.WriteContext:
        run = self._run
        return writer.WriteContext(
            organisation_id=run.organisation_id,
            administration_id=run.administration_id,
            at=now(),
            normalise=self._connector.normalise,
            versions=self._connector.normalisation_versions,
        )

    def _batches(self, records: Sequence[Record]) -> list[writer.RecordBatch]:
        batches: list[writer.RecordBatch] = []
        if len(self._resources) > 1:
            lines = [child for record in records for child in record.children]
            parents = {
                child.external_id: record.external_id for record in records for child in record.children
            }
            batches.append(writer.RecordBatch(resource=self._resources[1], records=lines, parents=parents))
        return [writer.RecordBatch(resource=self._resource, records=records, parents={}), *batches]

    async def _write_batches(
        self,
        database_connection: DatabaseConnection,
        context: writer.WriteContext,
        batches: Sequence[writer.RecordBatch],
        checkpoint: CheckpointState,
        *,
        compare_existing: bool,
    ) -> dict[str, writer.WriteResult]:
        if checkpoint.is_baseline and not compare_existing:
            return await self._insert(database_connection, context, batches)
        results = {}
        for batch in batches:
            resource = batch.resource
            result = results[resource] = await writer.stage(database_connection, context, *batch)
            if result.has_changes:
                ctes, values = (
                    ("", {})
                    if checkpoint.is_baseline
                    else (_change_log_ctes(resource), log.cte_params(self._run, resource))
                )
                await writer.merge(
                    database_connection, context, resource, change_log_ctes=ctes, values=values
                )
        return results

    async def _insert(
        self,
        database_connection: DatabaseConnection,
        context: writer.WriteContext,
        batches: Sequence[writer.RecordBatch],
    ) -> dict[str, writer.WriteResult]:
        """Insert the records of a first read.

        A page of a journal may begin in the middle of an entry, so the last record of the previous page may
        come again.
        """
        results = await writer.insert_new(database_connection, context, batches, self._last_fingerprint)
        version = context.versions[self._resource]
        self._last_fingerprint = {
            record.external_id: writer.fingerprint_of(record, version) for record in batches[0].records[-1:]
        }
        return results


def _state(new: CheckpointState, *, more_follows: bool) -> ResourceState:
    return ResourceState.RUNNING if new.resume_cursor or more_follows else ResourceState.DONE


def _delta(new: CheckpointState, page: Page, counts: _PageCounts, state: ResourceState) -> ResourceDelta:
    return ResourceDelta(
        state=state,
        mode=new.read_mode,
        expected_total=_plausible_total(page.expected_total),
        pages=1,
        rows=len(page.records),
        lines=counts.lines,
        added=counts.added,
        changed=counts.changed,
        deleted=counts.deleted,
        rejected=counts.rejected,
        renormalised=counts.renormalised,
    )


def _plausible_total(total: int | None) -> int | None:
    """Return the total that the source states; None for an implausible one."""
    return total if total is None or 0 <= total < ROWS_MAX else None


@cache
def _change_log_ctes(resource: str) -> str:
    staging_table = staging.table(resource).staging_table()
    return f"WITH {log.insert_cte(resource)}, {rejected_records.delete_cte(staging_table)} "
