"""Limits on how often."""

import pytest

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
