"""Entries and balances: read whole period by period, in between by a bare `lastModifiedDateTime`.

Neither endpoint knows a condition (description of 24 April 2025), so that nothing proves a delta complete but the periods.
A page of `/v2/journaltransaction` counts lines and may split a batch: head and lines are records of their own, so the parts
of a batch meet under one key, and the head is compared without its lines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from koppel.connector.contract import Page, Record, Rejected, Session, Snapshot
from koppel.connectors.visma_net.client import get, parse
from koppel.connectors.visma_net.cursors import (
    PAGE_SIZE,
    TRIES_MAX,
    Cursor,
    Metadata,
    checkpoint,
    has_more,
    has_moved,
    newer,
    page_size,
    totals,
)
from koppel.connectors.visma_net.record_mapping import Item, fit, native, text, unreadable, without_stamps

LINES = b'"journalTransactionLines":['
AFTER_LINES = b'],"metadata":{'
LINE_NUMBER = b'{"lineNumber":'


@dataclass(frozen=True)
class Found:
    """A page as records. `count` is what the vendor's totals count: lines for entries."""

    records: list[Record]
    rejected: list[Rejected]
    meta: Metadata
    count: int
    newest: str


async def read(session: Session, resource: str, at: Cursor) -> Page:
    """One page of a period, or of what changed since."""
    if not at.since and not at.names:
        return Page([], checkpoint=checkpoint(at), snapshot=Snapshot(frozenset()))
    path, make = ENDPOINTS[resource]
    params = {"pageNumber": str(at.page), "pageSize": str(PAGE_SIZE)}
    params |= {"lastModifiedDateTime": at.since} if at.since else {"periodId": at.names[at.place]}
    found = make(await get(session, path, params), "" if at.since else at.names[at.place])
    at = at.following(newest=newer(at.newest, found.newest), flawed=at.flawed or bool(found.rejected))
    kept = [one for one in found.records if one.partition >= at.oldest] if at.since else found.records
    if at.since and at.page == 1 and not has_more(at, found.count, found.meta):
        kept = [msgspec.structs.replace(one, is_whole=True) for one in kept]
    return _page(at, found, kept)


def _page(at: Cursor, found: Found, kept: Sequence[Record]) -> Page:
    seen, total = at.read + found.count, found.meta.totalCount
    before = at.expected + total
    expected = before if at.since else before * len(at.names) // (at.place + 1)
    following: Cursor | None = None
    proof: Snapshot | None = None
    if has_more(at, found.count, found.meta):
        stated = total if at.total in (-1, total) else 0
        following = at.next_page(seen, stated, page_size(at, found.count, found.meta))
    elif at.page > 1 and (moved := has_moved(at, seen, total)) and at.tries < TRIES_MAX - 1:
        following = at.again(at.tries + 1)
    else:
        is_sound = not at.flawed and (at.page == 1 or not moved)
        if at.since and not is_sound:
            at.lags = True
        if not at.since:
            proof = Snapshot(frozenset({at.names[at.place]}), at.again().text() if at.page > 1 else None, is_sound)
        if not at.since and at.place < len(at.names) - 1:
            following = at.next_place(before)
    return Page(
        kept, following.text() if following else None, None if following else checkpoint(at), proof, expected,
        found.rejected,
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


def _entries(body: bytes, period: str) -> Found:
    """`period` is the one asked for, or ''."""
    raws: list[msgspec.Raw] = parse(body, list[msgspec.Raw])
    found: dict[str, Record] = {}
    rejected: list[Rejected] = []
    count, stamps = 0, [""]
    meta = totals(map(bytes, raws), len(raws))
    last = len(raws) - 1
    for place, raw in enumerate(raws):
        payload = bytes(raw)
        try:
            head = _head.decode(payload)
            lines = head.journalTransactionLines or []
            stamps.append(head.lastModifiedDateTime or "")
            record = _entry(payload, head, lines, period, is_whole=0 < place < last)
        except (ValueError, msgspec.DecodeError) as error:
            rejected.append(unreadable(payload, error))
            count += _lines_in(payload)
            continue
        known = found.get(record.external_id)
        count += len({one.external_id for one in record.children} - _keys(known)) if known else len(record.children)
        found[record.external_id] = _merged(known, record) if known else record
    return Found(list(found.values()), rejected, meta, count, newer(*stamps))


def _entry(payload: bytes, head: _Head, lines: list[msgspec.Raw], period: str, *, is_whole: bool) -> Record:
    module, number = (head.module or "").removeprefix("Module"), head.batchNumber
    if not module or not number:
        raise ValueError("It has no module or batch number.")
    key = fit(f"{module} {number}")
    partition = period or fit(head.financialPeriod or head.postPeriod or "")
    children = tuple(_child(key, bytes(raw), partition) for raw in lines)
    own = _without_lines(payload, lines)
    return Record(key, own, partition, children, without_stamps(own), is_whole)


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
        return native(msgspec.json.decode(payload, type=Item), "journalTransactionLines")
    return payload[:start].rstrip(b",") + b"}"


def _keys(record: Record) -> set[str]:
    return {one.external_id for one in record.children}


def _merged(known: Record, more: Record) -> Record:
    """A batch that is twice on a page: the later head, all lines, of lines that are twice the later ones."""
    lines = {one.external_id: one for one in (*known.children, *more.children)}
    return msgspec.structs.replace(more, children=tuple(lines.values()), is_whole=False)


class _Numbered(msgspec.Struct):
    number: str = ""
    id: str = ""


def _balances(body: bytes, _period: str) -> Found:
    items: list[Item] = parse(body, list[Item])
    found: dict[str, Record] = {}
    rejected: list[Rejected] = []
    for item in items:
        try:
            record = _balance(item)
        except (ValueError, msgspec.DecodeError) as error:
            rejected.append(unreadable(native(item), error))
            continue
        found[record.external_id] = record
    meta = totals(
        (b'{"metadata":' + bytes(item["metadata"]) + b"}" for item in items if "metadata" in item), len(items)
    )
    newest = newer("", *(text(one.get("lastModifiedDateTime")) for one in items))
    return Found(list(found.values()), rejected, meta, len(found) + len(rejected), newest)


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
    key = fit("/".join(parts))
    payload = native(item)
    return Record(key, payload, parts[4], compared=without_stamps(payload))


def _numbered(raw: msgspec.Raw | None) -> str:
    if raw is None or bytes(raw) == b"null":
        return ""
    found = msgspec.json.decode(raw, type=_Numbered)
    return found.number or found.id


ENDPOINTS: dict[str, tuple[str, Callable[[bytes, str], Found]]] = {
    "entries": ("/v2/journaltransaction", _entries),
    "balances": ("/v2/generalLedgerBalance", _balances),
}
