"""From the items of a page to records: keys, the vendor's bytes, and what is left out when two versions are
compared."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from koppel.connector.contract import Record, RejectedRecord
from koppel.connector.errors import UnexpectedResponse

Item = dict[str, msgspec.Raw]


class Metadata(msgspec.Struct, frozen=True):
    totalCount: int = 0
    maxPageSize: int = 0


class _WithMetadata(msgspec.Struct):
    metadata: Metadata | None = None


STAMPS = ("lastModifiedDateTime", "timeStamp")
"""They say that the vendor touched a record, not that it changed: after an
upgrade they jump on a whole table (2020)."""
_STAMPS = tuple(f',"{name}":"'.encode() for name in STAMPS)
_text_or_number = msgspec.json.Decoder(str | int | float | None)
_metadata = msgspec.json.Decoder(_WithMetadata)


def totals(payloads: Iterable[bytes], count: int) -> Metadata:
    """Return the totals, which sit in every item: those of the first that can be read, however odd the others
    are. Without any, `count`."""
    for payload in payloads:
        try:
            if metadata := _metadata.decode(payload).metadata:
                return metadata
        except msgspec.DecodeError:
            continue
    return Metadata(count, 0)


def totals_of_items(items: Sequence[Item]) -> Metadata:
    """Do what `totals` does, for items that were decoded."""
    return totals(
        (b'{"metadata":' + bytes(item["metadata"]) + b"}" for item in items if "metadata" in item), len(items)
    )


def raw_record(item: Item, *left_out: str) -> bytes:
    """Return the record as the vendor wrote it, without the page's
    totals: they change with every other record."""
    parts = (
        msgspec.json.encode(name) + b":" + bytes(raw)
        for name, raw in item.items()
        if name not in ("metadata", *left_out)
    )
    return b"{" + b",".join(parts) + b"}"


def without_stamps(payload: bytes) -> bytes:
    """Return what tells versions apart."""
    for stamp in _STAMPS:
        start = payload.find(stamp)
        while start >= 0:
            end = payload.find(b'"', start + len(stamp)) + 1
            payload = payload[:start] + payload[end:]
            start = payload.find(stamp, start)
    return payload


def rejected_record(payload: bytes, error: Exception) -> RejectedRecord:
    """Return a record that could not be read, known by its bytes, as it has no key: two of them are two, and
    the same one again is the same."""
    return RejectedRecord(f"? {hashlib.sha256(payload).hexdigest()[:16]}", str(error)[:200], payload)


def bounded_key(key: str) -> str:
    """Return the key, if PostgreSQL can hold it. Raises `ValueError`."""
    if "\0" in key:
        raise ValueError("Its key has a NUL in it.")
    return key


def map_records(
    items: Sequence[Item], make: Callable[[Item], Record]
) -> tuple[list[Record], list[RejectedRecord]]:
    """Return records, and what could not be one. Of a record that is there twice the newer one is kept."""
    records: dict[str, tuple[str, Record]] = {}
    rejected: list[RejectedRecord] = []
    for item in items:
        try:
            record = make(item)
        except (ValueError, msgspec.DecodeError) as error:
            rejected.append(rejected_record(raw_record(item), error))
            continue
        stamp = stamp_of(item)
        previous = records.get(record.external_id)
        if previous is None or previous[0] <= stamp:
            records[record.external_id] = (stamp, record)
    return [record for _stamp, record in records.values()], rejected


def stamp_of(item: Mapping[str, msgspec.Raw]) -> str:
    return text(item.get("lastModifiedDateTime"))


def text(raw: msgspec.Raw | None) -> str:
    """Return a text or number of the vendor's as text; '' for null.
    Raises `UnexpectedResponse` for anything else."""
    if raw is None:
        return ""
    try:
        value = _text_or_number.decode(raw)
    except msgspec.DecodeError:
        raise UnexpectedResponse(
            "unexpected_shape", "Visma.net answered an object where a text is described."
        ) from None
    return "" if value is None else str(value)
