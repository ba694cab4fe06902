"""Cursors of reads: a state machine without I/O or clock that decides what to request next.

`master_data` and `journal_data` call the vendor and pass in what each response states. Cursors are JSON, so
another process can continue a read. Properties of the API behind this design: totals are in every item
(`metadata`), a large `pageSize` is reduced silently, unpaged lists are returned whole, and pages of journals
count lines and split a batch.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Self, TypeVar

import msgspec

from koppel.connector.contract import AbsenceProof, ReadMode
from koppel.connectors.visma_net.stamps import STAMP, moment_of, with_overlap

PAGE_SIZE = 1000
TRIES_MAX = 3


@dataclass(frozen=True, kw_only=True)
class PageFacts:
    """The facts of a response that decide the next request."""

    count: int
    total: int
    """The total that the vendor states."""
    page_size_max: int = 0
    """The page size that the vendor states; 0 if it does not."""
    newest: str = ""
    """The newest modification stamp of the records."""
    has_unreadable: bool = False
    """Whether a record could not be read."""
    is_paged: bool = True


class ReadPosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """The position within a part of a read: an endpoint, a dimension or a period, and its pages."""

    position: int = 0
    """The index of this part among the parts of the resource."""
    page: int = 1
    """The next page."""
    expected: int = 0
    """The number of records in the parts before this one."""
    total: int = -1
    """The total of the first page; 0 after a later page stated another."""
    read: int = 0
    """The number of records read so far."""
    size: int = 0
    """The page size that the vendor really uses."""
    tries: int = 0
    """How often this part was restarted because rows moved."""
    has_unreadable: bool = False
    """A record could not be read, so this part cannot prove absence."""

    def page_size(self, facts: PageFacts) -> int:
        """Return the page size that the vendor really uses, determined on the first page.

        It is the size that the vendor states, or the number of records of a first page that is not the last.
        """
        if self.size:
            return self.size
        size = min(PAGE_SIZE, facts.page_size_max or PAGE_SIZE)
        return facts.count if 0 < facts.count < size and facts.total > facts.count else size

    def has_more(self, facts: PageFacts) -> bool:
        """Return whether another page of this part follows.

        An empty page is the last one, whatever the totals say.
        """
        return facts.is_paged and facts.count > 0 and self.page * self.page_size(facts) < facts.total

    def has_moved(self, facts: PageFacts) -> bool:
        """Return whether rows moved between pages: the total changed, or fewer rows came than it says."""
        is_other_total = self.total >= 0 and facts.total != self.total
        return facts.is_paged and self.page > 1 and (is_other_total or self.read + facts.count < facts.total)

    def next_page(self, facts: PageFacts) -> "ReadPosition":
        stated = facts.total if self.total in (-1, facts.total) else 0
        return msgspec.structs.replace(
            self, page=self.page + 1, read=self.read + facts.count, total=stated, size=self.page_size(facts)
        )

    def next_part(self, expected: int) -> "ReadPosition":
        return ReadPosition(position=self.position + 1, expected=expected)

    def restart(self, tries: int = 0) -> "ReadPosition":
        """Return this part at its first page."""
        return ReadPosition(position=self.position, expected=self.expected, tries=tries)


class _Read(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields of every kind of read."""

    progress: ReadPosition = ReadPosition()
    newest: str = ""
    """The newest modification stamp seen."""
    oldest: str = ""
    """The oldest period that was ever read in full."""
    began: str = ""
    """When this read began, by the hub's clock."""
    signs: str = ""
    """The signs of balances as the source was seen to use them (`balance_signs`)."""

    def with_progress(self, progress: ReadPosition) -> Self:
        return msgspec.structs.replace(self, progress=progress)

    def with_response(self, facts: PageFacts) -> Self:
        """Return the read with the facts of the response added; its position is unchanged."""
        has_unreadable = self.progress.has_unreadable or facts.has_unreadable
        progress = msgspec.structs.replace(self.progress, has_unreadable=has_unreadable)
        return msgspec.structs.replace(self, progress=progress, newest=max(self.newest, facts.newest))

    def mark_incomplete(self) -> Self:
        """Return the read after a part that cannot prove absence."""
        return self

    def encode(self) -> str:
        return msgspec.json.encode(self).decode()


class _WholeRead(_Read, frozen=True, omit_defaults=True):
    """A full read, part by part."""

    names: tuple[str, ...] = ()
    """The names of the dimensions or periods."""
    fingerprints: dict[str, str] = {}
    """Fingerprints of the lists that came in one response, of this read."""
    previous_fingerprints: dict[str, str] = {}
    """The fingerprints of the previous read."""

    def with_fingerprint(self, part: str, fingerprint: str) -> Self:
        return msgspec.structs.replace(self, fingerprints={**self.fingerprints, part: fingerprint})


class FullRead(_WholeRead, frozen=True, omit_defaults=True, tag="paging"):
    """A full read."""


class ComparedRead(_WholeRead, frozen=True, omit_defaults=True, tag="compare"):
    """A full read that skips responses which equal those of the previous read."""


class ChangesRead(_Read, frozen=True, omit_defaults=True, tag="delta"):
    """A read of the changes since a stamp."""

    since: str = ""
    """The stamp sent to the vendor."""
    resume_from: str = ""
    """The newest stamp of the previous read, without overlap."""
    must_reread: bool = False
    """A part could not be read or its rows moved: the next read starts where this one started."""

    def mark_incomplete(self) -> Self:
        return msgspec.structs.replace(self, must_reread=True)


Cursor = FullRead | ComparedRead | ChangesRead
C = TypeVar("C", bound=_Read)


class StoredCursor(msgspec.Struct, tag="checkpoint", omit_defaults=True):
    """The start of the next read: a stamp of the vendor, or fingerprints of lists that came whole."""

    newest: str = ""
    fingerprints: dict[str, str] = {}
    oldest: str = ""
    signs: str = ""


@dataclass(frozen=True)
class NextPage(Generic[C]):
    """The part continues with another page."""

    cursor: C


@dataclass(frozen=True)
class Restart(Generic[C]):
    """Rows moved between the pages of this part: it is read again."""

    cursor: C


@dataclass(frozen=True)
class PartEnd(Generic[C]):
    """The part was read to its end."""

    cursor: C
    is_sound: bool
    """Whether records that did not come are absent."""

    def proof(self, partitions: frozenset[str] | None) -> AbsenceProof:
        """Return what the part proves.

        A part of several pages is read again before a record is considered absent.
        """
        progress = self.cursor.progress
        restart_cursor = self.cursor.with_progress(progress.restart()).encode() if progress.page > 1 else None
        return AbsenceProof(partitions=partitions, restart_cursor=restart_cursor, is_consistent=self.is_sound)


Step = NextPage[C] | Restart[C] | PartEnd[C]


def advance(cursor: C, facts: PageFacts) -> Step[C]:
    """Return the step that follows a response."""
    cursor = cursor.with_response(facts)
    progress = cursor.progress
    if progress.has_more(facts):
        return NextPage(cursor.with_progress(progress.next_page(facts)))
    has_moved = progress.has_moved(facts)
    if has_moved and progress.tries < TRIES_MAX - 1:
        return Restart(cursor.with_progress(progress.restart(progress.tries + 1)))
    is_sound = not has_moved and not progress.has_unreadable
    return PartEnd(cursor if is_sound else cursor.mark_incomplete(), is_sound)


def is_unchanged(cursor: Cursor, part: str, fingerprint: str) -> bool:
    """Return whether a part that came in one response equals that of the previous read."""
    return (
        isinstance(cursor, ComparedRead)
        and cursor.progress.page == 1
        and cursor.previous_fingerprints.get(part) == fingerprint
    )


_stored = msgspec.json.Decoder(FullRead | ComparedRead | ChangesRead | StoredCursor)


def decode_cursor(cursor: str | None, mode: ReadMode, at: datetime) -> Cursor:
    """Return the cursor to read at; an incremental cursor becomes the start of a read that begins at `at`.

    Raises `msgspec.DecodeError` for a cursor of another connector.
    """
    decoded = _decode(cursor) if cursor else StoredCursor()
    if not isinstance(decoded, StoredCursor):
        return decoded
    began, newest = at.isoformat(), decoded.newest
    if mode is ReadMode.MODIFIED_SINCE and newest:
        return ChangesRead(
            newest=newest,
            oldest=decoded.oldest,
            began=began,
            signs=decoded.signs,
            since=with_overlap(newest),
            resume_from=newest,
        )
    kind = ComparedRead if mode is ReadMode.COMPARED else FullRead
    return kind(began=began, signs=decoded.signs, previous_fingerprints=decoded.fingerprints)


def _decode(cursor: str) -> Cursor | StoredCursor:
    try:
        decoded: Cursor | StoredCursor = _stored.decode(cursor)
    except msgspec.ValidationError:
        return _decode_flat(cursor)
    return decoded


def _decode_flat(cursor: str) -> Cursor:
    """Decode the earlier cursor format: one record with flags for the kind of read."""
    fields: dict[str, Any] = msgspec.json.decode(cursor, type=dict[str, Any])
    if fields.get("type") != "cursor":
        raise msgspec.ValidationError("This is no cursor of a read.")
    kind = "delta" if fields.get("since") else "compare" if fields.get("skips") else "paging"
    return msgspec.convert(
        {**fields, "type": kind, "progress": fields}, FullRead | ComparedRead | ChangesRead
    )


def incremental_cursor(cursor: Cursor, at: datetime) -> str:
    """Return the incremental cursor of a read that ends at `at`.

    '' when it saw neither stamps nor fingerprints.
    """
    fingerprints = {} if isinstance(cursor, ChangesRead) else cursor.fingerprints
    if not cursor.newest and not fingerprints:
        return ""
    return msgspec.json.encode(
        StoredCursor(
            newest=_as_of_beginning(cursor, at),
            fingerprints=fingerprints,
            oldest=cursor.oldest,
            signs=cursor.signs,
        )
    ).decode()


def _as_of_beginning(cursor: Cursor, at: datetime) -> str:
    """Return the newest stamp seen, less the duration of the read.

    Go back by the read's duration: rows edited meanwhile are then read again. The vendor's clock and time
    zone need not be known.
    """
    resume_from = cursor.resume_from if isinstance(cursor, ChangesRead) else ""
    if isinstance(cursor, ChangesRead) and cursor.must_reread:
        return resume_from
    if not cursor.newest or not cursor.began:
        return cursor.newest
    took = max(at - datetime.fromisoformat(cursor.began), timedelta(0))
    return max(resume_from, (moment_of(cursor.newest) - took).strftime(STAMP))
