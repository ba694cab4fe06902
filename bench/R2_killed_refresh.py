"""`kill -9` at every step of a refresh, with and without the vendor's grace period.

A process is stopped with twenty grants at one step and killed; another one requests all tokens. Each grant is
recovered, or is lost with the reason after at most one failed call. Without a grace period a token is lost
only if the vendor had used it up.
"""

from typing import Any

from bench._app import BenchApp, bench_app
from tests.fixtures.stack import CLIENTS

CLIENT = CLIENTS["company_list"]
GRANTS_PER_STEP = 20
USED_UP = ("called", "answered")


def run() -> list[dict[str, Any]]:
    with bench_app(companies=1, lines=20) as app:
        return [*_killed(app, 30), *_killed(app, 0)]


def _killed(bench: BenchApp, grace_seconds: int) -> list[dict[str, Any]]:
    from tests.vault.factories import connection_of, create_grants
    from tests.vault.processes import kill_at, programs
    from tests.vault.worker_program import STEPS

    bench.sandbox.client(CLIENT, grace_seconds=grace_seconds, token_seconds=0)
    admin, app = bench.connected.actor, bench.connected.app
    grants_by_step = {
        step: create_grants(bench.sandbox, connection_of(admin, app, step), GRANTS_PER_STEP) for step in STEPS
    }
    kill_at(grants_by_step, bench.sandbox)
    everything = [grant for grants in grants_by_step.values() for grant in grants]
    with programs(1, everything) as (survivor,):
        survivor.go()
        answers = {answer["grant"]: answer for answer in survivor.read_until_done() if "grant" in answer}
    families = bench.sandbox.control("tokens?families=1")["families"]
    silent = unexpected = 0
    for step, grants in grants_by_step.items():
        expected = "answer_lost" if grace_seconds == 0 and step in USED_UP else "token"
        for grant in grants:
            outcome, row = answers[grant.grant_id].get("error", "token"), grant.row()
            unexpected += outcome != expected
            tells = row.invalid_code == "answer_lost" and row.connection.state == "needs_reauth"
            silent += outcome != "token" and not tells
    name = f"{len(everything)} grants killed at {len(STEPS)} steps, grace period {grace_seconds} s"
    recovered = sum("token" in answer for answer in answers.values())
    return [
        {"name": f"{name}: recovered", "value": recovered, "unit": "grants"},
        _none(f"{name}: lost without the reason on the connection", silent, "grants"),
        _none(f"{name}: recovered where lost was expected, or the other way round", unexpected, "grants"),
        _most(
            f"{name}: failed calls, most of any grant",
            max(families[grant.family]["refused_count"] for grant in everything),
        ),
    ]


def _none(name: str, value: int, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": 0, "holds": value == 0}


def _most(name: str, value: int) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "calls", "to_reach": 1, "holds": value <= 1}
