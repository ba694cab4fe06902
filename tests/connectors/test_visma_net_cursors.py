"""The state machine of a read: it ends, is complete for a stable list, and proves nothing of a moving one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.connector.contract import ReadMode
from koppel.connectors.visma_net.cursors import (
    PAGE_SIZE,
    TRIES_MAX,
    ChangesRead,
    ComparedRead,
    Cursor,
    FullRead,
    NextPage,
    PageFacts,
    PartEnd,
    ReadPosition,
    Restart,
    StoredCursor,
    advance,
    decode_cursor,
    incremental_cursor,
    is_unchanged,
)
from koppel.connectors.visma_net.stamps import (
    FUTURE_MAX,
    OVERLAP,
    STAMP,
    moment_of,
    newest_stamp,
    with_overlap,
)

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
PAGES_MAX = 40
COUNTS = st.integers(0, 60)
MOMENTS = st.datetimes(moment_of("1990-01-01T00:00:00"), moment_of("2026-03-04T00:00:00"))
STAMPS = MOMENTS.map(lambda moment: moment.strftime(STAMP))
TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
PROGRESS = st.builds(
    ReadPosition,
    position=COUNTS,
    page=st.integers(1, 60),
    expected=COUNTS,
    total=st.integers(-1, 60),
    read=COUNTS,
    size=COUNTS,
    tries=st.integers(0, TRIES_MAX),
    has_unreadable=st.booleans(),
)
READ = {"progress": PROGRESS, "newest": STAMPS, "oldest": st.just("202601"), "began": st.just(AT.isoformat())}
WHOLE = {
    "names": st.lists(st.text(max_size=5)).map(tuple),
    "fingerprints": TEXTS,
    "previous_fingerprints": TEXTS,
}
DELTAS = st.builds(ChangesRead, **READ, since=STAMPS, resume_from=STAMPS, must_reread=st.booleans())
CURSORS = st.one_of(st.builds(FullRead, **READ, **WHOLE), st.builds(ComparedRead, **READ, **WHOLE), DELTAS)
ANSWERS = st.builds(
    PageFacts,
    count=COUNTS,
    total=COUNTS,
    page_size_max=st.integers(0, 60),
    newest=STAMPS,
    has_unreadable=st.booleans(),
    is_paged=st.booleans(),
)
STARTS = st.sampled_from([FullRead(), ComparedRead(), ChangesRead(since="2026-03-01T00:00:00")])


class Source:
    """A list that cuts pages at `size_max`, and says so or not."""

    def __init__(self, rows: int, size_max: int, *, states_size: bool) -> None:
        self.rows, self.size_max, self.states_size = rows, size_max, states_size

    def answer(self, cursor: Cursor) -> PageFacts:
        size = min(PAGE_SIZE, self.size_max)
        before = (cursor.progress.page - 1) * size
        count = max(0, min(size, self.rows - before))
        return PageFacts(count=count, total=self.rows, page_size_max=self.size_max if self.states_size else 0)


@given(st.integers(0, 3000), st.integers(100, 3000), st.booleans(), STARTS)
def test_a_list_that_holds_still_is_read_once_and_whole(
    rows: int, size_max: int, states_size: bool, cursor: Cursor
) -> None:
    source, counts = Source(rows, size_max, states_size=states_size), list[int]()
    while True:
        answer = source.answer(cursor)
        counts.append(answer.count)
        step = advance(cursor, answer)
        if isinstance(step, PartEnd):
            break
        assert isinstance(step, NextPage)
        cursor = step.cursor
    assert sum(counts) == rows
    assert len(counts) == max(1, -(-rows // min(PAGE_SIZE, size_max)))
    assert step.is_sound


@given(st.lists(ANSWERS, min_size=PAGES_MAX, max_size=PAGES_MAX), STARTS)
def test_a_part_is_begun_again_a_few_times_at_most(answers: list[PageFacts], cursor: Cursor) -> None:
    restarts = 0
    for answer in answers:
        step = advance(cursor, answer)
        if isinstance(step, PartEnd):
            break
        restarts += isinstance(step, Restart)
        cursor = step.cursor
    assert restarts < TRIES_MAX


@given(CURSORS, ANSWERS)
def test_a_step_goes_forward_or_back_to_the_first_page(cursor: Cursor, answer: PageFacts) -> None:
    step = advance(cursor, answer)
    before, after = cursor.progress, step.cursor.progress
    assert type(step.cursor) is type(cursor)
    assert (after.position, after.expected) == (before.position, before.expected)
    match step:
        case NextPage():
            assert answer.count > 0
            assert (after.page, after.read, after.tries) == (
                before.page + 1,
                before.read + answer.count,
                before.tries,
            )
            assert after.has_unreadable == (before.has_unreadable or answer.has_unreadable)
        case Restart():
            assert before.page > 1
            assert after == ReadPosition(before.position, expected=before.expected, tries=before.tries + 1)
        case PartEnd():
            assert after.page == before.page


@given(CURSORS, ANSWERS)
def test_an_incomplete_part_proves_nothing(cursor: Cursor, answer: PageFacts) -> None:
    step = advance(cursor, answer)
    if not isinstance(step, PartEnd):
        return
    progress, is_torn = cursor.progress, False
    if answer.is_paged and progress.page > 1:
        is_torn = progress.total not in (-1, answer.total) or progress.read + answer.count < answer.total
    assert step.is_sound == (not is_torn and not progress.has_unreadable and not answer.has_unreadable)
    proof = step.proof(None)
    assert proof.is_consistent == step.is_sound
    assert (proof.restart_cursor is None) == (progress.page == 1)
    if isinstance(step.cursor, ChangesRead) and not step.is_sound:
        assert step.cursor.must_reread, "changes since is asked for once more"


@given(CURSORS)
def test_a_cursor_is_read_in_another_process_as_it_was(cursor: Cursor) -> None:
    for mode in ReadMode:
        assert decode_cursor(cursor.encode(), mode, AT + timedelta(days=1)) == cursor


@given(CURSORS)
def test_a_cursor_that_was_stored_as_one_record_is_read(cursor: Cursor) -> None:
    """Before 0.2 the kind of a read was told by its flags."""
    fields: dict[str, Any] = msgspec.to_builtins(cursor)
    progress = fields.pop("progress", {})
    stored = {**fields, **progress, "type": "cursor", "skips": isinstance(cursor, ComparedRead)}
    assert decode_cursor(msgspec.json.encode(stored).decode(), ReadMode.FULL, AT) == cursor


@pytest.mark.parametrize("stored", ['{"type":"other"}', '{"page":1}', "[]", "no JSON"])
def test_the_cursor_of_another_connector_is_refused(stored: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_cursor(stored, ReadMode.FULL, AT)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [(ReadMode.FULL, FullRead), (ReadMode.COMPARED, ComparedRead), (ReadMode.MODIFIED_SINCE, ChangesRead)],
)
def test_a_checkpoint_becomes_the_start_of_a_read(mode: ReadMode, kind: type[Cursor]) -> None:
    stored = msgspec.json.encode(
        StoredCursor(newest="2026-03-04T09:00:00", fingerprints={"/v1/vat": "a"}, oldest="202601")
    ).decode()
    cursor = decode_cursor(stored, mode, AT)
    assert type(cursor) is kind
    assert (cursor.progress, cursor.began) == (ReadPosition(), AT.isoformat())
    assert is_unchanged(cursor, "/v1/vat", "a") == (kind is ComparedRead)
    assert not is_unchanged(cursor, "/v1/vat", "b")


@pytest.mark.parametrize("mode", ReadMode)
def test_without_a_checkpoint_everything_is_read(mode: ReadMode) -> None:
    assert not isinstance(decode_cursor(None, mode, AT), ChangesRead)


@given(DELTAS, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_the_next_read_begins_no_later_than_what_was_seen_and_no_earlier_than_this_one(
    cursor: ChangesRead, took: timedelta
) -> None:
    newest = max(cursor.newest, cursor.resume_from)
    stored = msgspec.json.decode(
        incremental_cursor(msgspec.structs.replace(cursor, newest=newest), AT + took), type=StoredCursor
    )
    assert cursor.resume_from <= stored.newest <= newest
    if cursor.must_reread:
        assert stored.newest == cursor.resume_from
    else:
        assert stored.newest == max(cursor.resume_from, (moment_of(newest) - took).strftime(STAMP))


@given(
    st.lists(
        st.one_of(
            STAMPS, st.text(max_size=20), st.sampled_from(["2099-01-01T00:00:00", "1900-01-01T00:00:00"])
        )
    )
)
def test_the_newest_stamp_is_a_moment_that_has_been(stamps: list[str]) -> None:
    newest = newest_stamp(stamps, AT)
    assert newest in ("", *stamps)
    if newest:
        assert newest > "1980"
        assert moment_of(newest) < AT.replace(tzinfo=None) + FUTURE_MAX
        assert moment_of(newest) - moment_of(with_overlap(newest)) == OVERLAP


@given(st.lists(STAMPS, min_size=1))
def test_of_moments_that_have_been_the_newest_is_the_last(stamps: list[str]) -> None:
    assert newest_stamp([*stamps, "2099-01-01T00:00:00", "", "1900-01-01T00:00:00"], AT) == max(stamps)
