"""Reads entries and balances: full reads by period, changes by `lastModifiedDateTime`.

Neither endpoint supports further conditions (description of 24 April 2025), so only reading a period proves
that changes are complete. A page of `/v2/journaltransaction` counts lines and may split a batch: head and
lines are records of their own, so the parts of a batch meet under one key, and the head is compared without
its lines.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import msgspec
from django.utils.translation import gettext_noop as _

from koppel.connector.contract import AbsenceProof, Page, Record, RejectedRecord, Session
from koppel.connector.unreadable_rows import original_row
from koppel.connectors.visma_net.balance_signs import signs_of, with_signs
from koppel.connectors.visma_net.client import get, parse_rows
from koppel.connectors.visma_net.cursors import (
    PAGE_SIZE,
    ChangesRead,
    ComparedRead,
    Cursor,
    FullRead,
    PageFacts,
    PartEnd,
    ReadPosition,
    Step,
    advance,
    incremental_cursor,
)
from koppel.connectors.visma_net.normalise import BY_ACCOUNT
from koppel.connectors.visma_net.record_mapping import (
    Item,
    Metadata,
    bounded_key,
    raw_record,
    rejected_record,
    text,
    totals,
    totals_of_items,
    without_stamps,
)
from koppel.connectors.visma_net.stamps import newest_stamp
from koppel.kit.clock import now

LINES = b'"journalTransactionLines":['
AFTER_LINES = b'],"metadata":{'
LINE_NUMBER = b'{"lineNumber":'


@dataclass(frozen=True, kw_only=True)
class ReadResult:
    """A page as records."""

    records: list[Record]
    rejected: list[RejectedRecord]
    meta: Metadata
    count: int
    """What the vendor's totals count: lines for entries."""
    stamps: Sequence[str]
    """Unchecked modification stamps."""


async def read(session: Session, resource: str, cursor: Cursor) -> Page:
    """Read one page of a period, or of the changes since a stamp."""
    if not isinstance(cursor, ChangesRead) and not cursor.names:
        return Page(
            records=[],
            incremental_cursor=incremental_cursor(cursor, now()),
            absence_proof=AbsenceProof(partitions=frozenset()),
        )
    path, parse = ENDPOINTS[resource]
    period = "" if isinstance(cursor, ChangesRead) else cursor.names[cursor.progress.position]
    params = {"pageNumber": str(cursor.progress.page), "pageSize": str(PAGE_SIZE)}
    params |= (
        {"lastModifiedDateTime": cursor.since} if isinstance(cursor, ChangesRead) else {"periodId": period}
    )
    result = await parse(await get(session, path, params), period)
    if resource == "balances":
        before, cursor = cursor, _with_signs(cursor, result.records)
        if restart := _restart_by_account(before, cursor):
            return Page(records=[], next_cursor=restart.encode())
        if cursor.signs == BY_ACCOUNT:
            result = replace(result, records=[with_signs(record) for record in result.records])
    facts = PageFacts(
        count=result.count,
        total=result.meta.totalCount,
        page_size_max=result.meta.maxPageSize,
        newest=newest_stamp(result.stamps, now()),
        has_unreadable=bool(result.rejected),
    )
    if isinstance(cursor, ChangesRead):
        return _page_of_changes(advance(cursor, facts), result, is_first=cursor.progress.page == 1)
    return _page_of_period(advance(cursor, facts), result)


def _with_signs(cursor: Cursor, records: Sequence[Record]) -> Cursor:
    """Return the cursor with the signs that these balances show, unless earlier ones did."""
    return msgspec.structs.replace(cursor, signs=cursor.signs or signs_of(records))


def _restart_by_account(before: Cursor, cursor: Cursor) -> Cursor | None:
    """Return the start of another read when earlier balances were stored without the signs that this page is
    the first to show: those of earlier pages, or of earlier reads when it is a page of changes.
    """
    is_news = cursor.signs == BY_ACCOUNT and not before.signs
    if is_news and isinstance(cursor, ChangesRead):
        return FullRead(began=cursor.began, signs=cursor.signs)
    if is_news and cursor.progress != ReadPosition():
        return cursor.with_progress(ReadPosition())
    return None


def _page_of_changes(step: Step[ChangesRead], result: ReadResult, *, is_first: bool) -> Page:
    """Return a page of changes. An entry is complete if the page is the only one."""
    cursor, is_end = step.cursor, isinstance(step, PartEnd)
    records = [record for record in result.records if record.partition >= cursor.oldest]
    if is_first and is_end:
        records = [msgspec.structs.replace(record, is_complete=True) for record in records]
    return Page(
        records=records,
        next_cursor=None if is_end else cursor.encode(),
        incremental_cursor=incremental_cursor(cursor, now()) if is_end else None,
        expected_total=cursor.progress.expected + result.meta.totalCount,
        rejected=result.rejected,
    )


def _page_of_period(step: Step[FullRead | ComparedRead], result: ReadResult) -> Page:
    """Return a page of a period, the last one with a proof.

    The expected total of all periods is estimated from those already read.
    """
    cursor, progress, names = step.cursor, step.cursor.progress, step.cursor.names
    total = progress.expected + result.meta.totalCount
    expected = total * len(names) // (progress.position + 1)
    if not isinstance(step, PartEnd):
        return Page(
            records=result.records,
            next_cursor=cursor.encode(),
            expected_total=expected,
            rejected=result.rejected,
        )
    is_last = progress.position >= len(names) - 1
    return Page(
        records=result.records,
        next_cursor=None if is_last else cursor.with_progress(progress.next_part(total)).encode(),
        incremental_cursor=incremental_cursor(cursor, now()) if is_last else None,
        absence_proof=step.proof(frozenset({names[progress.position]})),
        expected_total=expected,
        rejected=result.rejected,
    )


class _Head(msgspec.Struct, gc=False):
    module: str | None = None
    batchNumber: str | None = None
    financialPeriod: str | None = None
    postPeriod: str | None = None
    lastModifiedDateTime: str | None = None
    journalTransactionLines: list[msgspec.Raw] | None = None


class _LineKey(msgspec.Struct, gc=False):
    lineNumber: int


class _Lines(msgspec.Struct, gc=False):
    journalTransactionLines: list[msgspec.Raw] | None = None


_lines = msgspec.json.Decoder(_Lines)
_head = msgspec.json.Decoder(_Head)
_line_key = msgspec.json.Decoder(_LineKey)


class _Batch:
    """A batch that may occur several times on a page: the last head, and all lines, each in its last form."""

    def __init__(self) -> None:
        self._last: Record | None = None
        self._lines: dict[str, Record] | None = None

    def add(self, record: Record) -> int:
        """Add an occurrence, and return how many lines are new."""
        previous, self._last = self._last, record
        if previous is None:
            return len(record.children)
        if self._lines is None:
            self._lines = {line.external_id: line for line in previous.children}
        before = len(self._lines)
        self._lines |= {line.external_id: line for line in record.children}
        return len(self._lines) - before

    def record(self) -> Record:
        assert self._last is not None  # noqa: S101
        if self._lines is None:
            return self._last
        return msgspec.structs.replace(self._last, children=tuple(self._lines.values()), is_complete=False)


async def _entries(body: bytes, period: str) -> ReadResult:
    """Return the entries of a page. `period` is the requested one, or ''."""
    raws: list[msgspec.Raw] = await parse_rows(body, list[msgspec.Raw])
    batches: dict[str, _Batch] = {}
    rejected: list[RejectedRecord] = []
    count, stamps = 0, list[str]()
    meta = totals(map(bytes, raws), len(raws))
    last = len(raws) - 1
    for position, raw in enumerate(raws):
        payload = bytes(raw)
        try:
            head = _head.decode(payload)
            lines = head.journalTransactionLines or []
            stamps.append(head.lastModifiedDateTime or "")
            record = _entry(payload, head, lines, period, is_complete=0 < position < last)
        except (ValueError, msgspec.DecodeError) as error:
            rejected.append(rejected_record(payload, error))
            count += _lines_in(payload)
            continue
        batch = batches.setdefault(record.external_id, _Batch())
        count += batch.add(record)
    return ReadResult(
        records=[batch.record() for batch in batches.values()],
        rejected=rejected,
        meta=meta,
        count=count,
        stamps=stamps,
    )


def _entry(
    payload: bytes, head: _Head, lines: list[msgspec.Raw], period: str, *, is_complete: bool
) -> Record:
    module, number = (head.module or "").removeprefix("Module"), head.batchNumber
    if not module or not number:
        raise ValueError(_("It has no module or batch number."))
    external_id = bounded_key(f"{module} {number}")
    partition = period or bounded_key(head.financialPeriod or head.postPeriod or "")
    children = tuple(_child(external_id, bytes(raw), partition) for raw in lines)
    own_payload = _without_lines(payload, lines)
    return Record(
        external_id=external_id,
        raw=own_payload,
        partition=partition,
        children=children,
        comparison_key=without_stamps(own_payload),
        is_complete=is_complete,
    )


def _lines_in(payload: bytes) -> int:
    """Return the number of lines of a batch that cannot be understood; the page counts them too."""
    if (sent := original_row(payload)) is not None:
        return max(1, sent.count(LINE_NUMBER[1:]))
    try:
        return len(_lines.decode(payload).journalTransactionLines or ())
    except msgspec.DecodeError:
        return 1


def _child(key: str, payload: bytes, partition: str) -> Record:
    """Return a line as a record.

    Its number usually comes first; decoding a whole line for it would double the work of a page.
    """
    if (
        payload.startswith(LINE_NUMBER)
        and (digits := payload[len(LINE_NUMBER) : payload.find(b",")]).isdigit()
    ):
        return Record(external_id=f"{key} {digits.decode()}", raw=payload, partition=partition)
    return Record(
        external_id=f"{key} {_line_key.decode(payload).lineNumber}", raw=payload, partition=partition
    )


def _without_lines(payload: bytes, lines: list[msgspec.Raw]) -> bytes:
    """Return the head as the vendor wrote it, without its lines and the page's totals.

    They are cut out of the text if that is safe, as it usually is.
    """
    start, end = payload.find(LINES), payload.rfind(AFTER_LINES)
    is_safe = (
        0 < start < end
        and payload.find(LINES, start + 1) < 0
        and (payload.endswith(bytes(lines[-1]), 0, end) if lines else end == start + len(LINES))
        and payload.endswith(b"}}")
        and payload.count(b"{", end) == 1
    )
    if not is_safe:
        return raw_record(msgspec.json.decode(payload, type=Item), "journalTransactionLines")
    return payload[:start].rstrip(b",") + b"}"


class _Numbered(msgspec.Struct):
    number: str = ""
    id: str = ""


async def _balances(body: bytes, _period: str) -> ReadResult:
    items: list[Item] = await parse_rows(body, list[Item])
    records: dict[str, Record] = {}
    rejected: list[RejectedRecord] = []
    for item in items:
        try:
            record = _balance(item)
        except (ValueError, msgspec.DecodeError) as error:
            rejected.append(rejected_record(raw_record(item), error))
            continue
        records[record.external_id] = record
    stamps = [text(item.get("lastModifiedDateTime")) for item in items]
    return ReadResult(
        records=list(records.values()),
        rejected=rejected,
        meta=totals_of_items(items),
        count=len(records) + len(rejected),
        stamps=stamps,
    )


def _balance(item: Item) -> Record:
    parts = [
        _number_or_id(item.get("ledger")),
        _number_or_id(item.get("branch")),
        _number_or_id(item.get("account")),
        text(item.get("subaccountId")),
        text(item.get("financialPeriod")),
    ]
    if not parts[2] or not parts[4]:
        raise ValueError(_("It has no account or period."))
    external_id = bounded_key("/".join(parts))
    payload = raw_record(item)
    return Record(
        external_id=external_id, raw=payload, partition=parts[4], comparison_key=without_stamps(payload)
    )


def _number_or_id(raw: msgspec.Raw | None) -> str:
    if raw is None or bytes(raw) == b"null":
        return ""
    numbered = msgspec.json.decode(raw, type=_Numbered)
    return numbered.number or numbered.id


ENDPOINTS: dict[str, tuple[str, Callable[[bytes, str], Awaitable[ReadResult]]]] = {
    "entries": ("/v2/journaltransaction", _entries),
    "balances": ("/v2/generalLedgerBalance", _balances),
}
