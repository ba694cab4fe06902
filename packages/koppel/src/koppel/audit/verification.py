"""Verification of the audit log: whether an entry was changed, deleted, inserted or moved, or the end cut.

`verify_links` recomputes the chain from rows, without I/O. A deletion at the end of retention and an erasure
are allowed as far as the log itself records them.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from koppel.audit.chain import GENESIS, EntryValues, next_link
from koppel.audit.signing_keys import HeadDocument, SigningKeys
from koppel.audit.subjects import SubjectKind

RETENTION_MIN = timedelta(days=365)
"""`audit_expire` deletes nothing younger, whatever an organisation's setting says."""
ERASABLE_FIELD = "subject_name"
STATES, BULK_PREFIX = frozenset({"before", "after"}), "administrations."
"""Fields that hold a state for each administration, by id, and the beginning of the actions on many."""


class FindingCode(StrEnum):
    CHANGED = "changed"
    """The values of an entry are not those that were linked."""
    DELETED = "deleted"
    INSERTED = "inserted"
    """An entry that did not come in by `audit_append`."""
    REORDERED = "reordered"
    """A link does not follow from the one before it."""
    TRUNCATED = "truncated"
    """The chain is shorter than its own head or a signed one says."""
    REWRITTEN = "rewritten"
    """The chain is consistent, and another one than the head that was signed."""
    SIGNATURE_INVALID = "signature_invalid"
    ERASED_WITHOUT_RECORD = "erased_without_record"
    """Values are erased without an erasure, recorded at a later time, that takes them away."""
    FALSE_ERASURE = "false_erasure"
    """The erasure of an administration that still exists."""


@dataclass(frozen=True)
class Finding:
    """A deviation in a chain."""

    chain: int
    code: FindingCode
    position: int | None = None
    """The position in the chain; None when the finding is about the whole chain."""
    entry: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class LinkedEntry:
    """A link of a chain, with its entry."""

    position: int
    entry_id: int
    at: datetime
    digest: bytes
    link: bytes
    values: EntryValues | None = None
    """None: the entry is gone."""
    subject_kind: str = ""
    subject_id: int | None = None


@dataclass(frozen=True)
class RecordedDeletions:
    """The deletions and erasures that the log records, which are therefore no findings."""

    expiries: Collection[tuple[int, datetime]] = ()
    """The last position and the time of each deletion at the end of retention."""
    administrations: Mapping[int, datetime] = field(default_factory=dict)
    """By id, when the erasure was recorded; it takes values of earlier entries only. Not by position: an
    entry of a transaction that began later may be erased too.
    """
    companies: Mapping[int, datetime] = field(default_factory=dict)
    """The same by ids of remote companies."""
    false_erasures: frozenset[int] = frozenset()
    """Ids of the entries that record the erasure of an administration which still exists."""

    def covers_deletion(self, link: LinkedEntry) -> bool:
        return any(
            link.position <= through and link.at <= deleted_at - RETENTION_MIN
            for through, deleted_at in self.expiries
        )

    def covers_erasure(self, link: LinkedEntry, path: str) -> bool:
        is_subject = link.subject_kind == SubjectKind.ADMINISTRATION and link.subject_id is not None
        if is_subject and _is_erased(self.administrations, link.subject_id, link.at):
            return True
        if not path.startswith("["):
            return False
        _details, field_name, key = json.loads(path)
        if not isinstance(key, str) or not (key.isascii() and key.isdecimal()):
            return False
        return _is_erased(self._erasures_under(field_name, link), int(key), link.at)

    def _erasures_under(self, field_name: str, link: LinkedEntry) -> Mapping[int, datetime]:
        """Return the erasures that concern the keys of this field: in others the same number is a person's,
        or a division's.
        """
        if field_name == "companies":
            return self.companies
        action = (link.values.values.get("action") if link.values else None) or ""
        return self.administrations if field_name in STATES and action.startswith(BULK_PREFIX) else {}


def _is_erased(erasures: Mapping[int, datetime], key: int | None, at: datetime) -> bool:
    return key is not None and key in erasures and at <= erasures[key]


@dataclass
class ChainResult:
    """The state of a chain after its last link."""

    chain: int
    length: int = 0
    head: bytes = GENESIS
    entries: int = 0
    erased: int = 0
    expired: int = 0
    pending: int = 0
    signed_lengths: list[int] = field(default_factory=list)
    links: dict[int, bytes] = field(default_factory=dict)
    """The links, by position, at which a head was signed."""
    findings: list[Finding] = field(default_factory=list)

    def add(self, code: FindingCode, link: LinkedEntry | None = None, detail: str = "") -> None:
        position, entry = (link.position, link.entry_id) if link else (None, None)
        self.findings.append(Finding(self.chain, code, position, entry, detail))


def verify_links(
    chain: int, links: Iterable[LinkedEntry], recorded: RecordedDeletions, lengths: Collection[int] = ()
) -> ChainResult:
    """Follow a chain from its first link, ordered by position."""
    result = ChainResult(chain, links={0: GENESIS})
    for link in links:
        _follow(result, link)
        _check_entry(result, link, recorded)
        if link.position in lengths:
            result.links[link.position] = link.link
    return result


def verify_heads(
    result: ChainResult, length: int, head: bytes, documents: Iterable[HeadDocument], keys: SigningKeys
) -> None:
    """Compare the end of a chain with its own head and with signed ones."""
    if length > result.length:
        result.add(FindingCode.TRUNCATED, detail=f"{result.length} of {length} links")
    elif (length, head) != (result.length, result.head):
        result.add(FindingCode.REWRITTEN, detail="its own head is another one")
    for document in documents:
        signed = document.head
        if not keys.verifies(document):
            result.add(FindingCode.SIGNATURE_INVALID, detail=f"head {signed.length} of {signed.signed_at}")
        elif signed.length > result.length:
            result.add(FindingCode.TRUNCATED, detail=f"{result.length} of {signed.length} signed links")
        elif result.links.get(signed.length, b"").hex() != signed.head:
            result.add(
                FindingCode.REWRITTEN, detail=f"another head {signed.length} was signed at {signed.signed_at}"
            )
        else:
            result.signed_lengths.append(signed.length)


def _follow(result: ChainResult, link: LinkedEntry) -> None:
    if link.position != result.length + 1:
        result.add(FindingCode.DELETED, link, f"links {result.length + 1} to {link.position - 1} are missing")
    else:
        expected = next_link(result.head, result.chain, link.position, link.entry_id, link.at, link.digest)
        if expected != link.link:
            result.add(FindingCode.REORDERED, link)
    result.length, result.head = link.position, link.link


def _check_entry(result: ChainResult, link: LinkedEntry, recorded: RecordedDeletions) -> None:
    if link.values is None:
        if recorded.covers_deletion(link):
            result.expired += 1
        else:
            result.add(FindingCode.DELETED, link)
        return
    result.entries += 1
    if link.values.digest() != link.digest or not _is_blank(link.values):
        result.add(FindingCode.CHANGED, link)
    if link.entry_id in recorded.false_erasures:
        result.add(FindingCode.FALSE_ERASURE, link)
    erased = link.values.erased_paths
    result.erased += bool(erased)
    if any(not recorded.covers_erasure(link, path) for path in erased):
        result.add(FindingCode.ERASED_WITHOUT_RECORD, link)


def _is_blank(values: EntryValues) -> bool:
    """Return whether the erased values are blank, and may be erased at all."""
    return all(
        values.values.get(path) == ""
        if path == ERASABLE_FIELD
        else path.startswith("[") and path not in values.values
        for path in values.erased_paths
    )


def linked_entries(rows: Iterable[tuple[Any, ...]]) -> Iterator[LinkedEntry]:
    """Read rows of the statement `linked_entries`."""
    for (
        position,
        entry_id,
        at,
        digest,
        link,
        found_id,
        subject_kind,
        subject_id,
        salt,
        parts,
        fields,
        details,
    ) in rows:
        values = None
        if found_id is not None:
            pairs: Mapping[str, str | None] = dict([*fields, *details])
            values = EntryValues(pairs, bytes(salt) if salt is not None else None, _parts(parts))
        yield LinkedEntry(
            position, entry_id, at, bytes(digest), bytes(link), values, subject_kind or "", subject_id
        )


def _parts(parts: Any) -> Mapping[str, Mapping[str, str]]:
    return json.loads(parts) if isinstance(parts, str) else parts or {}
