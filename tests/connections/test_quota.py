"""The arithmetic of budgets against a vendor with fixed windows that states only the nearest one."""

import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from koppel.connections.rate_limits import quota
from koppel.connections.rate_limits.quota import (
    Allocation,
    QuotaState,
    RateLimitReading,
    UsageReport,
    stricter_reading,
)


@dataclass
class Vendor:
    """Fixed windows that begin with their first call.

    `over` counts calls that it had to refuse.

    It states the window with the fewest calls left, of several the one that ends last.
    """

    windows: dict[str, tuple[int, float]]
    counts: dict[str, tuple[float, int]] = field(default_factory=dict)
    taken: list[float] = field(default_factory=list)
    over: int = 0

    def call(self, now: float) -> tuple[bool, dict[str, RateLimitReading]]:
        stated: list[tuple[int, str, float]] = []
        allowed = True
        for policy, (limit, seconds) in self.windows.items():
            ends_at, used = self.counts.get(policy, (0.0, 0))
            if now >= ends_at:
                ends_at, used = now + seconds, 0
            self.counts[policy] = (ends_at, used + 1)
            allowed = allowed and used < limit
            stated.append((limit - used - 1, policy, ends_at))
        self.over += not allowed
        self.taken += [now] if allowed else []
        remaining, policy, ends_at = min(stated, key=lambda one: (one[0], -one[2]))
        reset = max(1, math.ceil(ends_at - now))
        return allowed, {
            policy: RateLimitReading(
                limit=self.windows[policy][0], remaining=max(0, remaining), ends_at=now + reset
            )
        }


@dataclass
class Worker:
    """Calls as fast as it may, one call at a time. A dead one neither reports nor gives back."""

    name: str
    organisation: int = 1
    left: int = 0
    usage: UsageReport = field(default_factory=UsageReport)
    idle_until: float = 0.0
    call_count: int = 0

    def step(self, now: float, state: QuotaState, vendor: Vendor) -> None:
        if now < self.idle_until:
            return
        if self.left == 0:
            grant = self.exchange(now, state)
            self.left = grant.calls
            if grant.calls == 0:
                self.idle_until = now + grant.wait_seconds
                return
        self.left -= 1
        _allowed, readings = vendor.call(now)
        self.call_count += 1
        self.usage.calls += 1
        self.usage.answered = True
        for policy, reading in readings.items():
            self.usage.readings[policy] = stricter_reading(self.usage.readings.get(policy), reading)

    def exchange(self, now: float, state: QuotaState) -> Allocation:
        self.usage.done = True
        quota.apply_report(now, state, self.name, self.organisation, self.usage)
        self.usage = UsageReport()
        return quota.allocate(now, state, self.name, self.organisation)


def run(
    vendor: Vendor, workers: list[Worker], seconds: float, state: QuotaState, *, start: float = 1e9
) -> None:
    dice = random.Random(1)
    now = start
    while now < start + seconds:
        for worker in dice.sample(workers, len(workers)):
            worker.step(now, state, vendor)
            now += 0.05 / len(workers)


def test_two_windows_are_used_to_the_last_call_and_never_beyond() -> None:
    vendor = Vendor({"1": (60, 5.0), "4": (500, 300.0)})
    state = QuotaState()
    run(vendor, [Worker("a")], 650, state)
    assert vendor.over == 0
    assert len(vendor.taken) == 1500, "three hours of 300 s have begun"


def test_an_unmetered_vendor_is_called_freely() -> None:
    state = QuotaState()
    worker = Worker("a")
    assert worker.exchange(1e9, state).calls == 1, "the first call finds out"
    worker.usage = UsageReport(calls=1, unstated=1, answered=True)
    assert worker.exchange(1e9, state).calls == quota.UNMETERED_SLICE


def test_two_organisations_share_a_company_evenly_although_one_has_many_workers() -> None:
    vendor = Vendor({"4": (400, 60.0)})
    state = QuotaState()
    many, single = [Worker(f"a{number}", 1) for number in range(5)], Worker("b", 2)
    run(vendor, [*many, single], 175, state)
    assert vendor.over == 0
    assert len(vendor.taken) == 1200
    assert single.call_count == pytest.approx(600, rel=0.1)


def test_what_a_dead_worker_held_comes_back_after_one_careful_call() -> None:
    vendor = Vendor({"4": (100, 3600.0)})
    state = QuotaState()
    dead, living = Worker("dead"), Worker("living")
    for _index in range(20):
        dead.step(1e9, state, vendor)
    run(vendor, [living], 60, state, start=1e9 + 1)
    assert vendor.over == 0
    assert dead.call_count + living.call_count == 100


def test_the_vendors_refusal_holds_for_all_workers() -> None:
    state = QuotaState()
    worker, other = Worker("a"), Worker("b")
    assert worker.exchange(1e9, state).calls == 1
    worker.usage = UsageReport(calls=1, answered=True, blocked_until=1e9 + 411)
    refused = worker.exchange(1e9, state)
    assert (refused.calls, refused.reason, round(refused.wait_seconds)) == (0, "requested", 411)
    assert other.exchange(1e9 + 400, state).calls == 0
    assert other.exchange(1e9 + 412, state).calls > 0


def test_a_company_that_fails_and_fails_is_left_alone_for_a_minute() -> None:
    state = QuotaState()
    worker = Worker("a")
    worker.exchange(1e9, state)
    worker.usage = UsageReport(calls=10, answered=True, errors=quota.ERRORS_MAX)
    refused = worker.exchange(1e9, state)
    assert (refused.reason, refused.wait_seconds) == ("errors", quota.ERRORS_SECONDS)
    assert worker.exchange(1e9 + 61, state).calls > 0


@settings(max_examples=40, deadline=None)
@given(
    minute=st.integers(5, 80),
    hour=st.integers(20, 400),
    count=st.integers(1, 6),
    kills=st.integers(0, 2),
    organisations=st.integers(1, 3),
)
def test_no_call_exceeds_the_quota_whatever_workers_do(
    minute: int, hour: int, count: int, kills: int, organisations: int
) -> None:
    vendor = Vendor({"1": (minute, 5.0), "4": (hour, 60.0)})
    state = QuotaState()
    workers = [Worker(str(number), number % organisations) for number in range(count + kills)]
    run(vendor, workers, 20, state)
    run(vendor, workers[kills:], 160, state, start=1e9 + 20)
    assert vendor.over <= kills, "a dead worker's unreported calls cost at most the one careful call each"
    starts = int(180 / 60.0)
    possible = min(hour, minute * 12) * starts
    assert len(vendor.taken) >= 0.8 * possible
