"""The quotas in PostgreSQL. The reports and requests of a process are applied in one transaction, on locked
rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from koppel.connections.rate_limits import quota
from koppel.connections.rate_limits.leases import LeaseKey, QuotaKey
from koppel.connections.rate_limits.quota import (
    Allocation,
    AllocationReason,
    QuotaState,
    RateLimitReading,
    UsageReport,
)
from koppel.kit.database.pool import Database, DatabaseConnection
from koppel.kit.database.sql_files import load_statements

APP_ERRORS_MAX = 60
"""The failed calls in a minute through one app registration, over all companies, from which the vendor counts
as down.
"""

_SQL = load_statements("koppel.connections")
_decode = msgspec.json.Decoder(QuotaState)


class QuotaStore:
    """The stored quotas. `process_name` identifies the leases of this process."""

    def __init__(self, database: Database, process_name: str) -> None:
        self._database, self._process_name = database, process_name

    async def settle(
        self, reports: Mapping[LeaseKey, UsageReport], requested: Collection[LeaseKey], reported_at: float
    ) -> dict[LeaseKey, Allocation]:
        """Apply the reports, then allocate calls to the waiting leases. `reported_at`: now, by the clock of
        the reports.
        """
        async with self._database.installation_transaction() as database_connection:
            states = await _lock(database_connection, _quota_keys(reports))
            for key, report in reports.items():
                self._apply(states, key, _with_database_time(report, states.now - reported_at))
            allocations = {key: self._allocate(states, key) for key in sorted(requested)}
            await _write(database_connection, states.by_quota)
        return allocations

    def _apply(self, states: "_LockedStates", key: LeaseKey, report: UsageReport) -> None:
        holder = self._holder(key)
        quota.apply_report(states.now, states.by_quota[key.quota], holder, key.organisation_id, report)
        if report.errors:
            app = states.by_quota[QuotaKey.for_app(key.quota.app_id)]
            quota.apply_report(states.now, app, "", 0, UsageReport(errors=report.errors))

    def _allocate(self, states: "_LockedStates", key: LeaseKey) -> Allocation:
        if seconds := states.app_waits.get(key.quota.app_id, 0.0):
            return Allocation(calls=0, wait_seconds=seconds, reason=AllocationReason.ERRORS)
        return quota.allocate(states.now, states.by_quota[key.quota], self._holder(key), key.organisation_id)

    def _holder(self, key: LeaseKey) -> str:
        return f"{self._process_name}:{key.organisation_id}"


@dataclass(frozen=True, kw_only=True)
class _LockedStates:
    """States as read."""

    by_quota: Mapping[QuotaKey, QuotaState]
    app_waits: Mapping[int, float]
    """How many seconds to leave app registrations with too many failed calls alone; the others are not in it.
    """
    now: float
    """By the database's clock."""


def _quota_keys(reports: Mapping[LeaseKey, UsageReport]) -> set[QuotaKey]:
    """Return the quotas of the reports, and those of the app registrations through which calls failed."""
    failing_apps = {QuotaKey.for_app(key.quota.app_id) for key, report in reports.items() if report.errors}
    return {key.quota for key in reports} | failing_apps


async def _lock(database_connection: DatabaseConnection, keys: Iterable[QuotaKey]) -> _LockedStates:
    """Lock the rows in a fixed order, and add what is missing."""
    requested = sorted(keys)
    columns = _key_columns(requested)
    rows = await (await database_connection.execute(_SQL["lock_quotas"], columns)).fetchall()
    if len(rows) < len(requested):
        await database_connection.execute(_SQL["add_quotas"], columns)
        rows = await (await database_connection.execute(_SQL["lock_quotas"], columns)).fetchall()
    now = rows[-1][4]
    states = {QuotaKey(app_id, company): _decode.decode(state) for app_id, company, state, *_rest in rows}
    apps = {app_id: _decode.decode(app) for app_id, _company, _state, app, _now in rows if app}
    waits = {app_id: quota.errors_wait_seconds(now, app, APP_ERRORS_MAX) for app_id, app in apps.items()}
    return _LockedStates(
        by_quota=states,
        app_waits={app_id: seconds for app_id, seconds in waits.items() if seconds > 0},
        now=now,
    )


async def _write(database_connection: DatabaseConnection, states: Mapping[QuotaKey, QuotaState]) -> None:
    keys = list(states)
    texts = [msgspec.json.encode(states[key]).decode() for key in keys]
    await database_connection.execute(_SQL["store_quotas"], {**_key_columns(keys), "states": texts})


def _key_columns(keys: Sequence[QuotaKey]) -> dict[str, list[Any]]:
    return {"app_ids": [key.app_id for key in keys], "companies": [key.subject for key in keys]}


def _with_database_time(report: UsageReport, offset: float) -> UsageReport:
    """Convert the report's times to the database's clock. The offset makes ends late rather than early."""
    readings = {
        policy: RateLimitReading(
            limit=reading.limit, remaining=reading.remaining, ends_at=reading.ends_at + offset
        )
        for policy, reading in report.readings.items()
    }
    blocked_until = report.blocked_until + offset if report.blocked_until else 0.0
    return msgspec.structs.replace(report, readings=readings, blocked_until=blocked_until)
