"""Entries and balances: read whole period by period, in between by a bare `lastModifiedDateTime`.

Neither endpoint knows a condition (description of 24 April 2025), so that nothing proves a delta complete but the periods.
A page of `/v2/journaltransaction` counts lines and may split a batch: head and lines are records of their own, so the parts
of a batch meet under one key, and the head is compared without its lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from koppel.connector.contract import Page, Record, RejectedRecord, Session, Snapshot
from koppel.connectors.visma_net.client import get, parse
from koppel.connectors.visma_net.cursors import (
    PAGE_SIZE,
    TRIES_MAX,
    Cursor,
    Metadata,
    checkpoint,
    has_more,
    has_moved,
    newest_stamp,
    page_size,
    totals,
)
from koppel.connectors.visma_net.record_mapping import (
    Item,
    bounded_key,
    raw_record,
    rejected_record,
    text,
    without_stamps,
)

LINES = b'"journalTransactionLines":['
AFTER_LINES = b'],"metadata":{'
LINE_NUMBER = b'{"lineNumber":'


@dataclass(frozen=True)
class ReadResult:
    """A page as records. `count` is what the vendor's totals count: lines for entries."""

    records: list[Record]
    rejected: list[RejectedRecord]
    meta: Metadata
    count: int
    newest: str


async def read(session: Session, resource: str, cursor: Cursor) -> Page:
    """One page of a period, or of what changed since."""
    if not cursor.since and not cursor.names:
        return Page([], checkpoint=checkpoint(cursor), snapshot=Snapshot(frozenset()))
    path, make = ENDPOINTS[resource]
    params = {"pageNumber": str(cursor.page), "pageSize": str(PAGE_SIZE)}
    params |= {"lastModifiedDateTime": cursor.since} if cursor.since else {"periodId": cursor.names[cursor.position]}
    result = make(await get(session, path, params), "" if cursor.since else cursor.names[cursor.position])
    cursor = cursor.following(
        newest=newest_stamp(cursor.newest, result.newest), has_unreadable=cursor.has_unreadable or bool(result.rejected)
    )
    kept = [one for one in result.records if one.partition >= cursor.oldest] if cursor.since else result.records
    if cursor.since and cursor.page == 1 and not has_more(cursor, result.count, result.meta):
        kept = [msgspec.structs.replace(one, is_complete=True) for one in kept]
    return _page(cursor, result, kept)


def _page(cursor: Cursor, result: ReadResult, kept: Sequence[Record]) -> Page:
    read_count, total = cursor.read + result.count, result.meta.totalCount
    before = cursor.expected + total
    expected = before if cursor.since else before * len(cursor.names) // (cursor.position + 1)
    following: Cursor | None = None
    proof: Snapshot | None = None
    if has_more(cursor, result.count, result.meta):
        stated = total if cursor.total in (-1, total) else 0
        following = cursor.next_page(read_count, stated, page_size(cursor, result.count, result.meta))
    elif cursor.page > 1 and (is_shifted := has_moved(cursor, read_count, total)) and cursor.tries < TRIES_MAX - 1:
        following = cursor.restarted(cursor.tries + 1)
    else:
        is_sound = not cursor.has_unreadable and (cursor.page == 1 or not is_shifted)
        if cursor.since and not is_sound:
            cursor.must_reread = True
        if not cursor.since:
            proof = Snapshot(
                frozenset({cursor.names[cursor.position]}),
                cursor.restarted().text() if cursor.page > 1 else None,
                is_sound,
            )
        if not cursor.since and cursor.position < len(cursor.names) - 1:
            following = cursor.next_position(before)
    return Page(
        kept, following.text() if following else None, None if following else checkpoint(cursor), proof, expected,
        result.rejected,
    )  # fmt: skip


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


def _entries(body: bytes, period: str) -> ReadResult:
    """`period` is the one asked for, or ''."""
    raws: list[msgspec.Raw] = parse(body, list[msgspec.Raw])
    records: dict[str, Record] = {}
    rejected: list[RejectedRecord] = []
    count, stamps = 0, [""]
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
        previous = records.get(record.external_id)
        count += (
            len({one.external_id for one in record.children} - _keys(previous)) if previous else len(record.children)
        )
        records[record.external_id] = _merged(previous, record) if previous else record
    return ReadResult(list(records.values()), rejected, meta, count, newest_stamp(*stamps))


def _entry(payload: bytes, head: _Head, lines: list[msgspec.Raw], period: str, *, is_complete: bool) -> Record:
    module, number = (head.module or "").removeprefix("Module"), head.batchNumber
    if not module or not number:
        raise ValueError("It has no module or batch number.")
    key = bounded_key(f"{module} {number}")
    partition = period or bounded_key(head.financialPeriod or head.postPeriod or "")
    children = tuple(_child(key, bytes(raw), partition) for raw in lines)
    own_payload = _without_lines(payload, lines)
    return Record(key, own_payload, partition, children, without_stamps(own_payload), is_complete)


def _lines_in(payload: bytes) -> int:
    """Of a batch that cannot be understood: the page counts them all the same."""
    try:
        return len(_lines.decode(payload).journalTransactionLines or ())
    except msgspec.DecodeError:
        return 1


def _child(key: str, payload: bytes, partition: str) -> Record:
    """A line. Its number stands first, mostly; decoding a line for that alone would double the work of a page."""
    if payload.startswith(LINE_NUMBER) and (digits := payload[len(LINE_NUMBER) : payload.find(b",")]).isdigit():
        return Record(f"{key} {digits.decode()}", payload, partition)
    return Record(f"{key} {_line_key.decode(payload).lineNumber}", payload, partition)


def _without_lines(payload: bytes, lines: list[msgspec.Raw]) -> bytes:
    """The head as the vendor wrote it, without its lines and the page's totals. Cut out where that is safe, as it mostly is."""
    start, end = payload.find(LINES), payload.rfind(AFTER_LINES)
    is_safe = (
        0 < start < end and payload.find(LINES, start + 1) < 0
        and (payload.endswith(bytes(lines[-1]), 0, end) if lines else end == start + len(LINES))
        and payload.endswith(b"}}") and payload.count(b"{", end) == 1
    )  # fmt: skip
    if not is_safe:
        return raw_record(msgspec.json.decode(payload, type=Item), "journalTransactionLines")
    return payload[:start].rstrip(b",") + b"}"


def _keys(record: Record) -> set[str]:
    return {one.external_id for one in record.children}


def _merged(previous: Record, more: Record) -> Record:
    """A batch that is twice on a page: the later head, all lines, of lines that are twice the later ones."""
    lines = {one.external_id: one for one in (*previous.children, *more.children)}
    return msgspec.structs.replace(more, children=tuple(lines.values()), is_complete=False)


class _Numbered(msgspec.Struct):
    number: str = ""
    id: str = ""


def _balances(body: bytes, _period: str) -> ReadResult:
    items: list[Item] = parse(body, list[Item])
    records: dict[str, Record] = {}
    rejected: list[RejectedRecord] = []
    for item in items:
        try:
            record = _balance(item)
        except (ValueError, msgspec.DecodeError) as error:
            rejected.append(rejected_record(raw_record(item), error))
            continue
        records[record.external_id] = record
    meta = totals(
        (b'{"metadata":' + bytes(item["metadata"]) + b"}" for item in items if "metadata" in item), len(items)
    )
    newest = newest_stamp("", *(text(one.get("lastModifiedDateTime")) for one in items))
    return ReadResult(list(records.values()), rejected, meta, len(records) + len(rejected), newest)


def _balance(item: Item) -> Record:
    parts = [
        _numbered(item.get("ledger")),
        _numbered(item.get("branch")),
        _numbered(item.get("account")),
        text(item.get("subaccountId")),
        text(item.get("financialPeriod")),
    ]
    if not parts[2] or not parts[4]:
        raise ValueError("It has no account or period.")
    key = bounded_key("/".join(parts))
    payload = raw_record(item)
    return Record(key, payload, parts[4], comparison_key=without_stamps(payload))


def _numbered(raw: msgspec.Raw | None) -> str:
    if raw is None or bytes(raw) == b"null":
        return ""
    numbered = msgspec.json.decode(raw, type=_Numbered)
    return numbered.number or numbered.id


ENDPOINTS: dict[str, tuple[str, Callable[[bytes, str], ReadResult]]] = {
    "entries": ("/v2/journaltransaction", _entries),
    "balances": ("/v2/generalLedgerBalance", _balances),
}
