"""Reads one page of one resource. Cursors are JSON, so that a read goes on in another process.

Rules of the API that shape this file: totals sit in every item (`metadata`), a large `pageSize` is cut silently, unpaged lists
come whole, journal pages count lines and split a batch, `/v2/journaltransaction` and `/v2/generalLedgerBalance` want `periodId`
or a bare `lastModifiedDateTime`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from koppel.connector.contract import Page, ReadMode, Record, Rejected, Session, Snapshot, Window
from koppel.connector.errors import ContractBroken
from koppel.connectors.visma_net.answers import get, parse

PAGE_SIZE = 1000
OVERLAP = timedelta(minutes=10)
Item = dict[str, msgspec.Raw]
Key = Callable[[Item], str]


@dataclass(frozen=True)
class Endpoint:
    """`fields` make the key, `prefix` tells records of two endpoints in one resource apart. `wraps`: rows sit in `records`."""

    path: str
    fields: tuple[str, ...]
    prefix: str = ""
    paged: bool = False
    wraps: bool = False
    delta: bool = False


ENDPOINTS: dict[str, tuple[Endpoint, ...]] = {
    "company_details": (
        Endpoint("/v1/organization", ("organizationCd",), "organisation "),
        Endpoint("/v1/branch", ("number",), "branch "),
    ),
    "accounts": (Endpoint("/v1/account", ("accountCD",)),),
    "vat_codes": (Endpoint("/v1/vat", ("vatId",)),),
    "journals": (Endpoint("/v1/ledger", ("number", "module")),),
    "periods": (Endpoint("/v1/financialPeriod", ("year", "period")),),
    "cost_codes": (Endpoint("/v1/department", ("departmentId",), "department "),),
    "projects": (Endpoint("/v1/project", ("projectID",), paged=True, delta=True),),
    "contacts": (
        Endpoint("/v1/customer", ("internalId",), "customer ", paged=True, delta=True),
        Endpoint("/v1/supplier", ("internalId",), "supplier ", paged=True, delta=True),
    ),
    "payment_terms": (Endpoint("/v1/creditTerm", ("termsId",), paged=True, wraps=True),),
}
BY_PERIOD = ("balances", "entries")
MODULES = ("GL", "AP", "AR", "CA", "CM", "IN", "DR", "FA", "PM")
"""The batch modules of the description; each is a daybook of an actual ledger."""


class Cursor(msgspec.Struct, tag="cursor", omit_defaults=True):
    """Where a read is: `place` in the endpoints or periods, the next `page`, the newest change seen, lines counted so far.

    `since` is set for a read of changes only."""

    place: int = 0
    page: int = 1
    periods: list[str] = []
    newest: str = ""
    counted: int = 0
    since: str = ""


class Metadata(msgspec.Struct):
    totalCount: int = 0
    maxPageSize: int = 0


class Envelope(msgspec.Struct):
    records: list[Item]
    totalCount: int = 0


class Checkpoint(msgspec.Struct, tag="checkpoint"):
    """From which the next read of changes starts: the vendor's own clock, zone-less."""

    newest: str


class FinancialPeriod(msgspec.Struct):
    year: int
    period: str
    startDate: str


class Segment(msgspec.Struct):
    segmentId: int
    description: str = ""
    segmentValues: list[msgspec.Raw] = []


class Dimension(msgspec.Struct):
    id: str
    segments: list[Segment] = []


async def read_page(session: Session, resource: str, mode: ReadMode, window: Window, cursor: str | None) -> Page:
    """One call to the vendor (two at the start of a read by period)."""
    found = msgspec.json.decode(cursor, type=Cursor | Checkpoint) if cursor else None
    at = found if isinstance(found, Cursor) else await _start(session, resource, mode, window, found)
    if resource in BY_PERIOD:
        return await _page_by_period(session, resource, at)
    if resource == "cost_codes" and at.place > 0:
        return await _dimension(session, at)
    return await _page_of_list(session, resource, at)


async def _start(
    session: Session, resource: str, mode: ReadMode, window: Window, checkpoint: Checkpoint | None
) -> Cursor:
    if mode is ReadMode.MODIFIED_SINCE and checkpoint:
        return Cursor(since=_earlier(checkpoint.newest), newest=checkpoint.newest)
    if resource in BY_PERIOD:
        return Cursor(periods=await periods_within(session, window))
    if resource == "cost_codes":
        names: list[str] = parse(await get(session, "/v1/dimension"), list[str])
        return Cursor(periods=names)
    return Cursor()


async def periods_within(session: Session, window: Window) -> list[str]:
    """`YYYYPP` of the newest fiscal year that has begun and the years before it that are wanted, oldest first."""
    found: list[FinancialPeriod] = parse(await get(session, "/v1/financialPeriod"), list[FinancialPeriod])
    begun = [one for one in found if one.startDate[:10] <= window.today.isoformat()]
    newest = max((one.year for one in begun), default=0)
    wanted = [one for one in found if newest - window.fiscal_years_back <= one.year <= newest]
    return sorted({period_key(one.year, one.period) for one in wanted})


def period_key(year: int, period: str) -> str:
    """The description leaves open whether `period` is `01` or `202601`; both become `202601`."""
    return period if len(period) == 6 else f"{year:04d}{period:0>2}"


async def _page_of_list(session: Session, resource: str, at: Cursor) -> Page:
    endpoints = ENDPOINTS[resource]
    endpoint = endpoints[at.place]
    params: dict[str, str] = {"pageNumber": str(at.page), "pageSize": str(PAGE_SIZE)} if endpoint.paged else {}
    if at.since:
        params |= {"lastModifiedDateTime": at.since, "lastModifiedDateTimeCondition": ">="}
    body = await get(session, endpoint.path, params)
    if endpoint.wraps:
        envelope: Envelope = parse(body, Envelope)
        items, meta = envelope.records, Metadata(envelope.totalCount, PAGE_SIZE)
    else:
        items = parse(body, list[Item])
        meta = _metadata(items)
    records, rejected = _records(_daybooks(items) if resource == "journals" else items, endpoint)
    at.newest = max([at.newest, *(_text(one.get("lastModifiedDateTime")) for one in items)])
    last_place = len(endpoints) - 1 + (len(at.periods) if resource == "cost_codes" else 0)
    following = _following(at, endpoint, len(items), meta)
    if following is None and at.place < last_place:
        following = Cursor(at.place + 1, 1, at.periods, at.newest, at.counted + meta.totalCount, at.since)
    return _page(at, records, rejected, following, expected=at.counted + (meta.totalCount or len(items)))


def _daybooks(ledgers: Sequence[Item]) -> list[Item]:
    """Each actual ledger once per batch module, the others (budget, statistics) once."""
    return [
        {**ledger, "module": msgspec.Raw(f'"{module}"'.encode())}
        for ledger in ledgers
        for module in (MODULES if _text(ledger.get("balanceType")) == "Actual" else MODULES[:1])
    ]


def _following(at: Cursor, endpoint: Endpoint, count: int, meta: Metadata) -> Cursor | None:
    """The next page of this endpoint. The size counted with is the vendor's, not the one we asked for."""
    size = min(PAGE_SIZE, meta.maxPageSize or PAGE_SIZE)
    if not endpoint.paged or count == 0 or at.page * size >= meta.totalCount:
        return None
    return Cursor(at.place, at.page + 1, at.periods, at.newest, at.counted, at.since)


async def _dimension(session: Session, at: Cursor) -> Page:
    """The values of all segments of one dimension."""
    name = at.periods[at.place - 1]
    found: Dimension = parse(await get(session, f"/v1/dimension/{name}"), Dimension)
    records = []
    for segment in found.segments:
        head = msgspec.json.encode(
            {"dimension": found.id, "segmentId": segment.segmentId, "segment": segment.description}
        )
        for value in segment.segmentValues:
            key = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
            native = head[:-1] + b"," + bytes(value)[1:]
            records.append(Record(f"{found.id} {segment.segmentId} {_text(key.get('valueId'))}", native))
    following = Cursor(at.place + 1, 1, at.periods, at.newest, at.counted, "") if at.place < len(at.periods) else None
    return _page(at, records, [], following, expected=None)


async def _page_by_period(session: Session, resource: str, at: Cursor) -> Page:
    if not at.since and not at.periods:
        return Page([], checkpoint=_checkpoint(at), snapshot=Snapshot(frozenset()))
    path = "/v2/journaltransaction" if resource == "entries" else "/v2/generalLedgerBalance"
    params = {"pageNumber": str(at.page), "pageSize": str(PAGE_SIZE)}
    params |= {"lastModifiedDateTime": at.since} if at.since else {"periodId": at.periods[at.place]}
    items: list[Item] = parse(await get(session, path, params), list[Item])
    meta = _metadata(items)
    make = _entry if resource == "entries" else _balance
    records: list[Record] = []
    rejected: list[Rejected] = []
    for item in items:
        _sort_out(make, item, records, rejected)
    at.newest = max([at.newest, *(_text(one.get("lastModifiedDateTime")) for one in items)])
    size = min(PAGE_SIZE, meta.maxPageSize or PAGE_SIZE)
    following: Cursor | None = None
    counted = at.counted + (meta.totalCount if at.page == 1 else 0)
    if items and at.page * size < meta.totalCount:
        following = Cursor(at.place, at.page + 1, at.periods, at.newest, counted, at.since)
    elif not at.since and at.place < len(at.periods) - 1:
        following = Cursor(at.place + 1, 1, at.periods, at.newest, counted, "")
    expected = counted if at.since else counted * max(1, len(at.periods)) // (at.place + 1)
    return _page(at, records, rejected, following, expected=expected)


def _page(
    at: Cursor, records: Sequence[Record], rejected: Sequence[Rejected], following: Cursor | None, expected: int | None
) -> Page:
    if following is not None:
        text = msgspec.json.encode(following).decode()
        return Page(records, next=text, expected_total=expected, rejected=rejected)
    by_period = bool(at.periods) and at.periods[0].isdigit()
    snapshot = None if at.since else Snapshot(frozenset(at.periods) if by_period else None)
    return Page(records, checkpoint=_checkpoint(at), snapshot=snapshot, expected_total=expected, rejected=rejected)


def _checkpoint(at: Cursor) -> str:
    return msgspec.json.encode(Checkpoint(at.newest)).decode() if at.newest else ""


def _earlier(newest: str) -> str:
    """A little before the newest change seen: rows may become visible late. Same form as the API's, no zone."""
    moment = datetime.fromisoformat(newest).replace(tzinfo=None) - OVERLAP
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _metadata(items: Sequence[Item]) -> Metadata:
    if items and "metadata" in items[0]:
        found: Metadata = parse(bytes(items[0]["metadata"]), Metadata)
        return found
    return Metadata(len(items), 0)


def _records(items: Sequence[Item], endpoint: Endpoint) -> tuple[list[Record], list[Rejected]]:
    records: list[Record] = []
    rejected: list[Rejected] = []

    def make(item: Item) -> Record:
        parts = [_text(item.get(name)) for name in endpoint.fields]
        if not all(parts):
            raise ValueError(f"It has no {endpoint.fields[0]}.")
        prefix = f'"endpoint":"{endpoint.prefix.strip()}",'.encode() if endpoint.prefix else b""
        return Record(endpoint.prefix + "/".join(parts), b"{" + prefix + _native(item)[1:])

    for item in items:
        _sort_out(make, item, records, rejected)
    return records, rejected


def _sort_out(make: Callable[[Item], Record], item: Item, records: list[Record], rejected: list[Rejected]) -> None:
    try:
        records.append(make(item))
    except (ValueError, msgspec.DecodeError) as error:
        rejected.append(Rejected("", str(error)[:200], _native(item)))


def _native(item: Item, *left_out: str) -> bytes:
    """The record as the vendor wrote it, without the page's totals: they change with every other record."""
    parts = (
        msgspec.json.encode(name) + b":" + bytes(raw)
        for name, raw in item.items()
        if name not in ("metadata", *left_out)
    )
    return b"{" + b",".join(parts) + b"}"


class _LineKey(msgspec.Struct):
    lineNumber: int


_line_key = msgspec.json.Decoder(_LineKey)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])
_text_or_number = msgspec.json.Decoder(str | int | float | None)


def _entry(item: Item) -> Record:
    module, number = _text(item.get("module")).removeprefix("Module"), _text(item.get("batchNumber"))
    if not module or not number:
        raise ValueError("It has no module or batch number.")
    period = _text(item.get("financialPeriod")) or _text(item.get("postPeriod"))
    key = f"{module} {number}"
    raws = _raw_list.decode(item["journalTransactionLines"]) if "journalTransactionLines" in item else []
    children = tuple(Record(f"{key} {_line_key.decode(raw).lineNumber}", bytes(raw), period) for raw in raws)
    return Record(key, _native(item, "journalTransactionLines"), period, children)


class _Numbered(msgspec.Struct):
    number: str = ""
    id: str = ""


def _balance(item: Item) -> Record:
    parts = [
        _numbered(item.get("ledger")),
        _numbered(item.get("branch")),
        _numbered(item.get("account")),
        _text(item.get("subaccountId")),
        _text(item.get("financialPeriod")),
    ]
    if not parts[2] or not parts[4]:
        raise ValueError("It has no account or period.")
    return Record("/".join(parts), _native(item), parts[4])


def _numbered(raw: msgspec.Raw | None) -> str:
    if raw is None or bytes(raw) == b"null":
        return ""
    found = msgspec.json.decode(raw, type=_Numbered)
    return found.number or found.id


def _text(raw: msgspec.Raw | None) -> str:
    if raw is None:
        return ""
    try:
        value = _text_or_number.decode(raw)
    except msgspec.DecodeError:
        raise ContractBroken("unexpected_shape", "Visma.net answered an object where a text is described.") from None
    return "" if value is None else str(value)
