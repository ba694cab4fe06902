"""Lists: master data that comes whole or in pages, some of them in an envelope, each read in one or several parts.

A part is what one address answers: it is compared with the last answer as a whole, and what it no longer names is gone.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from koppel.connector.contract import Page, Record, Rejected, Session, Snapshot
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
    newer,
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


async def read(session: Session, resource: str, at: Cursor) -> Page:
    """One answer: a page of an endpoint, or one dimension (and the list of dimensions before the first)."""
    if resource == "cost_codes":
        if at.place == 0:
            at = at.following(names=parse(await get(session, "/v1/dimension"), list[str]))
        else:
            return await _dimension(session, at)
    endpoint = ENDPOINTS[resource][at.place]
    body = await get(session, endpoint.path, _params(endpoint, at))
    answer = _fingerprint(body)
    if at.skips and at.page == 1 and at.known.get(endpoint.path) == answer:
        return _unchanged(resource, at, endpoint.path, answer)
    items, meta = _items(endpoint, body)
    found, rejected = record_mapping.sorted_out(
        _daybooks(items) if resource == "journals" else items, lambda item: _record(resource, endpoint, item)
    )
    at = at.following(newest=newer(at.newest, *map(record_mapping.stamp_of, items)), flawed=at.flawed or bool(rejected))
    count = len(found) + len(rejected)
    seen = at.read + count
    expected = at.expected + (meta.totalCount or len(items))
    if endpoint.paged and has_more(at, count, meta):
        total = at.total if at.total >= 0 else meta.totalCount
        following = at.next_page(seen, total if total == meta.totalCount else 0, page_size(at, count, meta))
        return Page(found, following.text(), expected_total=expected, rejected=rejected)
    moved = endpoint.paged and at.page > 1 and has_moved(at, seen, meta.totalCount)
    if moved and at.tries < TRIES_MAX - 1:
        return Page(found, at.again(at.tries + 1).text(), expected_total=expected, rejected=rejected)
    if (moved or at.flawed) and at.since:
        at.lags = True
    if at.page == 1 and not endpoint.delta and not at.flawed:
        at.found = {**at.found, endpoint.path: answer}
    proof = None if at.since else _proof(resource, at, endpoint.part, is_sound=not moved and not at.flawed)
    return _end(resource, at, found, rejected, proof, expected)


def _params(endpoint: Endpoint, at: Cursor) -> dict[str, str]:
    params = {"pageNumber": str(at.page), "pageSize": str(PAGE_SIZE)} if endpoint.paged else {}
    if at.since:
        params |= {"lastModifiedDateTime": at.since, "lastModifiedDateTimeCondition": ">="}
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
    payload = record_mapping.native(item)
    if endpoint.part:
        payload = b'{"endpoint":"' + endpoint.part.encode() + b'",' + payload[1:]
    return Record(_key(endpoint, item), payload, endpoint.part, compared=record_mapping.without_stamps(payload))


def _key(endpoint: Endpoint, item: Item) -> str:
    parts = [text(item.get(name)) for name in endpoint.fields]
    if not all(parts):
        raise ValueError(f"It has no {endpoint.fields[0]}.")
    return record_mapping.fit((f"{endpoint.part} " if endpoint.part else "") + "/".join(parts))


def _daybooks(ledgers: Sequence[Item]) -> list[Item]:
    """Each actual ledger once per batch module, the others (budget, statistics) once."""
    return [
        {**ledger, "module": msgspec.Raw(f'"{module}"'.encode())}
        for ledger in ledgers
        for module in (MODULES if text(ledger.get("balanceType")) == "Actual" else MODULES[:1])
    ]


async def _dimension(session: Session, at: Cursor) -> Page:
    """The values of all segments of one dimension."""
    name = at.names[at.place - 1]
    part = f"dimension {name}"
    body = await get(session, f"/v1/dimension/{quote(name, safe='')}")
    answer = _fingerprint(body)
    if at.skips and at.known.get(part) == answer:
        return _unchanged("cost_codes", at, part, answer)
    dimension: Dimension = parse(body, Dimension)
    found, rejected = list[Record](), list[Rejected]()
    for segment in dimension.segments:
        head = msgspec.json.encode(
            {"dimension": dimension.id, "segmentId": segment.segmentId, "segment": segment.description}
        )
        for value in segment.segmentValues:
            payload = head[:-1] + b"," + bytes(value)[1:]
            try:
                key = text(msgspec.json.decode(value, type=Item).get("valueId"))
                found.append(Record(record_mapping.fit(f"{dimension.id} {segment.segmentId} {key}"), payload, part))
            except (ValueError, msgspec.DecodeError) as error:
                rejected.append(record_mapping.unreadable(payload, error))
    at.found = {**at.found, part: "" if rejected else answer}
    return _end("cost_codes", at, found, rejected, _proof("cost_codes", at, part, is_sound=not rejected), None)


def _unchanged(resource: str, at: Cursor, part: str, fingerprint: str) -> Page:
    at.found = {**at.found, part: fingerprint}
    page = _end(resource, at, [], [], None, None)
    return Page([], page.next, page.checkpoint, page.snapshot, unchanged=True)


def _proof(resource: str, at: Cursor, part: str, *, is_sound: bool) -> Snapshot:
    """What this part no longer names is gone: of the whole resource when it has no other part."""
    again = at.again().text() if at.page > 1 else None
    return Snapshot(frozenset({part}) if part else None, again, is_sound)


def _end(
    resource: str, at: Cursor, found: Sequence[Record], rejected: Sequence[Rejected],
    proof: Snapshot | None, expected: int | None,
) -> Page:  # fmt: skip
    """The last page of a part; after the last part the parts that are no longer listed are proved absent too."""
    last = len(ENDPOINTS[resource]) - 1 + len(at.names)
    if at.place < last:
        following = at.next_place(at.expected if expected is None else expected).text()
        return Page(found, following, snapshot=proof, expected_total=expected, rejected=rejected)
    gone = frozenset(at.known) - frozenset(at.found) - {one.path for one in ENDPOINTS[resource]}
    if gone and (proof is None or proof.partitions is not None):
        proven = proof.partitions or frozenset() if proof else frozenset()
        proof = Snapshot(proven | gone, proof.again if proof else None, proof.is_sound if proof else True)
    return Page(found, checkpoint=checkpoint(at), snapshot=proof, expected_total=expected, rejected=rejected)


def _fingerprint(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
