"""Reads one page of one resource: cursors, checkpoints, and which file knows the endpoint.

Cursors are JSON, so that a read goes on in another process. Rules of the API that shape the files beside this one: totals sit
in every item (`metadata`), a large `pageSize` is cut silently, unpaged lists come whole, journal pages count lines and split a
batch, `/v2/journaltransaction` and `/v2/generalLedgerBalance` want `periodId` or a bare `lastModifiedDateTime`.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from koppel.connector.contract import HistoryWindow, ReadMode, Session
from koppel.connectors.visma_net.client import get, parse
from koppel.kit.clock import now

PAGE_SIZE = 1000
OVERLAP = timedelta(minutes=70)
"""Rows may become visible late, and stamps may be local: in autumn an hour comes twice, and its second edits would lie before
its first."""
STAMP = "%Y-%m-%dT%H:%M:%S"
FUTURE_MAX = timedelta(hours=3)
"""The zone of the vendor's stamps is not published: those of Helsinki may be so far ahead of UTC, none may be further."""
FIRST = "1980"
"""No accounting system is older; some write the first day of their calendar where they have no moment."""
TRIES_MAX = 3


class Cursor(msgspec.Struct, tag="cursor", omit_defaults=True):
    """Where a read is.

    `position` among the endpoints, dimensions or periods (`names`), the next `page` there; `newest` change seen;
    `since` is set for a read of changes only. `expected` counts what the places before this one held. Of this
    place: the `total` that its first page stated, what was `read` so far, the page `size` the vendor really uses,
    and how often it was begun again because rows moved (`tries`). `previous_fingerprints` are those of the
    checkpoint, `fingerprints` those of this read; `skips` says whether an answer that is known may be left out.
    `oldest` period that was ever read whole. `has_unreadable`: something of this place could not be read, so the
    place proves nothing absent; `must_reread`: a read of changes met such a place, and the next one begins where
    this one began. `began` is when this read began, by our clock; `resume_from` the stamp from which it reads on."""

    position: int = 0
    page: int = 1
    names: list[str] = []
    newest: str = ""
    since: str = ""
    expected: int = 0
    total: int = -1
    read: int = 0
    size: int = 0
    tries: int = 0
    previous_fingerprints: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    skips: bool = False
    oldest: str = ""
    has_unreadable: bool = False
    must_reread: bool = False
    began: str = ""
    resume_from: str = ""

    def following(self, **changes: object) -> "Cursor":
        return msgspec.structs.replace(self, **changes)

    def next_page(self, read: int, total: int, size: int) -> "Cursor":
        return self.following(page=self.page + 1, read=read, total=total, size=size)

    def next_position(self, expected: int) -> "Cursor":
        return self.following(
            position=self.position + 1,
            page=1,
            expected=expected,
            total=-1,
            read=0,
            size=0,
            tries=0,
            has_unreadable=False,
        )

    def restarted(self, tries: int = 0) -> "Cursor":
        """This place from its first page."""
        return self.following(page=1, total=-1, read=0, size=0, tries=tries, has_unreadable=False)

    def text(self) -> str:
        return msgspec.json.encode(self).decode()


class Checkpoint(msgspec.Struct, tag="checkpoint", omit_defaults=True):
    """From which the next read starts: the vendor's own clock, zone-less, or the fingerprints of lists that came whole."""

    newest: str = ""
    fingerprints: dict[str, str] = {}
    oldest: str = ""


class Metadata(msgspec.Struct, frozen=True):
    totalCount: int = 0
    maxPageSize: int = 0


class _WithMetadata(msgspec.Struct):
    metadata: Metadata | None = None


class FinancialPeriod(msgspec.Struct):
    year: int
    period: str
    startDate: str


_cursor_decoder = msgspec.json.Decoder(Cursor | Checkpoint)
_metadata_decoder = msgspec.json.Decoder(_WithMetadata)


def decode_cursor(cursor: str | None, mode: ReadMode) -> Cursor:
    """The place to read at; a checkpoint becomes the first place. Raises msgspec.DecodeError for a cursor of another's."""
    decoded_cursor = _cursor_decoder.decode(cursor) if cursor else Checkpoint()
    if isinstance(decoded_cursor, Cursor):
        return decoded_cursor
    began = now().isoformat()
    if mode is ReadMode.MODIFIED_SINCE and decoded_cursor.newest:
        newest = decoded_cursor.newest
        return Cursor(
            since=with_overlap(newest), newest=newest, oldest=decoded_cursor.oldest, began=began, resume_from=newest
        )
    return Cursor(previous_fingerprints=decoded_cursor.fingerprints, skips=mode is ReadMode.COMPARED, began=began)


def totals(payloads: Iterable[bytes], count: int) -> Metadata:
    """The totals sit in every item: those of the first that can be read, however odd the others are. Without any, `count`."""
    for payload in payloads:
        try:
            if metadata := _metadata_decoder.decode(payload).metadata:
                return metadata
        except msgspec.DecodeError:
            continue
    return Metadata(count, 0)


def checkpoint(cursor: Cursor) -> str:
    """'' when nothing was seen from which a later read could start."""
    if not cursor.newest and not cursor.fingerprints:
        return ""
    return msgspec.json.encode(Checkpoint(_as_of_beginning(cursor), cursor.fingerprints, cursor.oldest)).decode()


def _as_of_beginning(cursor: Cursor) -> str:
    """The newest stamp seen, less what the read took: whoever edits a row that was passed already does so after the read
    began, and no stamp seen is later than its end. No clock or zone of the vendor's is needed for that."""
    if cursor.must_reread:
        return cursor.resume_from
    if not cursor.newest or not cursor.began:
        return cursor.newest
    took = max(now() - datetime.fromisoformat(cursor.began), timedelta(0))
    return max(cursor.resume_from, (_moment(cursor.newest) - took).strftime(STAMP))


async def periods_within(session: Session, window: HistoryWindow) -> list[str]:
    """`YYYYPP` of the newest fiscal year that has begun and the years before it that are wanted, oldest first.

    Years are the company's own: they may be broken, short or long, and a year without periods does not count."""
    all_periods: list[FinancialPeriod] = parse(await get(session, "/v1/financialPeriod"), list[FinancialPeriod])
    started_years = {one.year for one in all_periods if one.startDate[:10] <= window.today.isoformat()}
    years = sorted(started_years)[-(window.fiscal_years_back + 1) :]
    return sorted({period_key(one.year, one.period) for one in all_periods if one.year in years})


def period_key(year: int, period: str) -> str:
    """The description leaves open whether `period` is `01` or `202601`; both become `202601`."""
    return period if len(period) == 6 else f"{year:04d}{period:0>2}"


def newest_stamp(newest: str, *stamps: str) -> str:
    """The latest of the stamps. One from the future is a clock gone wrong: following it would hide all that comes before it.
    One that is no moment, or as old as a calendar, says nothing."""
    limit = (now() + FUTURE_MAX).strftime(STAMP)
    later = (one for one in sorted(set(stamps), reverse=True) if newest < one < limit)
    return next((one for one in later if one > FIRST and _is_iso_datetime(one)), newest)


def with_overlap(newest: str) -> str:
    """A little before the newest change seen: rows may become visible late. Same form as the API's, no zone."""
    return (_moment(newest) - OVERLAP).strftime(STAMP)


def _is_iso_datetime(stamp: str) -> bool:
    try:
        datetime.fromisoformat(stamp)
    except ValueError:
        return False
    return True


def _moment(stamp: str) -> datetime:
    """As its wall clock shows it: the zone of stamps is not published."""
    return datetime.fromisoformat(stamp).replace(tzinfo=None)


def page_size(cursor: Cursor, count: int, meta: Metadata) -> int:
    """What the vendor really uses, settled on the first page: what it says, or what it gave when there is more."""
    if cursor.size:
        return cursor.size
    size = min(PAGE_SIZE, meta.maxPageSize or PAGE_SIZE)
    return count if 0 < count < size and meta.totalCount > count else size


def has_more(cursor: Cursor, count: int, meta: Metadata) -> bool:
    """Whether another page of this place follows. An empty page is the end, whatever the totals say."""
    return count > 0 and cursor.page * page_size(cursor, count, meta) < meta.totalCount


def has_moved(cursor: Cursor, read: int, total: int) -> bool:
    """Whether rows moved between the pages of this place: a total changed, or fewer rows came than there are."""
    return (cursor.total >= 0 and total != cursor.total) or read < total
