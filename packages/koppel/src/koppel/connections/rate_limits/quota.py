"""How many calls may still be made for one company through one app registration: pure arithmetic on a small document.

Every worker reads and writes the same document, one after the other (`koppel.connections.rate_limits.limiter`). A
vendor counts calls in fixed windows (an hour, per company and client) and says on each answer how many are left and
when the window ends. From these statements calls are leased to workers in slices. What must never happen is a call
over the quota; so

- when nothing is known, or a window is over, one call is given out to learn from its answer. A vendor with several windows
  states the one with the fewest calls left: as many are left in all others, so a window that was not stated does not bind;
- what is leased and not yet reported counts as made, whoever holds it;
- of two statements about one window the smaller number and the earlier end hold, because answers overtake each other.

Times are seconds since 1970 by the database's clock: machines need not agree on theirs.
"""

import math

import msgspec

LEASE_SECONDS = 15.0
"""A worker that does not report for so long is dead: its slice comes back."""
SLICE_MAX = 50
UNMETERED_SLICE = 500
ERRORS_MAX = 10
ERRORS_SECONDS = 60.0
BUSY_SECONDS = 0.5
"""When others hold what is left: until they report."""
MEMORY_SECONDS = 5.0
"""So long after its waiting time a share is kept for an organisation that was turned away."""
SAME_WINDOW_SECONDS = 1.5
"""Two statements about one window may differ by a second of rounding and the network's time."""


class Window(msgspec.Struct):
    """One of the vendor's windows, as stated by answers since it began. `seconds` is the longest time to its end stated."""

    limit: int
    remaining: int
    ends_at: float
    seconds: float


class Lease(msgspec.Struct):
    """Calls that a worker may still make for an organisation, until a time."""

    organisation: int
    calls: int
    until: float


class QuotaState(msgspec.Struct):
    """The document. `source_states_limits`: an answer told how things stand, and since then no window ended and no worker died.

    `leases` says until when an organisation's share is kept for it, `used` what each has used since a window began."""

    source_states_limits: bool = False
    windows: dict[str, Window] = {}
    leases: dict[str, Lease] = {}
    waiting_organisations: dict[str, float] = {}
    used: dict[str, int] = {}
    blocked_until: float = 0.0
    errors: int = 0
    errors_until: float = 0.0


class RateLimitReading(msgspec.Struct):
    """What an answer stated: calls left of `limit` until `ends_at`."""

    limit: int
    remaining: int
    ends_at: float


class UsageReport(msgspec.Struct):
    """What a worker did since its last report. `calls` calls are over, `in_flight` are not. `unstated` ones had an answer that
    stated nothing, or none. `answered`: at least one came back good or refused.

    `blocked_until`: the vendor refused until then. `done`: the rest of the lease is given back."""

    calls: int = 0
    in_flight: int = 0
    unstated: int = 0
    answered: bool = False
    errors: int = 0
    blocked_until: float = 0.0
    readings: dict[str, RateLimitReading] = {}
    done: bool = False


class Allocation(msgspec.Struct):
    """`calls` 0: wait so long, because of `reason` (quota, errors, busy)."""

    calls: int
    wait_seconds: float = 0.0
    reason: str = ""


def apply_report(now: float, state: QuotaState, holder: str, organisation: int, usage: UsageReport) -> None:
    """Take over what a worker did."""
    lease = state.leases.get(holder)
    if lease is not None:
        lease.calls = usage.in_flight if usage.done else max(usage.in_flight, lease.calls - usage.calls)
        lease.until = now + LEASE_SECONDS
        if lease.calls == 0:
            del state.leases[holder]
    state.used[str(organisation)] = state.used.get(str(organisation), 0) + usage.calls
    for policy, window in state.windows.items():
        unreported_calls = usage.unstated if policy in usage.readings else usage.calls
        window.remaining = max(0, window.remaining - unreported_calls)
    for policy, reading in usage.readings.items():
        if reading.ends_at > now:
            _apply_reading(now, state, policy, reading)
    state.source_states_limits = state.source_states_limits or usage.answered
    state.blocked_until = max(state.blocked_until, usage.blocked_until)
    if usage.errors:
        _count_errors(now, state, usage.errors)


def allocate(now: float, state: QuotaState, holder: str, organisation: int) -> Allocation:
    """A slice for a worker, or how long to wait. The holder's earlier lease must have been reported as done."""
    _remove_expired(now, state)
    leased = sum(lease.calls for lease in state.leases.values())
    obstacle = _obstacle(now, state, leased)
    if obstacle is not None:
        return _refuse(now, state, organisation, *obstacle)
    if not state.source_states_limits:
        calls = 1
    elif not state.windows:
        calls = UNMETERED_SLICE
    else:
        calls = _share(state, organisation, min(window.remaining for window in state.windows.values()) - leased)
    if calls <= 0:
        return _refuse(now, state, organisation, BUSY_SECONDS, "busy")
    return _lease(now, state, holder, organisation, calls)


def _obstacle(now: float, state: QuotaState, leased: int) -> tuple[float, str] | None:
    """Why there is no call to be had, and for how long."""
    if state.blocked_until > now:
        return state.blocked_until - now, "quota"
    if (seconds := errors_wait_seconds(now, state, ERRORS_MAX)) > 0:
        return seconds, "errors"
    empty = [window.ends_at - now for window in state.windows.values() if window.remaining <= 0]
    if empty:
        return max(empty), "quota"
    if leased and (
        not state.source_states_limits or any(window.remaining <= leased for window in state.windows.values())
    ):
        return BUSY_SECONDS, "busy"
    return None


def errors_wait_seconds(now: float, state: QuotaState, errors_max: int) -> float:
    """How long to leave the vendor alone because too many calls failed; 0 when it may be called."""
    return max(0.0, state.errors_until - now) if state.errors >= errors_max else 0.0


def stricter_reading(current: RateLimitReading | None, new: RateLimitReading) -> RateLimitReading:
    """Of two answers within one second: the later window, and in one window the smaller rest."""
    if current is None or new.ends_at > current.ends_at + SAME_WINDOW_SECONDS:
        return new
    return RateLimitReading(new.limit, min(current.remaining, new.remaining), min(current.ends_at, new.ends_at))


def _apply_reading(now: float, state: QuotaState, policy: str, reading: RateLimitReading) -> None:
    """A statement about a window that is known, or about its successor."""
    current = state.windows.get(policy)
    tolerance_seconds = max(current.seconds / 2, SAME_WINDOW_SECONDS) if current else 0.0
    if current is None or reading.ends_at > current.ends_at + tolerance_seconds:
        state.windows[policy] = Window(reading.limit, reading.remaining, reading.ends_at, reading.ends_at - now)
    elif reading.ends_at > current.ends_at - tolerance_seconds:
        current.remaining = min(current.remaining, reading.remaining)
        current.ends_at = min(current.ends_at, reading.ends_at)


def _remove_expired(now: float, state: QuotaState) -> None:
    """Leases of the dead, windows that are over, claims that nobody came back for."""
    for holder, lease in list(state.leases.items()):
        if lease.until <= now:
            state.source_states_limits = state.source_states_limits and lease.calls == 0
            del state.leases[holder]
    for policy, window in list(state.windows.items()):
        if window.ends_at <= now:
            del state.windows[policy]
            state.source_states_limits = False
            state.used.clear()
    state.waiting_organisations = {key: until for key, until in state.waiting_organisations.items() if until > now}
    if state.errors_until <= now:
        state.errors = 0


def _count_errors(now: float, state: QuotaState, errors: int) -> None:
    if state.errors_until <= now:
        state.errors, state.errors_until = 0, now + ERRORS_SECONDS
    state.errors += errors


def _share(state: QuotaState, organisation: int, left: int) -> int:
    """All of a small rest, at most a slice; less when another organisation wants its part of the same window."""
    own_key = str(organisation)
    leased: dict[str, int] = {}
    for lease in state.leases.values():
        leased[str(lease.organisation)] = leased.get(str(lease.organisation), 0) + lease.calls
    claimants = {own_key, *leased, *state.waiting_organisations}
    calls = min(left, SLICE_MAX)
    if len(claimants) > 1:
        total = left + sum(leased.values()) + sum(state.used.get(key, 0) for key in claimants)
        fair_calls = math.ceil(total / len(claimants)) - leased.get(own_key, 0) - state.used.get(own_key, 0)
        calls = min(calls, fair_calls)
    other_leases = sum(1 for lease in state.leases.values() if str(lease.organisation) == own_key)
    return min(calls, math.ceil(left / 2)) if other_leases else calls


def _lease(now: float, state: QuotaState, holder: str, organisation: int, calls: int) -> Allocation:
    in_flight = state.leases[holder].calls if holder in state.leases else 0
    state.leases[holder] = Lease(organisation, calls + in_flight, now + LEASE_SECONDS)
    state.waiting_organisations[str(organisation)] = now + MEMORY_SECONDS
    return Allocation(calls)


def _refuse(now: float, state: QuotaState, organisation: int, seconds: float, reason: str) -> Allocation:
    state.waiting_organisations[str(organisation)] = now + seconds + MEMORY_SECONDS
    return Allocation(0, seconds, reason)
