"""One run: every resource in the connector's order, page by page; a page and its checkpoint are one transaction.

The next page is fetched while this one is written. What the vendor does to us ends the read of a resource or the run; the
reactions stand in `koppel.sync.reactions`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from koppel.books import storage
from koppel.connections.identity import same_company
from koppel.connections.sessions import ReadingSession, Runtime, reading_session
from koppel.connector.contract import Connector, Page, ReadMode, Record, ResourceSpec, Window
from koppel.connector.errors import ContractBroken, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database import Connection
from koppel.sync import ledger
from koppel.sync.errors import Fenced
from koppel.sync.ledger import Held, Mark

HEARTBEAT_SECONDS = 5
FULL_COMPARISON_EVERY = timedelta(days=7)
CHILDREN = {"entries": "entry_lines"}
BEGUN = ""
"""Written to what was seen at the start of a complete read: if it is gone at the end, so is the rest."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What the settings in force ask for."""

    resources: tuple[str, ...]
    fiscal_years_back: int


@dataclass
class Outcome:
    """How a run ended: the resources that could not be read, and whether anything in the books changed."""

    broken: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


async def perform(runtime: Runtime, held: Held, wanted: Wanted) -> Outcome:
    """Read everything that is wanted. Raises the connector's errors and `Fenced`; all that was read stays."""
    session = await reading_session(runtime, held.organisation_id, held.administration_id)
    await same_company(session, held.connector)
    reader = _Reader(runtime, held, wanted, session, connector(held.connector))
    async with _heartbeat(runtime, held):
        return await reader.read_all()


@contextlib.asynccontextmanager
async def _heartbeat(runtime: Runtime, held: Held) -> AsyncIterator[None]:
    """Within the block the run is known to live; when it is taken over, the block is cancelled and `Fenced` raised."""
    task = asyncio.current_task()
    fenced = False

    async def beating() -> None:
        nonlocal fenced
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                async with runtime.database.scoped(held.organisation_id) as connection:
                    ours = await ledger.beat(connection, held)
            except Exception as error:
                log.warning("heartbeat_failed", run=held.id, error=type(error).__name__)
                continue
            if not ours and task is not None:
                fenced = True
                task.cancel()
                return

    heart = asyncio.create_task(beating())
    try:
        yield
    except asyncio.CancelledError:
        if fenced:
            raise Fenced from None
        raise
    finally:
        heart.cancel()


class _Reader:
    def __init__(
        self, runtime: Runtime, held: Held, wanted: Wanted, session: ReadingSession, connector: Connector
    ) -> None:
        self._runtime, self._held, self._session, self._connector = runtime, held, session, connector
        self._wanted = wanted
        self._window = Window(wanted.fiscal_years_back, now().date())
        self._outcome = Outcome()
        self._forgiven = False

    async def read_all(self) -> Outcome:
        specs = [
            one for one in await self._connector.list_resources(self._session) if one.key in self._wanted.resources
        ]
        if self._held.resources is not None:
            specs = [one for one in specs if one.key in self._held.resources]
        async with self._transaction() as connection:
            states = await ledger.plan(
                connection, self._held, [(one.key, "" if one.available else one.why_not) for one in specs]
            )
        for position, spec in enumerate(specs):
            if states[spec.key] in ("waiting", "running"):
                await self._read_or_note(spec, is_first=position == 0)
        return self._outcome

    async def _read_or_note(self, spec: ResourceSpec, *, is_first: bool) -> None:
        """A company that refuses everything refuses its first resource; a single one that is refused is left out."""
        try:
            await self._read(spec)
        except (NotConsented, SetupMissing) as refusal:
            if is_first:
                raise
            async with self._transaction() as connection:
                await ledger.note_unavailable(connection, self._held, spec.key, str(refusal))
                await ledger.count_page(connection, self._held, spec.key, state="skipped", reason=str(refusal))
        except ContractBroken as broken:
            log.error("contract_broken", run=self._held.id, resource=spec.key, code=broken.code, reason=str(broken))
            self._outcome.broken[spec.key] = str(broken)
            async with self._transaction() as connection:
                await ledger.count_page(connection, self._held, spec.key, state="failed", reason=str(broken))

    async def _read(self, spec: ResourceSpec) -> None:
        async with self._runtime.database.scoped(self._held.organisation_id) as connection:
            mark = await ledger.read_mark(connection, self._held, spec.key)
        if not mark.cursor:
            mode = self._mode(spec, mark)
            mark = replace(mark, read_mode=mode, read_id=mark.read_id + 1, read_started_at=now())
        mode = ReadMode(mark.read_mode)
        cursor = mark.cursor or (mark.position if mode is ReadMode.MODIFIED_SINCE else "")
        coming = self._fetch(spec, mode, cursor)
        try:
            while True:
                page = await coming
                if page.next is not None:
                    coming = self._fetch(spec, mode, page.next)
                mark = await self._write(spec, mark, page)
                if page.next is None:
                    return
        finally:
            coming.cancel()

    def _mode(self, spec: ResourceSpec, mark: Mark) -> ReadMode:
        """Complete at first, on demand and once a week; else the vendor's best way to tell what changed."""
        due = mark.last_full_at is None or now() - mark.last_full_at > FULL_COMPARISON_EVERY
        if due or self._held.full or not mark.position:
            return ReadMode.FULL
        return spec.read_modes[0]

    def _fetch(self, spec: ResourceSpec, mode: ReadMode, cursor: str) -> "asyncio.Task[Page]":
        return asyncio.create_task(
            self._connector.read_page(self._session, spec.key, mode, self._window, cursor or None)
        )

    async def _write(self, spec: ResourceSpec, mark: Mark, page: Page) -> Mark:
        """The page, its checkpoint and its counts in one transaction."""
        new = replace(mark, cursor=page.next or "")
        if page.next is None:
            new.position = page.checkpoint or mark.position
            new.complete_as_of = mark.read_started_at
            if page.snapshot is not None:
                new.last_full_at = mark.read_started_at
        async with self._transaction() as connection:
            counts = await self._write_records(connection, spec.key, mark, page)
            if page.next is None and page.snapshot is not None and mark.last_full_at is not None:
                if await ledger.has_seen(connection, self._held, spec.key, mark.read_id, BEGUN):
                    counts["deleted"] = await self._delete_absent(connection, spec.key, mark, page)
                else:
                    # What was seen is unlogged and went with a crash of the database: prove nothing, compare again next time.
                    new.last_full_at = mark.last_full_at
            await ledger.keep_mark(connection, self._held, spec.key, new)
            if self._held.failures and not self._forgiven:
                await ledger.forgive(connection, self._held)
                self._forgiven = True
            await ledger.count_page(
                connection, self._held, spec.key, **counts, expected_total=page.expected_total, mode=mark.read_mode,
                state="running" if page.next else "done",
            )  # fmt: skip
        if counts["added"] or counts["changed"] or counts.get("deleted"):
            self._outcome.touched.add(spec.key)
        return new

    async def _write_records(self, connection: Connection, resource: str, mark: Mark, page: Page) -> dict[str, int]:
        place = storage.Place(
            self._held.organisation_id, self._held.administration_id, now(), self._connector.normalise
        )
        is_baseline = mark.last_full_at is None
        complete_read = mark.read_mode == ReadMode.FULL
        rejected = list(page.rejected)
        counts = {"pages": 1, "rows": len(page.records), "lines": 0, "added": 0, "changed": 0}
        levels: list[tuple[str, Sequence[Record], dict[str, str]]] = [(resource, page.records, {})]
        if complete_read and not is_baseline and not mark.cursor:
            await ledger.see(connection, self._held, resource, mark.read_id, [BEGUN])
        if resource in CHILDREN:
            lines = [child for one in page.records for child in one.children]
            parents = {child.external_id: one.external_id for one in page.records for child in one.children}
            levels.append((CHILDREN[resource], lines, parents))
            counts["lines"] = len(lines)
        for key, records, parents in levels:
            written = await storage.write(connection, place, key, records, parents)
            rejected += written.rejected
            counts["added"] += len(written.added) if key == resource else 0
            counts["changed"] += len(written.changed) if key == resource else 0
            if not is_baseline:
                await ledger.log_changes(connection, self._held, key, "added", written.added)
                await ledger.log_changes(connection, self._held, key, "changed", written.changed)
                if complete_read:
                    await ledger.see(connection, self._held, key, mark.read_id, [one.external_id for one in records])
                await ledger.forget_rejected(connection, self._held, key, written.added + written.changed)
            if key != resource and (written.added or written.changed):
                self._outcome.touched.add(resource)
        await ledger.keep_rejected(connection, self._held, resource, rejected)
        return {**counts, "rejected": len(rejected)}

    async def _delete_absent(self, connection: Connection, resource: str, mark: Mark, page: Page) -> int:
        place = storage.Place(
            self._held.organisation_id, self._held.administration_id, now(), self._connector.normalise
        )
        keys = [resource] + ([CHILDREN[resource]] if resource in CHILDREN else [])
        deleted = 0
        for key in keys:
            partitions = page.snapshot.partitions if page.snapshot else None
            gone = await storage.delete_absent(connection, place, key, mark.read_id, partitions)
            await ledger.log_changes(connection, self._held, key, "deleted", gone)
            deleted += len(gone) if key == resource else 0
        await ledger.forget_seen(connection, self._held, keys)
        return deleted

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        """In the organisation's scope and only while the run is ours."""
        async with self._runtime.database.scoped(self._held.organisation_id) as connection:
            await ledger.hold(connection, self._held)
            yield connection
