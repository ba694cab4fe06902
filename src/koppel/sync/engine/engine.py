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

from koppel.connections.companies.changes import same_company
from koppel.connections.sessions.sessions import ReadingSession, Runtime, reading_session
from koppel.connector.contract import Connector, Page, ReadMode, ResourceSpec, Window
from koppel.connector.errors import ConnectorError, ContractBroken, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database import Connection
from koppel.kit.quarantine import Quarantined
from koppel.sync.engine.page_writer import CHILDREN, Applied, PageWriter, after
from koppel.sync.errors import Fenced, TurnOver
from koppel.sync.runs import store
from koppel.sync.runs.store import Count, Held, Mark

HEARTBEAT_SECONDS = 5
WAITING_ROWS, WAITING_SECONDS = 1000, 0.5
"""How much, and how long after it was read, may wait for the next page. People see progress with each commit."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What the settings in force ask for. `full_comparison_weekday` counts from Monday = 0."""

    resources: tuple[str, ...]
    fiscal_years_back: int
    full_comparison_weekday: int = 6


@dataclass
class Outcome:
    """How a run ended: the resources that could not be read, in earlier attempts too, and what changed in this one."""

    broken: dict[str, str] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)


async def perform(runtime: Runtime, held: Held, wanted: Wanted) -> Outcome:
    """Read everything that is wanted. Raises the connector's errors and `Fenced`; all that was read stays."""
    session = await reading_session(runtime, held.organisation_id, held.administration_id)
    reader = _Reader(runtime, held, wanted, session, connector(held.connector))
    async with _heartbeat(runtime, held):
        await same_company(session, held.connector)
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
                    ours = await store.beat(connection, held)
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


def full_comparison_is_due(last: datetime | None, weekday: int, at: datetime) -> bool:
    """Whether the week day of the full comparison has come since the last one, in the installation's time zone.

    A day that was missed is caught up at the next run."""
    if last is None:
        return True
    today = timezone.localtime(at).date()
    newest = today - timedelta(days=(today.weekday() - weekday) % 7)
    return timezone.localtime(last).date() < newest


class _Reader:
    def __init__(
        self, runtime: Runtime, held: Held, wanted: Wanted, session: ReadingSession, connector: Connector
    ) -> None:
        self._runtime, self._held, self._session, self._connector = runtime, held, session, connector
        self._wanted = wanted
        self._window = Window(wanted.fiscal_years_back, now().date())
        self._outcome = Outcome()
        self._forgiven = False
        self._waiting: list[_Waiting] = []

    async def read_all(self) -> Outcome:
        specs = [
            one for one in await self._connector.list_resources(self._session) if one.key in self._wanted.resources
        ]
        if self._held.resources is not None:
            specs = [one for one in specs if one.key in self._held.resources]
        async with self._transaction() as connection:
            parts = await store.plan(
                connection, self._held, [(one.key, "" if one.available else one.why_not) for one in specs]
            )
        try:
            for position, spec in enumerate(specs):
                state, reason, mark = parts[spec.key]
                if state == "failed":
                    self._outcome.broken[spec.key] = reason
                elif state in ("waiting", "running"):
                    is_first = position == 0 and self._held.resources is None
                    await self._read_or_note(spec, mark or Mark(), is_first=is_first)
        except (ConnectorError, Quarantined, TurnOver):
            await self._commit_waiting()
            raise
        await self._commit_waiting()
        return self._outcome

    async def _read_or_note(self, spec: ResourceSpec, mark: Mark, *, is_first: bool) -> None:
        """A company that refuses everything refuses its first resource; a single one that is refused is left out. What was
        read before is committed first, so that it does not overwrite what is noted."""
        try:
            await self._read(spec, mark)
        except (NotConsented, SetupMissing) as refusal:
            if is_first:
                raise
            await self._commit_waiting()
            async with self._transaction() as connection:
                await store.drop_read(connection, self._held, spec.key)
                await store.note_unavailable(connection, self._held, spec.key, str(refusal))
                await store.end_part(connection, self._held, spec.key, "skipped", str(refusal))
        except ContractBroken as broken:
            log.error("contract_broken", run=self._held.id, resource=spec.key, code=broken.code, reason=str(broken))
            self._outcome.broken[spec.key] = str(broken)
            await self._commit_waiting()
            async with self._transaction() as connection:
                await store.drop_read(connection, self._held, spec.key)
                await store.end_part(connection, self._held, spec.key, "failed", str(broken))

    async def _read(self, spec: ResourceSpec, mark: Mark) -> None:
        if not mark.cursor or self._is_of_before(mark):
            mark = self._begun(spec, mark)
        mark = await self._read_to_end(spec, mark)
        if self._comes_first(mark):
            await self._read_to_end(spec, self._begun(spec, mark, complete=True))

    async def _read_to_end(self, spec: ResourceSpec, mark: Mark) -> Mark:
        """Of what was begun. The checkpoint afterwards, with which another read can begin."""
        writer = PageWriter(self._held, self._connector, spec.key)
        while True:
            cursor = mark.cursor or mark.position or None
            page = await self._connector.read_page(
                self._session, spec.key, ReadMode(mark.read_mode), self._window, cursor
            )
            mark = await self._take(writer, spec.key, mark, page)
            if not mark.cursor:
                return mark

    def _is_of_before(self, mark: Mark) -> bool:
        """Another run left this read half done; who asks for a full one now means from here on."""
        started = mark.read_started_at
        return self._held.full and (started is None or started < self._held.created_at)

    def _is_full_due(self, mark: Mark) -> bool:
        """At first, on demand, on the week day, and when more years are wanted."""
        wanted = self._wanted
        return (
            self._held.full or not mark.position or mark.fiscal_years_back < wanted.fiscal_years_back
            or full_comparison_is_due(mark.last_full_at, wanted.full_comparison_weekday, now())
        )  # fmt: skip

    def _comes_first(self, mark: Mark) -> bool:
        """What changed is read before all is compared: an entry that moved to another period is then known to be there, and
        its absence from the old one is no deletion."""
        return mark.read_mode == ReadMode.MODIFIED_SINCE and self._is_full_due(mark)

    def _begun(self, spec: ResourceSpec, mark: Mark, *, complete: bool = False) -> Mark:
        """A new read, complete or in the best way that the vendor has to tell what changed."""
        changes_first = bool(mark.position) and not mark.is_baseline and spec.key in CHILDREN
        is_full = complete or (self._is_full_due(mark) and not changes_first)
        mode = ReadMode.FULL if is_full else spec.read_modes[0]
        years = self._wanted.fiscal_years_back if is_full else mark.fiscal_years_back
        return replace(
            mark, cursor="", read_mode=mode, read_id=mark.read_id + 1, read_started_at=now(), fiscal_years_back=years,
            is_confirming=False, is_torn=False, seen=0,
        )  # fmt: skip

    async def _take(self, writer: PageWriter, resource: str, mark: Mark, page: Page) -> Mark:
        """Commit the page, or let it wait for the next one: it is small, and nothing more of its resource is asked for. Rows
        of a resource are staged once in a transaction, so what changed is committed before the comparison that follows."""
        if any(one.resource == resource and one.page.records for one in self._waiting):
            await self._commit()
        self._waiting.append(_Waiting(writer, resource, mark, page, more_follows=self._comes_first(mark)))
        if _can_wait(mark, page) and not self._is_full():
            return after(replace(mark, cursor=page.next or ""), page)
        return await self._commit()

    def _is_full(self) -> bool:
        first = self._waiting[0]
        return sum(one.rows for one in self._waiting) > WAITING_ROWS or time.monotonic() - first.since > WAITING_SECONDS

    async def _commit_waiting(self) -> None:
        if self._waiting:
            await self._commit()

    async def _commit(self) -> Mark:
        """Everything that waits, in one transaction. The checkpoint of the last page."""
        try:
            return await self._committed()
        except UniqueViolation:
            return await self._committed(compares=True)

    async def _committed(self, *, compares: bool = False) -> Mark:
        kept, touched = [], set()
        async with self._transaction() as connection:
            for one in self._waiting:
                applied = await one.applied(connection, compares=compares)
                kept.append((one.resource, applied.mark, applied.count))
                touched |= {one.resource} if applied.touched else set()
            await store.keep(connection, self._held, kept)
            if self._held.failures and not self._forgiven:
                await store.forgive(connection, self._held)
        self._forgiven = True
        self._waiting.clear()
        self._outcome.touched |= touched
        return kept[-1][1]

    def _transaction(self) -> AbstractAsyncContextManager[Connection]:
        return store.holding(self._runtime.database, self._held)


@dataclass(frozen=True)
class _Waiting:
    """A page that was read and is not committed yet."""

    writer: PageWriter
    resource: str
    mark: Mark
    page: Page
    more_follows: bool = False
    """Another read of the resource comes after this one: its part of the run is not done."""
    since: float = field(default_factory=time.monotonic)

    @property
    def rows(self) -> int:
        return len(self.page.records) + sum(len(one.children) for one in self.page.records)

    async def applied(self, connection: Connection, *, compares: bool) -> Applied:
        if _is_quiet(self.mark, self.page):
            new = after(replace(self.mark, cursor=self.page.next or ""), self.page)
            applied = Applied(new, Count("running" if new.cursor else "done", new.read_mode), touched=False)
        else:
            applied = await self.writer.apply(connection, self.mark, self.page, compares=compares)
        return replace(applied, count=replace(applied.count, state="running")) if self.more_follows else applied


def _can_wait(mark: Mark, page: Page) -> bool:
    """At most one page of a resource waits, unless nothing is in them: a crash costs no more than that."""
    if _is_quiet(mark, page):
        return True
    return page.next is None and (page.snapshot is None or (page.snapshot.again is None and page.snapshot.is_sound))


def _is_quiet(mark: Mark, page: Page) -> bool:
    """Nothing to write and nothing to prove."""
    if mark.is_baseline or page.records or page.rejected or page.tombstones or page.snapshot is not None:
        return False
    return page.unchanged or (mark.read_mode == ReadMode.MODIFIED_SINCE and page.next is None)
