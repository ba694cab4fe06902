"""Which reads a resource gets, without database or vendor.

Changes come before the full read, which comes whenever one is due, and never more than two reads.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from koppel.connector.contract import DeleteMode, ReadMode, ResourceSpec
from koppel.sync.engine.read_rules import CHILDREN, ReadRules
from koppel.sync.runs.checkpoints import CheckpointState

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
MODES = (ReadMode.MODIFIED_SINCE, ReadMode.FULL)
MOMENTS = st.datetimes(datetime(2026, 2, 1), AT.replace(tzinfo=None), timezones=st.just(UTC))  # noqa: DTZ001 - they get a zone
SPECS = st.builds(
    ResourceSpec,
    key=st.sampled_from(["entries", "accounts"]),
    read_modes=st.sampled_from([MODES, MODES[1:]]),
    delete_mode=st.just(DeleteMode.BY_ABSENCE),
)
RULES = st.builds(
    ReadRules,
    resources=st.just(frozenset({"entries", "accounts"})),
    fiscal_years_back=st.integers(0, 3),
    full_comparison_weekday=st.integers(0, 6),
    full_requested_at=st.none() | MOMENTS,
    zone=st.just(UTC),
)
CHECKPOINTS = st.builds(
    CheckpointState,
    resume_cursor=st.sampled_from(["", "page 3"]),
    read_mode=st.sampled_from(MODES),
    read_id=st.integers(0, 9),
    read_started_at=st.none() | MOMENTS,
    incremental_cursor=st.sampled_from(["", "2026-03-01"]),
    last_full_at=st.none() | MOMENTS,
    fiscal_years_back=st.integers(0, 3),
    is_verifying_deletes=st.booleans(),
    is_inconsistent=st.booleans(),
    seen_count=st.integers(0, 9),
)


def list_read_checkpoints(
    rules: ReadRules, spec: ResourceSpec, checkpoint: CheckpointState
) -> list[CheckpointState]:
    """The checkpoints with which the reads of a resource begin, each read to its end."""
    begun, at = list[CheckpointState](), AT
    following: CheckpointState | None = rules.first_read(spec, checkpoint, at)
    while following is not None:
        begun.append(following)
        at += timedelta(minutes=1)
        ended = CheckpointState(**{**vars(following), "resume_cursor": "", "incremental_cursor": "later"})
        if ended.read_mode != ReadMode.MODIFIED_SINCE:
            ended.last_full_at = ended.read_started_at
        following = rules.next_read(ended, at)
    return begun


@given(RULES, SPECS, CHECKPOINTS)
def test_a_resource_is_read_once_or_changes_first_and_then_all(
    rules: ReadRules, spec: ResourceSpec, checkpoint: CheckpointState
) -> None:
    begun = list_read_checkpoints(rules, spec, checkpoint)
    assert [read.read_mode for read in begun[1:]] in ([], [ReadMode.FULL])
    if len(begun) > 1:
        assert begun[0].read_mode == ReadMode.MODIFIED_SINCE


@given(RULES, SPECS, CHECKPOINTS)
def test_full_reads_that_are_asked_for_begin_after_that(
    rules: ReadRules, spec: ResourceSpec, checkpoint: CheckpointState
) -> None:
    last = list_read_checkpoints(rules, spec, checkpoint)[-1]
    if rules.full_requested_at is not None:
        assert last.read_mode == ReadMode.FULL
        assert last.read_started_at is not None
        assert last.read_started_at >= rules.full_requested_at


@given(RULES, SPECS, CHECKPOINTS)
def test_a_read_that_was_begun_goes_on(
    rules: ReadRules, spec: ResourceSpec, checkpoint: CheckpointState
) -> None:
    first = list_read_checkpoints(rules, spec, checkpoint)[0]
    if checkpoint.resume_cursor and rules.full_requested_at is None:
        assert first == checkpoint
    if first is not checkpoint:
        assert (first.read_id, first.resume_cursor, first.seen_count) == (checkpoint.read_id + 1, "", 0)
        assert not first.is_inconsistent
        assert not first.is_verifying_deletes


@given(RULES, SPECS, CHECKPOINTS)
def test_what_was_never_read_is_read_whole(
    rules: ReadRules, spec: ResourceSpec, checkpoint: CheckpointState
) -> None:
    never_read = CheckpointState()
    begun = list_read_checkpoints(rules, spec, never_read)
    assert [read.read_mode for read in begun] == [ReadMode.FULL]
    assert begun[0].fiscal_years_back == rules.fiscal_years_back


@given(RULES, SPECS, CHECKPOINTS)
def test_more_years_are_read_in_a_full_read_alone(
    rules: ReadRules, spec: ResourceSpec, checkpoint: CheckpointState
) -> None:
    planned = list_read_checkpoints(rules, spec, checkpoint)
    assert planned
    for read in planned:
        if read != checkpoint and read.read_mode == ReadMode.FULL and spec.read_modes[0] != ReadMode.FULL:
            assert read.fiscal_years_back == rules.fiscal_years_back
        if read.read_mode == ReadMode.MODIFIED_SINCE:
            assert read.fiscal_years_back == checkpoint.fiscal_years_back


@given(RULES, CHECKPOINTS)
def test_changes_come_first_where_records_move_between_periods(
    rules: ReadRules, checkpoint: CheckpointState
) -> None:
    spec = ResourceSpec(key="entries", read_modes=MODES, delete_mode=DeleteMode.BY_ABSENCE)
    assert spec.key in CHILDREN
    begun = list_read_checkpoints(rules, spec, checkpoint)
    is_new = begun[0] is not checkpoint
    if is_new and checkpoint.incremental_cursor and not checkpoint.is_baseline:
        assert begun[0].read_mode == ReadMode.MODIFIED_SINCE
