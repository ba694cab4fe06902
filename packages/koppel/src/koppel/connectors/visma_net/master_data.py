"""Lists: master data that comes whole or in pages, some of them in an envelope, each read in one or several parts.

A part is what one address answers: it is compared with the last answer as a whole, and what it no longer names is gone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from koppel.connector.contract import Page, Record, RejectedRecord, Session, Snapshot
from koppel.connectors.visma_net import record_mapping
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
from koppel.connectors.visma_net.record_mapping import Item, text


@dataclass(frozen=True)
class Endpoint:
    """`fields` make the key, `part` tells records of two endpoints in one resource apart. `wraps`: rows sit in `records`."""

    path: str
    fields: tuple[str, ...]
    part: str = ""
    paged: bool = False
    wraps: bool = False
    delta: bool = False


ENDPOINTS: dict[str, tuple[Endpoint, ...]] = {
    "company_details": (
        Endpoint("/v1/organization", ("organizationCd",), "organisation"),
        Endpoint("/v1/branch", ("number",), "branch"),
    ),
    "accounts": (Endpoint("/v1/account", ("accountCD",)),),
    "vat_codes": (Endpoint("/v1/vat", ("vatId",)),),
    "journals": (Endpoint("/v1/ledger", ("number", "module")),),
    "periods": (Endpoint("/v1/financialPeriod", ("year", "period")),),
    "cost_codes": (Endpoint("/v1/department", ("departmentId",), "department"),),
    "projects": (Endpoint("/v1/project", ("projectID",), paged=True, delta=True),),
    "contacts": (
        Endpoint("/v1/customer", ("internalId",), "customer", paged=True, delta=True),
        Endpoint("/v1/supplier", ("internalId",), "supplier", paged=True, delta=True),
    ),
    "payment_terms": (Endpoint("/v1/creditTerm", ("termsId",), paged=True, wraps=True),),
}
WITH_CHANGES = tuple(key for key, endpoints in ENDPOINTS.items() if all(one.delta for one in endpoints))
MODULES = ("GL", "AP", "AR", "CA", "CM", "IN", "DR", "FA", "PM")
"""The batch modules of the description; each is a daybook of an actual ledger."""


class Envelope(msgspec.Struct):
    records: list[Item]
    totalCount: int = 0


class Segment(msgspec.Struct):
    segmentId: int
    description: str = ""
    segmentValues: list[msgspec.Raw] = []


class Dimension(msgspec.Struct):
    id: str
    segments: list[Segment] = []


async def read(session: Session, resource: str, cursor: Cursor) -> Page:
    """One answer: a page of an endpoint, or one dimension (and the list of dimensions before the first)."""
    if resource == "cost_codes":
        if cursor.position == 0:
            cursor = cursor.following(names=parse(await get(session, "/v1/dimension"), list[str]))
        else:
            return await _dimension(session, cursor)
    endpoint = ENDPOINTS[resource][cursor.position]
    body = await get(session, endpoint.path, _params(endpoint, cursor))
    answer = _fingerprint(body)
    if cursor.skips and cursor.page == 1 and cursor.previous_fingerprints.get(endpoint.path) == answer:
        return _unchanged(resource, cursor, endpoint.path, answer)
    items, meta = _items(endpoint, body)
    records, rejected = record_mapping.map_records(
        _daybooks(items) if resource == "journals" else items, lambda item: _record(resource, endpoint, item)
    )
    cursor = cursor.following(
        newest=newest_stamp(cursor.newest, *map(record_mapping.stamp_of, items)),
        has_unreadable=cursor.has_unreadable or bool(rejected),
    )
    count = len(records) + len(rejected)
    read_count = cursor.read + count
    expected = cursor.expected + (meta.totalCount or len(items))
    if endpoint.paged and has_more(cursor, count, meta):
        total = cursor.total if cursor.total >= 0 else meta.totalCount
        following = cursor.next_page(
            read_count, total if total == meta.totalCount else 0, page_size(cursor, count, meta)
        )
        return Page(records, following.text(), expected_total=expected, rejected=rejected)
    is_shifted = endpoint.paged and cursor.page > 1 and has_moved(cursor, read_count, meta.totalCount)
    if is_shifted and cursor.tries < TRIES_MAX - 1:
        return Page(records, cursor.restarted(cursor.tries + 1).text(), expected_total=expected, rejected=rejected)
    if (is_shifted or cursor.has_unreadable) and cursor.since:
        cursor.must_reread = True
    if cursor.page == 1 and not endpoint.delta and not cursor.has_unreadable:
        cursor.fingerprints = {**cursor.fingerprints, endpoint.path: answer}
    proof = (
        None
        if cursor.since
        else _snapshot(resource, cursor, endpoint.part, is_consistent=not is_shifted and not cursor.has_unreadable)
    )
    return _end(resource, cursor, records, rejected, proof, expected)


def _params(endpoint: Endpoint, cursor: Cursor) -> dict[str, str]:
    params = {"pageNumber": str(cursor.page), "pageSize": str(PAGE_SIZE)} if endpoint.paged else {}
    if cursor.since:
        params |= {"lastModifiedDateTime": cursor.since, "lastModifiedDateTimeCondition": ">="}
    return params


def _items(endpoint: Endpoint, body: bytes) -> tuple[list[Item], Metadata]:
    if endpoint.wraps:
        envelope: Envelope = parse(body, Envelope)
        return envelope.records, Metadata(envelope.totalCount, 0)
    items: list[Item] = parse(body, list[Item])
    return items, totals(
        (b'{"metadata":' + bytes(one["metadata"]) + b"}" for one in items if "metadata" in one), len(items)
    )


def _record(resource: str, endpoint: Endpoint, item: Item) -> Record:
    payload = record_mapping.raw_record(item)
    if endpoint.part:
        payload = b'{"endpoint":"' + endpoint.part.encode() + b'",' + payload[1:]
    return Record(_key(endpoint, item), payload, endpoint.part, comparison_key=record_mapping.without_stamps(payload))


def _key(endpoint: Endpoint, item: Item) -> str:
    parts = [text(item.get(name)) for name in endpoint.fields]
    if not all(parts):
        raise ValueError(f"It has no {endpoint.fields[0]}.")
    return record_mapping.bounded_key((f"{endpoint.part} " if endpoint.part else "") + "/".join(parts))


def _daybooks(ledgers: Sequence[Item]) -> list[Item]:
    """Each actual ledger once per batch module, the others (budget, statistics) once."""
    return [
        {**ledger, "module": msgspec.Raw(f'"{module}"'.encode())}
        for ledger in ledgers
        for module in (MODULES if text(ledger.get("balanceType")) == "Actual" else MODULES[:1])
    ]


async def _dimension(session: Session, cursor: Cursor) -> Page:
    """The values of all segments of one dimension."""
    name = cursor.names[cursor.position - 1]
    part = f"dimension {name}"
    body = await get(session, f"/v1/dimension/{quote(name, safe='')}")
    answer = _fingerprint(body)
    if cursor.skips and cursor.previous_fingerprints.get(part) == answer:
        return _unchanged("cost_codes", cursor, part, answer)
    dimension: Dimension = parse(body, Dimension)
    records, rejected = list[Record](), list[RejectedRecord]()
    for segment in dimension.segments:
        head = msgspec.json.encode(
            {"dimension": dimension.id, "segmentId": segment.segmentId, "segment": segment.description}
        )
        for value in segment.segmentValues:
            payload = head[:-1] + b"," + bytes(value)[1:]
            try:
                key = text(msgspec.json.decode(value, type=Item).get("valueId"))
                records.append(
                    Record(record_mapping.bounded_key(f"{dimension.id} {segment.segmentId} {key}"), payload, part)
                )
            except (ValueError, msgspec.DecodeError) as error:
                rejected.append(record_mapping.rejected_record(payload, error))
    cursor.fingerprints = {**cursor.fingerprints, part: "" if rejected else answer}
    return _end(
        "cost_codes", cursor, records, rejected, _snapshot("cost_codes", cursor, part, is_consistent=not rejected), None
    )


def _unchanged(resource: str, cursor: Cursor, part: str, fingerprint: str) -> Page:
    cursor.fingerprints = {**cursor.fingerprints, part: fingerprint}
    page = _end(resource, cursor, [], [], None, None)
    return Page([], page.next_cursor, page.checkpoint, page.snapshot, unchanged=True)


def _snapshot(resource: str, cursor: Cursor, part: str, *, is_consistent: bool) -> Snapshot:
    """What this part no longer names is gone: of the whole resource when it has no other part."""
    restart_cursor = cursor.restarted().text() if cursor.page > 1 else None
    return Snapshot(frozenset({part}) if part else None, restart_cursor, is_consistent)


def _end(
    resource: str, cursor: Cursor, records: Sequence[Record], rejected: Sequence[RejectedRecord],
    proof: Snapshot | None, expected: int | None,
) -> Page:  # fmt: skip
    """The last page of a part; after the last part the parts that are no longer listed are proved absent too."""
    last = len(ENDPOINTS[resource]) - 1 + len(cursor.names)
    if cursor.position < last:
        following = cursor.next_position(cursor.expected if expected is None else expected).text()
        return Page(records, following, snapshot=proof, expected_total=expected, rejected=rejected)
    removed_partitions = (
        frozenset(cursor.previous_fingerprints)
        - frozenset(cursor.fingerprints)
        - {one.path for one in ENDPOINTS[resource]}
    )
    if removed_partitions and (proof is None or proof.partitions is not None):
        proven = proof.partitions or frozenset() if proof else frozenset()
        proof = Snapshot(
            proven | removed_partitions, proof.restart_cursor if proof else None, proof.is_consistent if proof else True
        )
    return Page(records, checkpoint=checkpoint(cursor), snapshot=proof, expected_total=expected, rejected=rejected)


def _fingerprint(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
