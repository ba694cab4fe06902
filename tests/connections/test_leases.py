"""Leases of the vendors' quotas within one process, without clock or database."""

import pytest

from koppel.connections.rate_limits.leases import (
    IDLE_SECONDS,
    RENEW_SECONDS,
    USABLE_SECONDS,
    LeaseCache,
    LeaseKey,
    QuotaKey,
)
from koppel.connections.rate_limits.quota import Allocation
from koppel.connector.contract import RateLimitStatus
from koppel.kit.http.retry_after import PAUSE_SECONDS_MAX

KEY = LeaseKey(QuotaKey.for_company(1, "company"), 7)


@pytest.fixture
def leases() -> LeaseCache:
    """Two calls were leased at the tenth second."""
    cache = LeaseCache()
    cache.take_report(KEY, 10.0, done=True)
    cache.extend(KEY)
    cache.fill(KEY, Allocation(calls=2), 10.0)
    return cache


def test_calls_are_taken_until_none_is_left_or_the_lease_is_too_old(leases: LeaseCache) -> None:
    assert leases.take_call(KEY, 11.0)
    assert not leases.take_call(KEY, 10.0 + USABLE_SECONDS)
    assert leases.take_call(KEY, 12.0)
    assert not leases.take_call(KEY, 13.0)
    assert leases[KEY].in_flight == 2


def test_a_report_has_what_happened_since_the_last_one(leases: LeaseCache) -> None:
    leases.take_call(KEY, 11.0)
    leases.take_call(KEY, 11.0)
    leases.record_response(
        KEY, 200, [RateLimitStatus(limit=100, remaining=40, reset_seconds=60.0, policy="hour")], 12.0
    )
    leases.record_failure(KEY, 13.0, cancelled_by_us=False)
    report = leases.take_report(KEY, 14.0, done=False)
    assert (report.calls, report.unstated, report.errors, report.in_flight) == (2, 1, 1, 0)
    assert (report.readings["hour"].remaining, report.readings["hour"].ends_at) == (40, 72.0)
    assert leases.take_report(KEY, 15.0, done=False).calls == 0


def test_a_report_that_was_not_stored_is_in_the_next_one(leases: LeaseCache) -> None:
    leases.take_call(KEY, 11.0)
    leases.record_response(KEY, 503, [], 12.0)
    lost = leases.take_report(KEY, 13.0, done=True)
    leases.take_call(KEY, 13.0)
    leases.record_response(KEY, 200, [RateLimitStatus(limit=100, remaining=39, reset_seconds=60.0)], 14.0)
    leases.restore(KEY, lost)
    report = leases.take_report(KEY, 15.0, done=True)
    assert (report.calls, report.errors, report.answered, set(report.readings)) == (2, 1, True, {""})


def test_a_refusal_takes_the_rest_and_lasts_three_days_at_most(leases: LeaseCache) -> None:
    leases.take_call(KEY, 11.0)
    leases.record_response(KEY, 429, [], 12.0)
    leases.block(KEY, float("inf"), 12.0)
    assert not leases.take_call(KEY, 12.0)
    assert leases.take_report(KEY, 12.0, done=False).blocked_until == 12.0 + PAUSE_SECONDS_MAX


def test_idle_leases_are_given_back_and_those_in_use_renewed(leases: LeaseCache) -> None:
    assert leases.due_reports(10.0) == ([], [])
    assert leases.due_reports(10.0 + IDLE_SECONDS + 0.1) == ([KEY], [])
    leases.take_call(KEY, 11.0)
    assert leases.due_reports(10.0 + RENEW_SECONDS + 0.1) == ([], [KEY]), "A call under way keeps it."
    leases.record_response(KEY, 200, [], 20.0)
    assert leases.due_reports(20.0) == ([], [KEY])


def test_a_lease_with_unreported_calls_is_kept(leases: LeaseCache) -> None:
    leases.take_call(KEY, 11.0)
    leases.drop_unused(KEY)
    leases.record_response(KEY, 200, [], 12.0)
    leases.drop_unused(KEY)
    assert leases.keys() == [KEY]
    leases.take_report(KEY, 13.0, done=True)
    leases.drop_unused(KEY)
    assert leases.keys() == []
