"""Sixteen processes request the same tokens at once: exactly one call renews each grant.

First 1,000 grants that expire together, twice, with a token endpoint that takes 300 ms; then 100 grants while
it takes 15 s. There is no grace period: a second call for the same token would revoke its family. All 16
processes must end up with the same tokens.
"""

from collections import Counter
from typing import Any

from bench._app import BenchApp, bench_app
from tests.fixtures.stack import CLIENTS

CLIENT = CLIENTS["company_list"]
PROCESSES = 16


def run() -> list[dict[str, Any]]:
    with bench_app(companies=1, lines=20) as app:
        return [
            *_together(app, "300 ms", 0.3, grants=1000, expiries=2),
            *_together(app, "15 s", 15, grants=100, expiries=1),
        ]


def _together(
    app: BenchApp, words: str, token_seconds: float, *, grants: int, expiries: int
) -> list[dict[str, Any]]:
    from tests.vault.factories import create_grants, expire
    from tests.vault.processes import programs

    app.sandbox.client(CLIENT, grace_seconds=0, token_seconds=token_seconds)
    granted = create_grants(app.sandbox, app.connected.connection, grants)
    before = app.sandbox.control("tokens")
    seconds, differing = 0.0, 0
    errors: Counter[str] = Counter()
    with programs(PROCESSES, granted, briefly=True, connections=4) as started:
        for _round in range(expiries):
            expire(granted)
            for process in started:
                process.go()
            answers_by_process = [process.read_until_done() for process in started]
            seconds = max(seconds, *(answers[-1]["seconds"] for answers in answers_by_process))
            differing += len({answers[0]["tokens"] for answers in answers_by_process}) - 1
            for answers in answers_by_process:
                errors.update(answers[0]["errors"])
    after = app.sandbox.control("tokens?families=1")
    refreshes = [after["families"][grant.family]["refreshes"] for grant in granted]
    refused = after["refusals"].get("invalid_grant", 0) - before["refusals"].get("invalid_grant", 0)
    name = f"token endpoint {words}, {PROCESSES} processes × {grants} grants"
    return [
        _figure(f"{name}: token calls per expiry, most of any grant", max(refreshes) / expiries, "calls", 1),
        _figure(
            f"{name}: token calls per expiry, fewest of any grant", min(refreshes) / expiries, "calls", 1
        ),
        _figure(f"{name}: invalid_grant", refused, "answers", 0),
        _figure(f"{name}: revoked families", after["revoked"] - before["revoked"], "families", 0),
        _figure(f"{name}: callers without a token", errors.total(), "callers", 0),
        _figure(f"{name}: processes with another token than the rest", differing, "processes", 0),
        {"name": f"{name}: until the last caller has its token", "value": round(seconds, 1), "unit": "s"},
    ]


def _figure(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value == to_reach}
