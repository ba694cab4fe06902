"""Reads master data: lists that come whole or in pages, in one or several parts.

A part is the list at one URL. It is compared with the previous read as a whole, and records that it no longer
contains are deleted.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext_noop as _

from koppel.connector.contract import AbsenceProof, Page, Record, RejectedRecord, Session
from koppel.connectors.visma_net import record_mapping
from koppel.connectors.visma_net.client import get, parse, parse_rows
from koppel.connectors.visma_net.cursors import (
    PAGE_SIZE,
    ChangesRead,
    ComparedRead,
    Cursor,
    FullRead,
    PageFacts,
    PartEnd,
    advance,
    incremental_cursor,
    is_unchanged,
)
from koppel.connectors.visma_net.normalise import schedule_in_force
from koppel.connectors.visma_net.record_mapping import Item, Metadata, text
from koppel.connectors.visma_net.stamps import newest_stamp
from koppel.kit.clock import now
from koppel.kit.web.sentences import stored_sentence


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An endpoint of a list."""

    path: str
    fields: tuple[str, ...]
    """The fields that form the key."""
    part: str = ""
    """Distinguishes records of two endpoints of one resource."""
    paged: bool = False
    wraps: bool = False
    """Whether rows are in `records`."""
    delta: bool = False
    """Whether the endpoint can list changes since a stamp."""


ENDPOINTS: dict[str, tuple[Endpoint, ...]] = {
    "company_details": (
        Endpoint(path="/v1/organization", fields=("organizationCd",), part="organisation"),
        Endpoint(path="/v1/branch", fields=("number",), part="branch"),
    ),
    "accounts": (Endpoint(path="/v1/account", fields=("accountCD",)),),
    "vat_codes": (Endpoint(path="/v1/vat", fields=("vatId",)),),
    "journals": (Endpoint(path="/v1/ledger", fields=("number", "module")),),
    "periods": (Endpoint(path="/v1/financialPeriod", fields=("year", "period")),),
    "cost_codes": (Endpoint(path="/v1/department", fields=("departmentId",), part="department"),),
    "projects": (Endpoint(path="/v1/project", fields=("projectID",), paged=True, delta=True),),
    "contacts": (
        Endpoint(path="/v1/customer", fields=("internalId",), part="customer", paged=True, delta=True),
        Endpoint(path="/v1/supplier", fields=("internalId",), part="supplier", paged=True, delta=True),
    ),
    "payment_terms": (Endpoint(path="/v1/creditTerm", fields=("termsId",), paged=True, wraps=True),),
}
WITH_CHANGES = tuple(
    key for key, endpoints in ENDPOINTS.items() if all(endpoint.delta for endpoint in endpoints)
)
MODULES = ("GL", "AP", "AR", "CA", "CM", "IN", "SO", "PO", "DR", "FA", "EP", "PM", "TX", "CR")
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


@dataclass(frozen=True, kw_only=True)
class _ReadResult:
    """A response as records."""

    records: Sequence[Record]
    rejected: Sequence[RejectedRecord]
    expected: int | None
    """The number of records of the resource as far as it was read; None when the source states none."""


async def read(session: Session, resource: str, cursor: Cursor) -> Page:
    """Read one page of an endpoint, or one dimension.

    Before the first dimension, the list of dimensions is read.
    """
    if resource == "cost_codes" and not isinstance(cursor, ChangesRead):
        if cursor.progress.position > 0:
            return await _dimension(session, cursor)
        names = await parse(await get(session, "/v1/dimension"), list[str])
        cursor = msgspec.structs.replace(cursor, names=tuple(names))
    endpoint = ENDPOINTS[resource][cursor.progress.position]
    body = await get(session, endpoint.path, _params(endpoint, cursor))
    # Another rate of VAT may be in force today although the list is the same.
    fingerprint = _fingerprint(body + str(now().date()).encode() if resource == "vat_codes" else body)
    if is_unchanged(cursor, endpoint.path, fingerprint):
        return _unchanged_page(resource, cursor, endpoint.path, fingerprint)
    return await _page(resource, cursor, body, fingerprint)


async def _page(resource: str, cursor: Cursor, body: bytes, fingerprint: str) -> Page:
    """Return the response of an endpoint as a page, with a proof at the end of a part."""
    endpoint = ENDPOINTS[resource][cursor.progress.position]
    items, meta = await _items(endpoint, body)
    records, rejected = record_mapping.map_records(
        _daybooks(items) if resource == "journals" else items, lambda item: _record(resource, endpoint, item)
    )
    facts = PageFacts(
        count=len(records) + len(rejected),
        total=meta.totalCount,
        page_size_max=meta.maxPageSize,
        newest=newest_stamp(map(record_mapping.stamp_of, items), now()),
        has_unreadable=bool(rejected),
        is_paged=endpoint.paged,
    )
    expected = cursor.progress.expected + (meta.totalCount or len(items))
    result = _ReadResult(records=records, rejected=rejected, expected=expected)
    step = advance(cursor, facts)
    if not isinstance(step, PartEnd):
        return Page(
            records=records, next_cursor=step.cursor.encode(), expected_total=expected, rejected=rejected
        )
    if isinstance(step.cursor, ChangesRead):
        return _end(resource, step.cursor, result, None)
    proof = step.proof(_partitions(endpoint.part))
    if step.is_sound and step.cursor.progress.page == 1 and not endpoint.delta:
        return _end(resource, step.cursor.with_fingerprint(endpoint.path, fingerprint), result, proof)
    return _end(resource, step.cursor, result, proof)


def _params(endpoint: Endpoint, cursor: Cursor) -> dict[str, str]:
    params = {"pageNumber": str(cursor.progress.page), "pageSize": str(PAGE_SIZE)} if endpoint.paged else {}
    if isinstance(cursor, ChangesRead):
        params |= {"lastModifiedDateTime": cursor.since, "lastModifiedDateTimeCondition": ">="}
    return params


async def _items(endpoint: Endpoint, body: bytes) -> tuple[list[Item], Metadata]:
    if endpoint.wraps:
        envelope: Envelope = await parse_rows(body, Envelope)
        return envelope.records, Metadata(envelope.totalCount, 0)
    items: list[Item] = await parse_rows(body, list[Item])
    return items, record_mapping.totals_of_items(items)


def _record(resource: str, endpoint: Endpoint, item: Item) -> Record:
    payload = record_mapping.raw_record(item)
    if endpoint.part:
        payload = b'{"endpoint":"' + endpoint.part.encode() + b'",' + payload[1:]
    if resource == "vat_codes" and (start := schedule_in_force(payload, now().date())) is not None:
        payload = b'{"inForceFrom":' + msgspec.json.encode(start) + b"," + payload[1:]
    return Record(
        external_id=_key(endpoint, item),
        raw=payload,
        partition=endpoint.part,
        comparison_key=record_mapping.without_stamps(payload),
    )


def _key(endpoint: Endpoint, item: Item) -> str:
    parts = [text(item.get(name)) for name in endpoint.fields]
    if not all(parts):
        raise ValueError(stored_sentence(_("It has no %(field)s."), field=endpoint.fields[0]))
    return record_mapping.bounded_key((f"{endpoint.part} " if endpoint.part else "") + "/".join(parts))


def _daybooks(ledgers: Sequence[Item]) -> list[Item]:
    """Return each actual ledger once per batch module, the others (budget, statistics) once."""
    return [
        {**ledger, "module": msgspec.Raw(f'"{module}"'.encode())}
        for ledger in ledgers
        for module in (MODULES if text(ledger.get("balanceType")) == "Actual" else MODULES[:1])
    ]


async def _dimension(session: Session, cursor: FullRead | ComparedRead) -> Page:
    """Read the values of all segments of one dimension."""
    name = cursor.names[cursor.progress.position - 1]
    part = f"dimension {name}"
    body = await get(session, f"/v1/dimension/{quote(name, safe='')}")
    fingerprint = _fingerprint(body)
    if is_unchanged(cursor, part, fingerprint):
        return _unchanged_page("cost_codes", cursor, part, fingerprint)
    records, rejected = _values(await parse_rows(body, Dimension, depth=2), part)
    cursor = cursor.with_fingerprint(part, "" if rejected else fingerprint)
    proof = PartEnd(cursor, is_sound=not rejected).proof(_partitions(part))
    return _end("cost_codes", cursor, _ReadResult(records=records, rejected=rejected, expected=None), proof)


def _values(dimension: Dimension, part: str) -> tuple[list[Record], list[RejectedRecord]]:
    """Return the values of a dimension as records, and the rejected ones."""
    records, rejected = list[Record](), list[RejectedRecord]()
    for segment in dimension.segments:
        head = msgspec.json.encode(
            {"dimension": dimension.id, "segmentId": segment.segmentId, "segment": segment.description}
        )
        for value in segment.segmentValues:
            payload = head[:-1] + b"," + bytes(value)[1:]
            try:
                key = text(msgspec.json.decode(value, type=Item).get("valueId"))
                if not key:
                    raise ValueError(_("It has no valueId."))
                records.append(
                    Record(
                        external_id=record_mapping.bounded_key(f"{dimension.id} {segment.segmentId} {key}"),
                        raw=payload,
                        partition=part,
                    )
                )
            except (ValueError, msgspec.DecodeError) as error:
                rejected.append(record_mapping.rejected_record(payload, error))
    return records, rejected


def _unchanged_page(resource: str, cursor: Cursor, part: str, fingerprint: str) -> Page:
    if not isinstance(cursor, ChangesRead):
        cursor = cursor.with_fingerprint(part, fingerprint)
    page = _end(resource, cursor, _ReadResult(records=[], rejected=[], expected=None), None)
    return Page(
        records=[],
        next_cursor=page.next_cursor,
        incremental_cursor=page.incremental_cursor,
        absence_proof=page.absence_proof,
        unchanged=True,
    )


def _partitions(part: str) -> frozenset[str] | None:
    """Return the partitions that an endpoint proves: its own part, or None if the resource has no other."""
    return frozenset({part}) if part else None


def _end(resource: str, cursor: Cursor, result: _ReadResult, proof: AbsenceProof | None) -> Page:
    """Return the last page of a part.

    After the last part, parts that are no longer listed are proved absent too.
    """
    names = () if isinstance(cursor, ChangesRead) else cursor.names
    progress = cursor.progress
    if progress.position < len(ENDPOINTS[resource]) - 1 + len(names):
        expected = progress.expected if result.expected is None else result.expected
        next_cursor, next_incremental_cursor = (
            cursor.with_progress(progress.next_part(expected)).encode(),
            None,
        )
    else:
        next_cursor, next_incremental_cursor = None, incremental_cursor(cursor, now())
        proof = _with_removed_partitions(resource, cursor, proof)
    return Page(
        records=result.records,
        next_cursor=next_cursor,
        incremental_cursor=next_incremental_cursor,
        absence_proof=proof,
        expected_total=result.expected,
        rejected=result.rejected,
    )


def _with_removed_partitions(
    resource: str, cursor: Cursor, proof: AbsenceProof | None
) -> AbsenceProof | None:
    """Return the proof, extended by partitions of the previous read that this one did not meet."""
    if isinstance(cursor, ChangesRead) or (proof is not None and proof.partitions is None):
        return proof
    paths = {endpoint.path for endpoint in ENDPOINTS[resource]}
    removed = frozenset(cursor.previous_fingerprints) - frozenset(cursor.fingerprints) - paths
    if not removed:
        return proof
    if proof is None:
        return AbsenceProof(partitions=removed)
    return AbsenceProof(
        partitions=(proof.partitions or frozenset()) | removed,
        restart_cursor=proof.restart_cursor,
        is_consistent=proof.is_consistent,
    )


def _fingerprint(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
