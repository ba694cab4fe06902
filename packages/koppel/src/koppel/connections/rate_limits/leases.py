"""The calls that one process has leased, and its unreported usage: bookkeeping without clock and database.

Times are of the caller's monotonic clock, also those in reports; `quota_store` converts them to the
database's.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from koppel.connections.rate_limits.quota import (
    LEASE_SECONDS,
    Allocation,
    RateLimitReading,
    UsageReport,
    stricter_reading,
)
from koppel.connector.contract import RateLimitStatus
from koppel.kit.http.retry_after import PAUSE_SECONDS_MAX

IDLE_SECONDS = 2.0
"""How long a lease may be unused before it is given back."""
RENEW_SECONDS = 5.0
USABLE_SECONDS = LEASE_SECONDS - 5
"""Stop using a lease well before its end: a report may be late, a clock uneven."""
SERVER_ERROR = 500
SECONDS_MAX = 86_400.0
"""The end of a window that a vendor states counts for a day at most: an absurd number must not block a
company for ever.
"""


@dataclass(frozen=True, order=True)
class QuotaKey:
    """Whose calls a quota counts."""

    app_id: int
    subject: str
    """What the vendor counts calls for, stored as text; made by the constructors below."""

    @classmethod
    def for_company(cls, app_id: int, company_id: str) -> "QuotaKey":
        """Return the quota of one company, named by its id at the vendor."""
        return cls(app_id, company_id)

    @classmethod
    def for_listing(cls, app_id: int, grant_id: int) -> "QuotaKey":
        """Return the quota of the calls that list the companies of a grant."""
        return cls(app_id, f"companies of grant {grant_id}")

    @classmethod
    def for_app(cls, app_id: int) -> "QuotaKey":
        """Return the quota of the app registration as a whole."""
        return cls(app_id, "")


class LeaseKey(NamedTuple):
    """Calls are leased to a process for one quota and organisation."""

    quota: QuotaKey
    organisation_id: int


@dataclass
class LocalLease:
    """The calls that this process may make."""

    left: int = 0
    """Calls that may begin before `usable_until`."""
    usable_until: float = 0.0
    in_flight: int = 0
    """Calls that have begun and not ended."""
    used_at: float = 0.0
    reported_at: float = 0.0
    usage: UsageReport = field(default_factory=UsageReport)
    """What is not reported yet."""
    call_ended: asyncio.Event = field(default_factory=asyncio.Event)


class LeaseCache:
    """The leases of one process. A report that could not be stored is put back by `restore`."""

    def __init__(self) -> None:
        self._leases: dict[LeaseKey, LocalLease] = {}

    def __getitem__(self, key: LeaseKey) -> LocalLease:
        return self._leases.setdefault(key, LocalLease())

    def keys(self) -> list[LeaseKey]:
        return list(self._leases)

    def take_call(self, key: LeaseKey, now: float) -> bool:
        """Begin a leased call. Returns False when none is left, or the lease has expired."""
        lease = self[key]
        lease.used_at = now
        if lease.left <= 0 or now >= lease.usable_until:
            return False
        lease.left -= 1
        lease.in_flight += 1
        return True

    def record_response(
        self, key: LeaseKey, status: int, limits: Sequence[RateLimitStatus], now: float
    ) -> None:
        """Count a call that was answered, with whatever status, and keep what the response states about the
        limits.
        """
        usage = self._end_call(key, now).usage
        for limit in limits:
            reading = RateLimitReading(
                limit=limit.limit,
                remaining=limit.remaining,
                ends_at=now + min(limit.reset_seconds, SECONDS_MAX),
            )
            usage.readings[limit.policy] = stricter_reading(usage.readings.get(limit.policy), reading)
        usage.unstated += not limits
        usage.errors += status >= SERVER_ERROR
        usage.answered |= status < SERVER_ERROR or bool(limits)

    def block(self, key: LeaseKey, seconds: float, now: float) -> None:
        """Begin no calls for `seconds`, as the vendor asked."""
        usage = self[key].usage
        self[key].left = 0
        usage.blocked_until = max(usage.blocked_until, now + min(seconds, PAUSE_SECONDS_MAX))

    def record_failure(self, key: LeaseKey, now: float, *, cancelled_by_us: bool) -> None:
        """Count a call that ended without a response.

        `cancelled_by_us`: it counts as no error of the vendor.
        """
        usage = self._end_call(key, now).usage
        usage.unstated += 1
        usage.errors += not cancelled_by_us

    def due_reports(self, now: float) -> tuple[list[LeaseKey], list[LeaseKey]]:
        """Return the idle leases, to be returned, and the used leases that must be reported or renewed."""
        idle, active = [], []
        for key, lease in self._leases.items():
            if now - lease.used_at > IDLE_SECONDS and not lease.in_flight:
                idle.append(key)
            elif lease.usage.calls or now - lease.reported_at > RENEW_SECONDS:
                active.append(key)
        return idle, active

    def take_report(self, key: LeaseKey, now: float, *, done: bool) -> UsageReport:
        """Return the usage since the last report. `done`: the calls that are left are given back."""
        lease = self[key]
        report, lease.usage = lease.usage, UsageReport()
        report.done, report.in_flight = done, lease.in_flight
        lease.reported_at = now
        if done:
            lease.left = 0
        return report

    def restore(self, key: LeaseKey, report: UsageReport) -> None:
        """Put back a report that was not stored, so that the next one includes it."""
        newer = self[key].usage
        newer.calls += report.calls
        newer.unstated += report.unstated
        newer.errors += report.errors
        newer.answered |= report.answered
        newer.blocked_until = max(newer.blocked_until, report.blocked_until)
        newer.readings = {**report.readings, **newer.readings}

    def extend(self, key: LeaseKey) -> None:
        """Use the lease longer, because its report was stored."""
        self[key].usable_until = self[key].reported_at + USABLE_SECONDS

    def fill(self, key: LeaseKey, allocation: Allocation, now: float) -> None:
        self[key].left = allocation.calls
        self[key].used_at = now  # its caller uses it in a moment

    def drop_unused(self, key: LeaseKey) -> None:
        """Remove a returned lease, unless calls were made in the meantime."""
        lease = self[key]
        if not lease.in_flight and not lease.usage.calls:
            del self._leases[key]

    def _end_call(self, key: LeaseKey, now: float) -> LocalLease:
        lease = self[key]
        lease.in_flight = max(0, lease.in_flight - 1)
        lease.usage.calls += 1
        lease.used_at = now
        lease.call_ended.set()
        return lease
