"""A withdrawn consent with 50 due administrations and two workers: one failing call, one notification.

Counts all calls that the vendor refused, at the token endpoint and the API, from the withdrawal until ten
seconds after the connection requires a new sign-in. Measured again for a consent whose access token had not
expired: then each worker may make one refused call, and the vault one more.
"""

import time
from typing import Any

from bench._mock_tenants import NO_OPEN_RUNS, BenchmarkEnvironment, MockTenant, benchmark_environment

ADMINISTRATIONS, WORKERS = 50, 2
RESOURCES = [
    "company_details",
    "periods",
    "accounts",
    "vat_codes",
    "journals",
    "contacts",
    "balances",
    "entries",
]


def run() -> list[dict[str, Any]]:
    with benchmark_environment(companies=ADMINISTRATIONS, lines=40) as environment:
        return [
            *_run_with_withdrawn_consent(environment, "expired", expired=True),
            *_run_with_withdrawn_consent(environment, "live", expired=False),
        ]


def _run_with_withdrawn_consent(
    environment: BenchmarkEnvironment, name: str, *, expired: bool
) -> list[dict[str, Any]]:
    tenant = environment.add_tenant(f"kantoor-{name}", resources=RESOURCES)
    with environment.workers(WORKERS):
        environment.sandbox.control("revoke", {})
        if expired:
            environment.execute(
                "UPDATE connections_grant SET expires_at = now()"
                f" WHERE connection_id = {tenant.connection_id}"
            )
        environment.sandbox.forget_calls()
        tenant.import_all()
        seconds = environment.wait(
            f"SELECT state = 'needs_reauth' FROM connections_connection WHERE id = {tenant.connection_id}",
            60,
            interval_seconds=0.05,
        )
        environment.wait(NO_OPEN_RUNS, 120)
        time.sleep(10)
        refused = [call for call in environment.sandbox.calls() if call["status"] >= 400]
    figures = [
        _figure("failing calls", len(refused), "calls", 1 if expired else WORKERS + 1),
        _figure("seconds until the connection says so", round(seconds, 2), "s", 5),
        *(_figure(what, environment.value(question), what, 1) for what, question in _reasons(tenant).items()),
    ]
    return [{**figure, "name": f"access token {name}: {figure['name']}"} for figure in figures]


def _reasons(tenant: MockTenant) -> dict[str, str]:
    at = tenant.connection_id
    return {
        "notices": f"SELECT count(*) FROM notifications_notification WHERE link LIKE '/connections/{at}/%'",
        "issues": f"SELECT count(*) FROM issues_issue WHERE code = 'consent_lost' AND subject_id = {at}",
    }


def _figure(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value <= to_reach}
