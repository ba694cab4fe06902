"""A consent that was withdrawn, with 50 administrations of eight resources due
at two workers: one failing call, one notice.

Counted are all calls that the vendor refused, at the token endpoint and the API, from the withdrawal until
ten seconds after the connection says that a person must sign in. The same is told for a consent whose access
token had not ended yet: then each worker may make one call that is refused, and the vault one more.
"""

import time
from typing import Any

from bench._mock_tenants import NO_OPEN_RUNS, Fleet, MockTenant, fleet

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
    with fleet(companies=ADMINISTRATIONS, lines=40) as mock:
        return [
            *_run_with_withdrawn_consent(mock, "expired", expired=True),
            *_run_with_withdrawn_consent(mock, "live", expired=False),
        ]


def _run_with_withdrawn_consent(mock: Fleet, name: str, *, expired: bool) -> list[dict[str, Any]]:
    firm = mock.firm(f"kantoor-{name}", resources=RESOURCES)
    with mock.workers(WORKERS):
        mock.sandbox.control("revoke", {})
        if expired:
            mock.execute(
                f"UPDATE connections_grant SET expires_at = now() WHERE connection_id = {firm.connection_id}"
            )
        mock.sandbox.forget_calls()
        firm.import_all()
        seconds = mock.wait(
            f"SELECT state = 'needs_reauth' FROM connections_connection WHERE id = {firm.connection_id}",
            60,
            interval_seconds=0.05,
        )
        mock.wait(NO_OPEN_RUNS, 120)
        time.sleep(10)
        refused = [call for call in mock.sandbox.calls() if call["status"] >= 400]
    figures = [
        _figure("failing calls", len(refused), "calls", 1 if expired else WORKERS + 1),
        _figure("seconds until the connection says so", round(seconds, 2), "s", 5),
        *(_figure(what, mock.value(question), what, 1) for what, question in _reasons(firm).items()),
    ]
    return [{**figure, "name": f"access token {name}: {figure['name']}"} for figure in figures]


def _reasons(firm: MockTenant) -> dict[str, str]:
    at = firm.connection_id
    return {
        "notices": f"SELECT count(*) FROM notifications_notification WHERE link LIKE '/connections/{at}/%'",
        "issues": f"SELECT count(*) FROM issues_issue WHERE code = 'consent_lost' AND subject_id = {at}",
    }


def _figure(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value <= to_reach}
