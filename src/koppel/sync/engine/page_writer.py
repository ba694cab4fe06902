"""What a page does: records, checkpoint, changes and counts in one transaction, and what the end of a complete read proves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from koppel.books.storage import staging, writer
from koppel.connector.contract import Connector, Page, ReadMode, Record, Snapshot
from koppel.kit.clock import now
from koppel.kit.database import Connection
from koppel.sync.changes import log
from koppel.sync.runs import store
from koppel.sync.runs.store import Count, Held, Mark

CHILDREN = {"entries": "entry_lines"}
ROWS_MAX = 2**31
LONG_AGO = timedelta(days=8)
"""A first read that could not be proved complete counts as one of so long ago that the next run compares again."""


@dataclass
class _Counts:
    lines: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    rejected: int = 0
    touched: bool = False


@dataclass(frozen=True)
class Applied:
    """The checkpoint after the page, what it adds to its part of the run, and whether anything in the books is different."""

    mark: Mark
    count: Count
    touched: bool


class PageWriter:
    """Applies the pages of one resource. Nothing here calls the vendor or opens a transaction.

    A first read takes its records for new. When that is wrong the page's transaction ends with `UniqueViolation`, and the page
    is applied once more with `compares`: each record is looked for in the books first."""

    def __init__(self, held: Held, connector: Connector, resource: str) -> None:
        self._held, self._connector, self._resource = held, connector, resource
        self._begun: dict[str, bytes | None] = {}
        self._levels: tuple[str, ...] = (resource, CHILDREN[resource]) if resource in CHILDREN else (resource,)

    async def apply(self, connection: Connection, mark: Mark, page: Page, *, compares: bool = False) -> Applied:
        """Write the page within the caller's transaction, which holds the run and keeps the checkpoint."""
        place = self._place()
        counts = _Counts(rejected=len(page.rejected))
        await store.keep_rejected(connection, self._held, self._resource, page.rejected)
        for level, written in (await self._write(connection, place, page.records, mark, compares=compares)).items():
            await store.keep_rejected(connection, self._held, level, written.rejected)
            counts.rejected += len(written.rejected)
            counts.touched |= written.is_any
            if level == self._resource:
                counts.added, counts.changed = len(written.added), len(written.changed)
        counts.lines = sum(len(one.children) for one in page.records)
        if not mark.is_baseline and mark.read_mode == ReadMode.MODIFIED_SINCE and self._resource in CHILDREN:
            await self._drop_lines(connection, place, page.records, counts)
        await self._bury(connection, place, page.tombstones, counts)
        new = await self._proved(connection, place, mark, page, counts)
        new = after(new, page)
        if not new.cursor and new.read_mode != ReadMode.MODIFIED_SINCE:
            await store.forget_old_rejected(connection, self._held, self._levels, new.read_started_at)
        return Applied(new, self._count(new, page, counts), counts.touched)

    def _place(self) -> writer.Place:
        held = self._held
        return writer.Place(held.organisation_id, held.administration_id, now(), self._connector.normalise)

    def _by_level(self, records: Sequence[Record]) -> list[writer.Level]:
        found: list[writer.Level] = []
        if len(self._levels) > 1:
            lines = [child for one in records for child in one.children]
            parents = {child.external_id: one.external_id for one in records for child in one.children}
            found.append((self._levels[1], lines, parents))
        return [(self._resource, records, {}), *found]

    async def _write(
        self, connection: Connection, place: writer.Place, records: Sequence[Record], mark: Mark, *, compares: bool
    ) -> dict[str, writer.Written]:
        levels = self._by_level(records)
        if mark.is_baseline and not compares:
            return await self._insert(connection, place, levels)
        found = {}
        for level, each, parents in levels:
            written = found[level] = await writer.stage(connection, place, level, each, parents)
            if written.is_any:
                beside, values = ("", {}) if mark.is_baseline else (_beside(level), log.values(self._held, level))
                await writer.merge(connection, place, level, beside=beside, values=values)
        return found

    async def _insert(
        self, connection: Connection, place: writer.Place, levels: Sequence[writer.Level]
    ) -> dict[str, writer.Written]:
        """Most pages of a journal begin in the middle of an entry: the last one of the page before is known."""
        found = await writer.insert_new(connection, place, levels, self._begun)
        self._begun = {one.external_id: writer.digest_of(one) for one in levels[0][1][-1:]}
        return found

    async def _drop_lines(
        self, connection: Connection, place: writer.Place, records: Sequence[Record], counts: _Counts
    ) -> None:
        """An entry that came whole no longer has the lines that did not come with it."""
        whole = [one for one in records if one.is_whole]
        if not whole:
            return
        lines = [child.external_id for one in whole for child in one.children]
        gone = await writer.absent_lines(connection, place, [one.external_id for one in whole], lines)
        await self._flag(connection, place, self._levels[1], gone, counts)

    async def _bury(
        self, connection: Connection, place: writer.Place, tombstones: Sequence[str], counts: _Counts
    ) -> None:
        """What the source says it deleted, and the lines of it. It may say so again, or of what never was here."""
        if not tombstones:
            return
        if len(self._levels) > 1:
            lines = await writer.absent_lines(connection, place, tombstones, ())
            await self._flag(connection, place, self._levels[1], lines, counts)
        there = await writer.present(connection, place, self._resource, tombstones)
        await self._flag(connection, place, self._resource, there, counts)

    async def _proved(
        self, connection: Connection, place: writer.Place, mark: Mark, page: Page, counts: _Counts
    ) -> Mark:
        """What this page proves absent. Rows that a read of several pages missed are looked for once more first."""
        new = replace(mark, cursor=page.next or "")
        if mark.is_baseline or mark.read_mode == ReadMode.MODIFIED_SINCE:
            new.is_torn |= page.snapshot is not None and not page.snapshot.is_sound
            return new
        proof = page.snapshot
        if proof is not None and proof.again is None and proof.is_sound:
            await self._delete_all_but(connection, place, page.records, proof, counts)
            return new
        for level, records, _parents in self._by_level(page.records):
            keys = [one.external_id for one in records]
            new.seen += await store.see(connection, self._held, level, mark.read_id, keys) if keys else 0
        if proof is None:
            return new
        return await self._compare(connection, place, new, proof, counts)

    async def _compare(
        self, connection: Connection, place: writer.Place, new: Mark, proof: Snapshot, counts: _Counts
    ) -> Mark:
        """The end of a partition that took several pages."""
        lost = new.seen != await store.count_seen(connection, self._held, self._levels, new.read_id)
        gone = {
            level: await writer.absent(connection, place, level, proof.partitions, read_id=new.read_id)
            for level in self._levels
        }
        if proof.again is not None and (lost or (any(gone.values()) and not new.is_confirming)):
            if lost:
                await store.forget_seen(connection, self._held, self._levels)
            return replace(new, cursor=proof.again, is_confirming=not lost, seen=0 if lost else new.seen)
        if proof.is_sound:
            for level, keys in gone.items():
                await self._flag(connection, place, level, keys, counts)
        await store.forget_seen(connection, self._held, self._levels)
        return replace(new, is_confirming=False, is_torn=new.is_torn or not proof.is_sound, seen=0)

    async def _delete_all_but(
        self, connection: Connection, place: writer.Place, records: Sequence[Record], proof: Snapshot, counts: _Counts
    ) -> None:
        """The partition was one answer: what it does not name is gone."""
        if proof.partitions is not None and not proof.partitions:
            return
        for level, found, _parents in self._by_level(records):
            keys = [one.external_id for one in found]
            gone = await writer.absent(connection, place, level, proof.partitions, keys=keys)
            await self._flag(connection, place, level, gone, counts)

    async def _flag(
        self, connection: Connection, place: writer.Place, level: str, keys: Sequence[str], counts: _Counts
    ) -> None:
        if not keys:
            return
        await log.log_deleted(connection, self._held, level, keys)
        await writer.flag_deleted(connection, place, level, keys)
        counts.touched = True
        if level == self._resource:
            counts.deleted += len(keys)

    def _count(self, new: Mark, page: Page, counts: _Counts) -> Count:
        return Count(
            "running" if new.cursor else "done", new.read_mode, _plausible(page.expected_total), 1, len(page.records),
            counts.lines, counts.added, counts.changed, counts.deleted, counts.rejected,
        )  # fmt: skip


def _plausible(total: int | None) -> int | None:
    """What the source says there is; an absurd total is none."""
    return total if total is None or 0 <= total < ROWS_MAX else None


@cache
def _beside(level: str) -> str:
    return f"WITH {log.logging(level)}, {store.forgetting_rejected(staging.table(level).incoming())} "


def after(mark: Mark, page: Page) -> Mark:
    """The checkpoint once the page is applied; at the end of a read it says from where and when the next one goes on."""
    if mark.cursor:
        return mark
    new = replace(mark, position=page.checkpoint or mark.position, complete_as_of=mark.read_started_at)
    if mark.read_mode != ReadMode.MODIFIED_SINCE:
        new.last_full_at = _full_at(mark)
        new.is_torn = False
    return new


def _full_at(mark: Mark) -> datetime | None:
    if not mark.is_torn:
        return mark.read_started_at
    return mark.last_full_at or (mark.read_started_at or now()) - LONG_AGO
