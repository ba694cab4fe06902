"""Limits on how often and how many at once."""

import pytest

from koppel.kit.http import outbound_budget
from koppel.kit.http.outbound_budget import CALLS_MAX, CallKind, CallsBusy, call_place
from koppel.kit.web.token_buckets import TokenBuckets, TooManyRequests


def test_a_bucket_is_refilled_and_is_of_one_key() -> None:
    now = 0.0
    buckets = TokenBuckets(per_minute=60, burst=3, monotonic=lambda: now)
    for _number in range(3):
        buckets.spend("ours")
    with pytest.raises(TooManyRequests) as refused:
        buckets.spend("ours")
    assert (refused.value.retry_after_seconds, refused.value.headers) == (1, {"Retry-After": "1"})
    buckets.spend("theirs")
    now = 2.0
    for _number in range(2):
        buckets.spend("ours")
    with pytest.raises(TooManyRequests):
        buckets.spend("ours")


def test_calls_of_one_kind_leave_places_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_budget, "WAITING_SECONDS", 0.01)
    held = [call_place(CallKind.VENDOR) for _number in range(CALLS_MAX)]
    for reservation in held:
        reservation.__enter__()
    with pytest.raises(CallsBusy):
        call_place(CallKind.VENDOR).__enter__()
    with call_place(CallKind.IDENTITY_PROVIDER):
        pass
    for reservation in held:
        reservation.__exit__(None, None, None)
    with call_place(CallKind.VENDOR):
        pass
