"""The arithmetic of quotas: the calls left for one company through one app registration, as a `QuotaState`.

Every worker reads and writes the same state, one after the other (`koppel.connections.rate_limits.limiter`).
A vendor counts calls in fixed windows (an hour, per company and client), and each response states how many
are left and when the window ends. From these readings calls are leased to workers in batches. No call may
ever be made over the quota; so

- when nothing is known, or a window is over, one call is leased, and its response
  gives the first reading. A vendor states its tightest window; others have
  no fewer calls left;
- calls that are leased and not yet reported count as made;
- of two readings of one window the smaller number and the earlier end
  hold, because answers overtake each other.

Times are seconds since 1970 by the database's clock: the clocks of machines may differ.
"""

import math
from enum import StrEnum

import msgspec

LEASE_SECONDS = 15.0
"""How long a worker's lease lasts after its last report; then it counts as dead."""
SLICE_MAX = 50
UNMETERED_SLICE = 500
ERRORS_MAX = 10
ERRORS_SECONDS = 60.0
BUSY_SECONDS = 0.5
"""How long to wait when other workers hold the calls that are left, until they report."""
SHARE_KEPT_SECONDS = 5.0
"""How long a share is kept for an organisation that got no calls, after its waiting time."""
SAME_WINDOW_SECONDS = 1.5
"""Two readings of one window may differ by a second of rounding and the network's time."""


class Window(msgspec.Struct):
    """One of the vendor's windows, as read from responses since it began."""

    limit: int
    """The calls of a whole window."""
    remaining: int
    """The calls that are left."""
    ends_at: float
    """By the clock of the database, as all moments here."""
    seconds: float
    """The longest time to its end that a response stated."""


class Lease(msgspec.Struct):
    """Calls that a worker may still make for an organisation."""

    organisation: int
    calls: int
    until: float
    """The end of the lease."""


class QuotaState(msgspec.Struct):
    """The stored state of a quota."""

    is_calibrated: bool = False
    """A response has arrived, and since then no window has ended and no worker has died: the windows can be
    trusted.
    """
    windows: dict[str, Window] = {}
    """By the name of the limit."""
    leases: dict[str, Lease] = {}
    """By worker."""
    waiting_organisations: dict[str, float] = {}
    """Until when a share is kept for an organisation, by organisation id."""
    used: dict[str, int] = {}
    """The calls that an organisation has made since a window began, by organisation id."""
    blocked_until: float = 0.0
    errors: int = 0
    errors_until: float = 0.0


class RateLimitReading(msgspec.Struct):
    """A limit as a response states it."""

    limit: int
    """The calls of a whole window."""
    remaining: int
    """The calls that are left until its end."""
    ends_at: float


class UsageReport(msgspec.Struct):
    """A worker's usage since its last report."""

    calls: int = 0
    """Calls that ended."""
    in_flight: int = 0
    """Calls that have not ended."""
    unstated: int = 0
    """Calls that ended without a response, or with one without a reading."""
    answered: bool = False
    """Whether at least one response was no server error, or had a reading."""
    errors: int = 0
    """Calls that failed or got a server error."""
    blocked_until: float = 0.0
    """The vendor refuses calls until then."""
    readings: dict[str, RateLimitReading] = {}
    done: bool = False
    """Whether the rest of the lease is returned."""


class AllocationReason(StrEnum):
    """The reasons why no call may be made."""

    BUSY = "busy"
    """Other workers hold the calls that are left."""
    ERRORS = "errors"
    """Too many calls failed."""
    QUOTA = "quota"
    """No calls are left in a window."""
    REQUESTED = "requested"
    """The vendor asked for a pause."""


class Allocation(msgspec.Struct):
    """The calls that a worker may make."""

    calls: int
    """0: it must wait."""
    wait_seconds: float = 0.0
    """How long to wait."""
    reason: AllocationReason | None = None


def apply_report(now: float, state: QuotaState, holder: str, organisation: int, usage: UsageReport) -> None:
    """Apply what a worker did to the state."""
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
    state.is_calibrated = state.is_calibrated or usage.answered
    state.blocked_until = max(state.blocked_until, usage.blocked_until)
    if usage.errors:
        _count_errors(now, state, usage.errors)


def allocate(now: float, state: QuotaState, holder: str, organisation: int) -> Allocation:
    """Lease a batch of calls to a worker, or say how long to wait.

    The holder's earlier lease must have been reported as done.
    """
    _remove_expired(now, state)
    leased = sum(lease.calls for lease in state.leases.values())
    obstacle = _blocked_for(now, state, leased)
    if obstacle is not None:
        return _refuse(now, state, organisation, *obstacle)
    if not state.is_calibrated:
        calls = 1
    elif not state.windows:
        calls = UNMETERED_SLICE
    else:
        calls = _share(
            state, organisation, min(window.remaining for window in state.windows.values()) - leased
        )
    if calls <= 0:
        return _refuse(now, state, organisation, BUSY_SECONDS, AllocationReason.BUSY)
    return _lease(now, state, holder, organisation, calls)


def _blocked_for(now: float, state: QuotaState, leased: int) -> tuple[float, AllocationReason] | None:
    """Return how many seconds no call is allowed, and why; None when calls are left."""
    if state.blocked_until > now:
        return state.blocked_until - now, AllocationReason.REQUESTED
    if (seconds := errors_wait_seconds(now, state, ERRORS_MAX)) > 0:
        return seconds, AllocationReason.ERRORS
    empty = [window.ends_at - now for window in state.windows.values() if window.remaining <= 0]
    if empty:
        return max(empty), AllocationReason.QUOTA
    if leased and (
        not state.is_calibrated or any(window.remaining <= leased for window in state.windows.values())
    ):
        return BUSY_SECONDS, AllocationReason.BUSY
    return None


def errors_wait_seconds(now: float, state: QuotaState, errors_max: int) -> float:
    """Return how long not to call the vendor because too many calls failed; 0 when it may be called."""
    return max(0.0, state.errors_until - now) if state.errors >= errors_max else 0.0


def stricter_reading(current: RateLimitReading | None, new: RateLimitReading) -> RateLimitReading:
    """Combine two readings of one policy: of two windows the later one, of one window the fewer calls and the
    earlier end.
    """
    if current is None or new.ends_at > current.ends_at + SAME_WINDOW_SECONDS:
        return new
    return RateLimitReading(
        limit=new.limit,
        remaining=min(current.remaining, new.remaining),
        ends_at=min(current.ends_at, new.ends_at),
    )


def _apply_reading(now: float, state: QuotaState, policy: str, reading: RateLimitReading) -> None:
    """Apply a reading to its window, or begin a new window with it."""
    current = state.windows.get(policy)
    tolerance_seconds = max(current.seconds / 2, SAME_WINDOW_SECONDS) if current else 0.0
    if current is None or reading.ends_at > current.ends_at + tolerance_seconds:
        state.windows[policy] = Window(
            limit=reading.limit,
            remaining=reading.remaining,
            ends_at=reading.ends_at,
            seconds=reading.ends_at - now,
        )
    elif reading.ends_at > current.ends_at - tolerance_seconds:
        current.remaining = min(current.remaining, reading.remaining)
        current.ends_at = min(current.ends_at, reading.ends_at)


def _remove_expired(now: float, state: QuotaState) -> None:
    """Remove expired leases, windows that are over, and shares that no organisation came back for."""
    for holder, lease in list(state.leases.items()):
        if lease.until <= now:
            state.is_calibrated = state.is_calibrated and lease.calls == 0
            del state.leases[holder]
    for policy, window in list(state.windows.items()):
        if window.ends_at <= now:
            del state.windows[policy]
            state.is_calibrated = False
            state.used.clear()
    state.waiting_organisations = {
        key: until for key, until in state.waiting_organisations.items() if until > now
    }
    if state.errors_until <= now:
        state.errors = 0


def _count_errors(now: float, state: QuotaState, errors: int) -> None:
    if state.errors_until <= now:
        state.errors, state.errors_until = 0, now + ERRORS_SECONDS
    state.errors += errors


def _share(state: QuotaState, organisation: int, left: int) -> int:
    """Return how many of the calls `left` an organisation gets: at most a batch, less when others share the
    window.
    """
    own_key = str(organisation)
    leased: dict[str, int] = {}
    for lease in state.leases.values():
        leased[str(lease.organisation)] = leased.get(str(lease.organisation), 0) + lease.calls
    sharing_organisations = {own_key, *leased, *state.waiting_organisations}
    calls = min(left, SLICE_MAX)
    if len(sharing_organisations) > 1:
        total = left + sum(leased.values()) + sum(state.used.get(key, 0) for key in sharing_organisations)
        fair_total = math.ceil(total / len(sharing_organisations))
        fair_calls = fair_total - leased.get(own_key, 0) - state.used.get(own_key, 0)
        calls = min(calls, fair_calls)
    return min(calls, math.ceil(left / 2)) if own_key in leased else calls


def _lease(now: float, state: QuotaState, holder: str, organisation: int, calls: int) -> Allocation:
    in_flight = state.leases[holder].calls if holder in state.leases else 0
    state.leases[holder] = Lease(
        organisation=organisation, calls=calls + in_flight, until=now + LEASE_SECONDS
    )
    state.waiting_organisations[str(organisation)] = now + SHARE_KEPT_SECONDS
    return Allocation(calls=calls)


def _refuse(
    now: float, state: QuotaState, organisation: int, seconds: float, reason: AllocationReason
) -> Allocation:
    state.waiting_organisations[str(organisation)] = now + seconds + SHARE_KEPT_SECONDS
    return Allocation(calls=0, wait_seconds=seconds, reason=reason)
