"""The cost of a scheduled night for 1,000 administrations of eight resources without changes.

KOPPEL_BENCH_COMPANIES reduces their number for a quick run; the target is for 1,000.
"""

import os
from typing import Any

from bench._mock_tenants import NO_OPEN_RUNS, BenchmarkEnvironment, MockTenant, benchmark_environment

COMPANIES = int(os.environ.get("KOPPEL_BENCH_COMPANIES", "1000"))
LATENCY_SECONDS = 0.05
SECONDS_MAX, GOAL_SECONDS = 60, 30
RESOURCES = ["periods", "accounts", "vat_codes", "journals", "projects", "contacts", "balances", "entries"]


def run() -> list[dict[str, Any]]:
    with benchmark_environment(companies=COMPANIES, lines=40) as environment:
        tenant = environment.add_tenant("Night", resources=RESOURCES, fiscal_years_back=0)
        tenant.import_all()
        with environment.workers(2):
            first = environment.wait(NO_OPEN_RUNS, 1800)
            _at_rest(environment)
            return [
                {"name": "first import of all, no latency", "value": round(first, 1), "unit": "s"},
                *_nothing_changed(environment, tenant),
            ]


def _at_rest(environment: BenchmarkEnvironment) -> None:
    states = environment.value("SELECT string_agg(DISTINCT state || reason, ', ') FROM sync_run")
    if states != "succeeded":
        raise RuntimeError(f"The first import did not succeed everywhere: {states}")
    environment.execute("UPDATE sync_run SET created_at = now() - interval '2 days'")
    environment.execute("VACUUM ANALYZE")
    environment.sandbox.control("settings", {"latency_seconds": LATENCY_SECONDS})
    environment.sandbox.forget_calls()


def _nothing_changed(environment: BenchmarkEnvironment, tenant: MockTenant) -> list[dict[str, Any]]:
    from koppel.sync.runs.services import request_due_runs

    written = environment.rows_written()
    request_due_runs()  # or a worker's own schedule, if it is first
    seconds = environment.wait(NO_OPEN_RUNS, 900)
    scheduled = environment.value("SELECT count(*) FROM sync_run WHERE trigger = 'schedule'")
    calls = environment.sandbox.calls("/v")
    endpoints = len({one["path"].lower() for one in calls})
    second_night = environment.value(
        "SELECT count(*) FROM sync_run WHERE trigger = 'schedule' AND state <> 'succeeded'"
    )
    if scheduled != COMPANIES or second_night:
        raise RuntimeError(f"{scheduled} runs were scheduled, {second_night} did not succeed.")
    requests = len(calls) / COMPANIES
    return [
        _at_most(
            f"{COMPANIES} administrations, nothing changed, two workers", round(seconds, 1), "s", SECONDS_MAX
        ),
        _at_most("rows written in the books", environment.rows_written() - written, "rows", 0),
        _at_most(
            "requests per administration; to reach: the endpoints that are read",
            round(requests, 2),
            "requests",
            endpoints,
        ),
    ]


def _at_most(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value <= to_reach}
