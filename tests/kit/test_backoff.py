"""Pauses grow up to their cap, after any number of failures."""

from hypothesis import given
from hypothesis import strategies as st

from koppel.kit.backoff import JITTER, Backoff, with_jitter

seconds = st.floats(0.001, 1e6)
policies = st.builds(
    lambda base, growth, factor: Backoff(base_seconds=base, cap_seconds=base * growth, factor=factor),
    seconds,
    st.floats(1, 1e6),
    st.floats(1, 10),
)
failure_counts = st.integers(0, 10**9)


@given(policies, failure_counts)
def test_a_pause_lies_between_base_and_cap(policy: Backoff, failures: int) -> None:
    assert policy.base_seconds <= policy.seconds(failures) <= policy.cap_seconds


@given(policies, failure_counts, failure_counts)
def test_more_failures_never_wait_less(policy: Backoff, failures: int, more: int) -> None:
    assert policy.seconds(failures) <= policy.seconds(failures + more)


@given(policies, st.integers(0, 60))
def test_each_pause_is_the_factor_times_the_one_before_until_the_cap(policy: Backoff, failures: int) -> None:
    expected = min(policy.base_seconds * policy.factor ** (failures + 1), policy.cap_seconds)
    assert policy.seconds(failures + 1) == expected


@given(policies)
def test_the_first_pause_is_the_base(policy: Backoff) -> None:
    assert policy.seconds(0) == policy.seconds(-1) == policy.base_seconds


@given(policies, failure_counts)
def test_jitter_spreads_a_pause_by_a_fifth_at_most(policy: Backoff, failures: int) -> None:
    pause = policy.seconds(failures)
    for jittered in (policy.jittered_seconds(failures), with_jitter(pause)):
        assert pause * (1 - JITTER) * 0.999 <= jittered <= pause * (1 + JITTER) * 1.001


def test_jitter_separates_simultaneous_failures() -> None:
    policy = Backoff(base_seconds=5, cap_seconds=60)
    assert len({policy.jittered_seconds(3) for _ in range(50)}) > 25
