"""Marks rows as deleted when a page states or proves that the source deleted them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from koppel.books.storage import row_deletion
from koppel.books.storage.writer import RecordBatch, WriteContext
from koppel.connector.contract import AbsenceProof, Page, ReadMode, Record
from koppel.kit.database.pool import DatabaseConnection
from koppel.sync.changes import log
from koppel.sync.runs import read_keys
from koppel.sync.runs.checkpoints import CheckpointState
from koppel.sync.runs.claims import ClaimedRun


@dataclass(kw_only=True)
class PageDeletions:
    """Marks the deletions of one page of a resource."""

    database_connection: DatabaseConnection
    context: WriteContext
    run: ClaimedRun
    resources: Sequence[str]
    """The resource and, for entries, that of their lines."""
    deleted: int = 0
    """The number of records of the resource, without lines."""
    has_deleted: bool = False
    """Whether records or lines were marked."""

    async def delete_missing_lines(self, records: Sequence[Record]) -> None:
        """Mark the lines of complete entries that the entry no longer has as deleted."""
        complete = [record for record in records if record.is_complete]
        if not complete:
            return
        lines = [line.external_id for record in complete for line in record.children]
        entries = [record.external_id for record in complete]
        missing = await row_deletion.missing_line_keys(self.database_connection, self.context, entries, lines)
        await self._mark_deleted(self.resources[1], missing)

    async def apply_tombstones(self, tombstones: Sequence[str]) -> None:
        """Mark the records that the source reports as deleted, with their lines.

        The source may report a record again, or one that was never read.
        """
        if not tombstones:
            return
        if len(self.resources) > 1:
            lines = await row_deletion.missing_line_keys(
                self.database_connection, self.context, tombstones, ()
            )
            await self._mark_deleted(self.resources[1], lines)
        resource = self.resources[0]
        existing = await row_deletion.existing_keys(
            self.database_connection, self.context, resource, tombstones
        )
        await self._mark_deleted(resource, existing)

    async def apply_absence_proof(
        self, checkpoint: CheckpointState, page: Page, batches: Sequence[RecordBatch]
    ) -> CheckpointState:
        """Mark the rows whose absence this page proves as deleted; return the new checkpoint.

        Rows missed by a read of several pages are verified by a second read first.
        """
        new = replace(checkpoint, resume_cursor=page.next_cursor or "")
        proof = page.absence_proof
        if checkpoint.is_baseline or checkpoint.read_mode == ReadMode.MODIFIED_SINCE:
            new.is_inconsistent |= proof is not None and not proof.is_consistent
            return new
        if proof is not None and proof.restart_cursor is None and proof.is_consistent:
            await self._delete_all_but(batches, proof)
            return new
        for resource, records, _parents in batches:
            keys = [record.external_id for record in records]
            new.seen_count += (
                await read_keys.add_keys(
                    self.database_connection, self.run, resource, checkpoint.read_id, keys
                )
                if keys
                else 0
            )
        if proof is None:
            return new
        return await self._compare(new, proof)

    async def _compare(self, new: CheckpointState, proof: AbsenceProof) -> CheckpointState:
        """Compare the books with a partition read over several pages, at its last page."""
        recorded = await read_keys.count(self.database_connection, self.run, self.resources, new.read_id)
        is_incomplete = new.seen_count != recorded
        missing = {
            resource: await self._missing_in_read(resource, new.read_id, proof) for resource in self.resources
        }
        if proof.restart_cursor is not None and (
            is_incomplete or (any(missing.values()) and not new.is_verifying_deletes)
        ):
            if is_incomplete:
                await read_keys.delete(self.database_connection, self.run, self.resources)
            return replace(
                new,
                resume_cursor=proof.restart_cursor,
                is_verifying_deletes=not is_incomplete,
                seen_count=0 if is_incomplete else new.seen_count,
            )
        if proof.is_consistent:
            for resource, keys in missing.items():
                await self._mark_deleted(resource, keys)
        await read_keys.delete(self.database_connection, self.run, self.resources)
        return replace(
            new,
            is_verifying_deletes=False,
            is_inconsistent=new.is_inconsistent or not proof.is_consistent,
            seen_count=0,
        )

    async def _missing_in_read(self, resource: str, read_id: int, proof: AbsenceProof) -> list[str]:
        return await row_deletion.missing_keys(
            self.database_connection,
            self.context,
            resource,
            proof.partitions,
            read_keys_sql=read_keys.LIST_KEYS_SQL,
            values={"read": read_id},
        )

    async def _delete_all_but(self, batches: Sequence[RecordBatch], proof: AbsenceProof) -> None:
        """Mark every row of the partition that is not in `batches`, which hold the whole partition."""
        if proof.partitions is not None and not proof.partitions:
            return
        for resource, records, _parents in batches:
            keys = [record.external_id for record in records]
            missing = await row_deletion.missing_keys(
                self.database_connection,
                self.context,
                resource,
                proof.partitions,
                read_keys_sql=row_deletion.GIVEN_KEYS_SQL,
                values={"keys": keys},
            )
            await self._mark_deleted(resource, missing)

    async def _mark_deleted(self, resource: str, keys: Sequence[str]) -> None:
        if not keys:
            return
        await log.log_deleted(self.database_connection, self.run, resource, keys)
        await row_deletion.mark_deleted(self.database_connection, self.context, resource, keys)
        self.has_deleted = True
        if resource == self.resources[0]:
            self.deleted += len(keys)
