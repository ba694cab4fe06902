"""What a page does: records, checkpoint, changes and counts in one transaction, and what the end of a complete read proves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from koppel.books.storage import staging, writer
from koppel.connector.contract import Connector, Page, ReadMode, Record, Snapshot
from koppel.kit.clock import now
from koppel.kit.database.pool import Connection
from koppel.sync.changes import log
from koppel.sync.runs import rejected_records, snapshot_keys
from koppel.sync.runs.checkpoints import CheckpointState, ResourceDelta
from koppel.sync.runs.claims import ClaimedRun

CHILDREN = {"entries": "entry_lines"}
ROWS_MAX = 2**31
UNPROVEN_FULL_READ_AGE = timedelta(days=8)
"""A first read that could not be proved complete counts as one of so long ago that the next run compares again."""


@dataclass
class _Tally:
    lines: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    rejected: int = 0
    touched: bool = False


@dataclass(frozen=True)
class PageResult:
    """The checkpoint after the page, what it adds to its part of the run, and whether anything in the books is different."""

    checkpoint: CheckpointState
    delta: ResourceDelta
    touched: bool


class PageWriter:
    """Applies the pages of one resource. Nothing here calls the vendor or opens a transaction.

    A first read takes its records for new. When that is wrong the page's transaction ends with `UniqueViolation`, and the page
    is applied once more with `compares`: each record is looked for in the books first."""

    def __init__(self, claimed: ClaimedRun, connector: Connector, resource: str) -> None:
        self._claimed, self._connector, self._resource = claimed, connector, resource
        self._begun: dict[str, bytes | None] = {}
        self._levels: tuple[str, ...] = (resource, CHILDREN[resource]) if resource in CHILDREN else (resource,)

    async def apply(
        self, connection: Connection, checkpoint: CheckpointState, page: Page, *, compares: bool = False
    ) -> PageResult:
        """Write the page within the caller's transaction, which holds the run and keeps the checkpoint."""
        context = self._write_context()
        counts = _Tally(rejected=len(page.rejected))
        await rejected_records.store(connection, self._claimed, self._resource, page.rejected)
        for level, written in (
            await self._write(connection, context, page.records, checkpoint, compares=compares)
        ).items():
            await rejected_records.store(connection, self._claimed, level, written.rejected)
            counts.rejected += len(written.rejected)
            counts.touched |= written.is_any
            if level == self._resource:
                counts.added, counts.changed = len(written.added), len(written.changed)
        counts.lines = sum(len(record.children) for record in page.records)
        if (
            not checkpoint.is_baseline
            and checkpoint.read_mode == ReadMode.MODIFIED_SINCE
            and self._resource in CHILDREN
        ):
            await self._delete_missing_lines(connection, context, page.records, counts)
        await self._apply_tombstones(connection, context, page.tombstones, counts)
        new = await self._apply_snapshot(connection, context, checkpoint, page, counts)
        new = advance_checkpoint(new, page)
        if not new.resume_cursor and new.read_mode != ReadMode.MODIFIED_SINCE:
            await rejected_records.delete_older(connection, self._claimed, self._levels, new.read_started_at)
        return PageResult(new, self._count(new, page, counts), counts.touched)

    def _write_context(self) -> writer.WriteContext:
        claimed = self._claimed
        return writer.WriteContext(claimed.organisation_id, claimed.administration_id, now(), self._connector.normalise)

    def _batches_by_level(self, records: Sequence[Record]) -> list[writer.RecordBatch]:
        batches: list[writer.RecordBatch] = []
        if len(self._levels) > 1:
            lines = [child for record in records for child in record.children]
            parents = {child.external_id: record.external_id for record in records for child in record.children}
            batches.append((self._levels[1], lines, parents))
        return [(self._resource, records, {}), *batches]

    async def _write(
        self,
        connection: Connection,
        context: writer.WriteContext,
        records: Sequence[Record],
        checkpoint: CheckpointState,
        *,
        compares: bool,
    ) -> dict[str, writer.WriteResult]:
        levels = self._batches_by_level(records)
        if checkpoint.is_baseline and not compares:
            return await self._insert(connection, context, levels)
        written_by_level = {}
        for level, batch, parents in levels:
            written = written_by_level[level] = await writer.stage(connection, context, level, batch, parents)
            if written.is_any:
                ctes, values = (
                    ("", {})
                    if checkpoint.is_baseline
                    else (_change_log_ctes(level), log.cte_params(self._claimed, level))
                )
                await writer.merge(connection, context, level, change_log_ctes=ctes, values=values)
        return written_by_level

    async def _insert(
        self, connection: Connection, context: writer.WriteContext, levels: Sequence[writer.RecordBatch]
    ) -> dict[str, writer.WriteResult]:
        """Most pages of a journal begin in the middle of an entry: the last one of the page before is known."""
        written = await writer.insert_new(connection, context, levels, self._begun)
        self._begun = {record.external_id: writer.digest_of(record) for record in levels[0][1][-1:]}
        return written

    async def _delete_missing_lines(
        self, connection: Connection, context: writer.WriteContext, records: Sequence[Record], counts: _Tally
    ) -> None:
        """An entry that came whole no longer has the lines that did not come with it."""
        whole = [record for record in records if record.is_complete]
        if not whole:
            return
        lines = [child.external_id for record in whole for child in record.children]
        gone = await writer.missing_line_keys(connection, context, [record.external_id for record in whole], lines)
        await self._mark_deleted(connection, context, self._levels[1], gone, counts)

    async def _apply_tombstones(
        self, connection: Connection, context: writer.WriteContext, tombstones: Sequence[str], counts: _Tally
    ) -> None:
        """What the source says it deleted, and the lines of it. It may say so again, or of what never was here."""
        if not tombstones:
            return
        if len(self._levels) > 1:
            lines = await writer.missing_line_keys(connection, context, tombstones, ())
            await self._mark_deleted(connection, context, self._levels[1], lines, counts)
        there = await writer.existing_keys(connection, context, self._resource, tombstones)
        await self._mark_deleted(connection, context, self._resource, there, counts)

    async def _apply_snapshot(
        self,
        connection: Connection,
        context: writer.WriteContext,
        checkpoint: CheckpointState,
        page: Page,
        counts: _Tally,
    ) -> CheckpointState:
        """What this page proves absent. Rows that a read of several pages missed are looked for once more first."""
        new = replace(checkpoint, resume_cursor=page.next_cursor or "")
        if checkpoint.is_baseline or checkpoint.read_mode == ReadMode.MODIFIED_SINCE:
            new.is_inconsistent |= page.snapshot is not None and not page.snapshot.is_consistent
            return new
        proof = page.snapshot
        if proof is not None and proof.restart_cursor is None and proof.is_consistent:
            await self._delete_all_but(connection, context, page.records, proof, counts)
            return new
        for level, records, _parents in self._batches_by_level(page.records):
            keys = [record.external_id for record in records]
            new.seen_count += (
                await snapshot_keys.record(connection, self._claimed, level, checkpoint.read_id, keys) if keys else 0
            )
        if proof is None:
            return new
        return await self._compare(connection, context, new, proof, counts)

    async def _compare(
        self,
        connection: Connection,
        context: writer.WriteContext,
        new: CheckpointState,
        proof: Snapshot,
        counts: _Tally,
    ) -> CheckpointState:
        """The end of a partition that took several pages."""
        lost = new.seen_count != await snapshot_keys.count(connection, self._claimed, self._levels, new.read_id)
        gone = {
            level: await writer.missing_keys(
                connection,
                context,
                level,
                proof.partitions,
                read_keys_sql=snapshot_keys.READ_KEYS_SQL,
                values={"read": new.read_id},
            )
            for level in self._levels
        }
        if proof.restart_cursor is not None and (lost or (any(gone.values()) and not new.is_verifying_deletes)):
            if lost:
                await snapshot_keys.delete(connection, self._claimed, self._levels)
            return replace(
                new,
                resume_cursor=proof.restart_cursor,
                is_verifying_deletes=not lost,
                seen_count=0 if lost else new.seen_count,
            )
        if proof.is_consistent:
            for level, keys in gone.items():
                await self._mark_deleted(connection, context, level, keys, counts)
        await snapshot_keys.delete(connection, self._claimed, self._levels)
        return replace(
            new,
            is_verifying_deletes=False,
            is_inconsistent=new.is_inconsistent or not proof.is_consistent,
            seen_count=0,
        )

    async def _delete_all_but(
        self,
        connection: Connection,
        context: writer.WriteContext,
        records: Sequence[Record],
        proof: Snapshot,
        counts: _Tally,
    ) -> None:
        """The partition was one answer: what it does not name is gone."""
        if proof.partitions is not None and not proof.partitions:
            return
        for level, present, _parents in self._batches_by_level(records):
            keys = [record.external_id for record in present]
            gone = await writer.missing_keys(
                connection, context, level, proof.partitions, read_keys_sql=writer.KEYS_SQL, values={"keys": keys}
            )
            await self._mark_deleted(connection, context, level, gone, counts)

    async def _mark_deleted(
        self, connection: Connection, context: writer.WriteContext, level: str, keys: Sequence[str], counts: _Tally
    ) -> None:
        if not keys:
            return
        await log.log_deleted(connection, self._claimed, level, keys)
        await writer.mark_deleted(connection, context, level, keys)
        counts.touched = True
        if level == self._resource:
            counts.deleted += len(keys)

    def _count(self, new: CheckpointState, page: Page, counts: _Tally) -> ResourceDelta:
        return ResourceDelta(
            "running" if new.resume_cursor else "done", new.read_mode, _plausible(page.expected_total), 1, len(page.records),
            counts.lines, counts.added, counts.changed, counts.deleted, counts.rejected,
        )  # fmt: skip


def _plausible(total: int | None) -> int | None:
    """What the source says there is; an absurd total is none."""
    return total if total is None or 0 <= total < ROWS_MAX else None


@cache
def _change_log_ctes(level: str) -> str:
    return f"WITH {log.insert_cte(level)}, {rejected_records.delete_cte(staging.table(level).staging_table())} "


def advance_checkpoint(checkpoint: CheckpointState, page: Page) -> CheckpointState:
    """The checkpoint once the page is applied; at the end of a read it says from where and when the next one goes on."""
    if checkpoint.resume_cursor:
        return checkpoint
    new = replace(
        checkpoint,
        incremental_cursor=page.checkpoint or checkpoint.incremental_cursor,
        complete_as_of=checkpoint.read_started_at,
    )
    if checkpoint.read_mode != ReadMode.MODIFIED_SINCE:
        new.last_full_at = _full_at(checkpoint)
        new.is_inconsistent = False
    return new


def _full_at(checkpoint: CheckpointState) -> datetime | None:
    if not checkpoint.is_inconsistent:
        return checkpoint.read_started_at
    return checkpoint.last_full_at or (checkpoint.read_started_at or now()) - UNPROVEN_FULL_READ_AGE
