"""Maps the items of a page to records: keys, raw bytes, and comparison keys."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from django.utils.translation import gettext_noop as _

from koppel.connector.contract import Record, RejectedRecord
from koppel.connector.errors import UnexpectedResponse, rejection_reason
from koppel.connector.unreadable_rows import REASON, original_row

Item = dict[str, msgspec.Raw]
OBJECT_FOR_TEXT = _("Visma.net answered an object where a text is described.")
NUL_IN_KEY = _("Its key has a NUL in it.")


class Metadata(msgspec.Struct, frozen=True):
    totalCount: int = 0
    maxPageSize: int = 0


class _WithMetadata(msgspec.Struct):
    metadata: Metadata | None = None


STAMPS = ("lastModifiedDateTime", "timeStamp")
"""Fields without business meaning: after an upgrade they changed on a whole table (2020)."""
_STAMPS = tuple(f',"{name}":"'.encode() for name in STAMPS)
_text_or_number = msgspec.json.Decoder(str | int | float | None)
_metadata = msgspec.json.Decoder(_WithMetadata)


def totals(payloads: Iterable[bytes], count: int) -> Metadata:
    """Return the totals of the first item that states readable ones; every item repeats them.

    Without any, `count`.
    """
    for payload in payloads:
        try:
            if metadata := _metadata.decode(payload).metadata:
                return metadata
        except msgspec.DecodeError:
            continue
    return Metadata(count, 0)


def totals_of_items(items: Sequence[Item]) -> Metadata:
    """Return the same as `totals`, for decoded items."""
    return totals(
        (b'{"metadata":' + bytes(item["metadata"]) + b"}" for item in items if "metadata" in item), len(items)
    )


def raw_record(item: Item, *omitted: str) -> bytes:
    """Return the record as the vendor wrote it, without the page's totals.

    They change whenever another record does.
    """
    parts = (
        msgspec.json.encode(name) + b":" + bytes(raw)
        for name, raw in item.items()
        if name not in ("metadata", *omitted)
    )
    return b"{" + b",".join(parts) + b"}"


def without_stamps(payload: bytes) -> bytes:
    """Return the payload without modification stamps, for use as a comparison key."""
    for stamp in _STAMPS:
        before, *others = payload.split(stamp)
        if others:
            payload = before + b"".join(other.partition(b'"')[2] for other in others)
    return payload


def rejected_record(payload: bytes, error: ValueError | msgspec.MsgspecError) -> RejectedRecord:
    """Return a rejected record without a key, identified by its bytes: equal bytes are the same record."""
    if (sent := original_row(payload)) is not None:
        payload, error = sent, ValueError(REASON)
    external_id = f"? {hashlib.sha256(payload).hexdigest()[:16]}"
    return RejectedRecord(external_id=external_id, reason=rejection_reason(error), raw=payload)


def bounded_key(key: str) -> str:
    """Return the key, if PostgreSQL can store it. Raises `ValueError`."""
    if "\0" in key:
        raise ValueError(NUL_IN_KEY)
    return key


def map_records(
    items: Sequence[Item], make: Callable[[Item], Record]
) -> tuple[list[Record], list[RejectedRecord]]:
    """Return the records, and the rejected ones. Of duplicates the newer one is kept."""
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

    Raises `UnexpectedResponse` for other types.
    """
    if raw is None:
        return ""
    try:
        value = _text_or_number.decode(raw)
    except msgspec.DecodeError:
        raise UnexpectedResponse("unexpected_shape", OBJECT_FOR_TEXT) from None
    return "" if value is None else str(value)
