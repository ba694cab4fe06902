"""Twenty companies with a quota of 60 calls a minute and 500 an hour each, and ten workers.

There is more to read than the quotas allow. The sandbox's windows are scaled: an hour lasts five minutes, a
minute five seconds; KOPPEL_BENCH_HOUR_SECONDS sets another scale. The vendor's counts are evaluated, in the
first two hours of each company; an hour begins with its first call. Two organisations share the workers: one
has 15 of the companies, one 5.
"""

import os
import time
from collections import Counter
from typing import Any

from bench._mock_tenants import BenchmarkEnvironment, MockTenant, benchmark_environment

HOUR_SECONDS = float(os.environ.get("KOPPEL_BENCH_HOUR_SECONDS", "300"))
COMPANIES, WORKERS = 20, 10
PER_MINUTE, PER_HOUR = 60, 500
HOURS = 2
USED_MIN, SHARE_MAX = 95, 10


def run() -> list[dict[str, Any]]:
    with benchmark_environment(companies=COMPANIES, lines=200) as environment:
        small, large = environment.add_tenant("Small"), environment.add_tenant("Large")
        ids_by_tenant = {
            small: small.import_all(first=0, last=5),
            large: large.import_all(first=5, last=COMPANIES),
        }
        quotas = {
            "1-fixed-window": [PER_MINUTE, HOUR_SECONDS / 60],
            "4-fixed-window": [PER_HOUR, HOUR_SECONDS],
        }
        environment.sandbox.control("settings", {"quotas": quotas})
        environment.sandbox.forget_calls()
        with environment.workers(WORKERS, "--concurrency", "5"):
            _keep_requesting_syncs(environment, ids_by_tenant, seconds=HOUR_SECONDS * (HOURS - 0.3))
        return _figures(environment.sandbox.calls("/v"))


def _keep_requesting_syncs(
    environment: BenchmarkEnvironment, ids_by_tenant: dict[MockTenant, list[int]], seconds: float
) -> None:
    """Request a full read again whenever an administration has finished one."""
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        for tenant, ids in ids_by_tenant.items():
            tenant.sync(ids, full=True)
        time.sleep(0.5)
    environment.execute("UPDATE sync_run SET not_before = 'infinity' WHERE state = 'queued'")


def _figures(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    over = sum(1 for one in calls if one["status"] == 429)
    used = Counter(one["company"] for one in calls if one["company"] is not None and one["status"] != 401)
    possible = PER_HOUR * HOURS
    share = sum(used.values()) / COMPANIES
    apart = (
        max(abs(used[company] - share) / share * 100 for company in used) if len(used) == COMPANIES else 100.0
    )
    percent = 100 * sum(used.values()) / (possible * COMPANIES)
    return [
        {"name": "calls over quota", "value": over, "unit": "calls", "to_reach": 0, "holds": over == 0},
        {
            "name": "of the quota used",
            "value": round(percent, 2),
            "unit": "%",
            "to_reach": USED_MIN,
            "holds": percent >= USED_MIN,
        },
        {
            "name": "furthest a company is from its share",
            "value": round(apart, 2),
            "unit": "%",
            "to_reach": SHARE_MAX,
            "holds": apart <= SHARE_MAX,
        },
        {"name": "calls allowed", "value": sum(used.values()) - over, "unit": "calls"},
    ]
