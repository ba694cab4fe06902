"""`kill -9` at every step between the intent and the stored answer, with and without the vendor's grace period.

A process is stopped with twenty grants at one step and killed; another wants all tokens. Each grant is recovered, or is lost
with the reason after at most one failed call. Without a grace period a token is lost only where the vendor had used it up.
"""

from typing import Any

from bench._app import Stand, stand
from tests.fixtures.stack import CLIENTS

CLIENT = CLIENTS["company_list"]
GRANTS_PER_STEP = 20
USED_UP = ("called", "answered")


def run() -> list[dict[str, Any]]:
    with stand(companies=1, lines=20) as one:
        return [*_killed(one, 30), *_killed(one, 0)]


def _killed(one: Stand, grace_seconds: int) -> list[dict[str, Any]]:
    from tests.vault.factories import connection_of, give
    from tests.vault.processes import die_at, programs
    from tests.vault.worker_program import STEPS

    one.sandbox.client(CLIENT, grace_seconds=grace_seconds, token_seconds=0)
    boss, app = one.connected.actor, one.connected.app
    given = {step: give(one.sandbox, connection_of(boss, app, step), GRANTS_PER_STEP) for step in STEPS}
    for step, grants in given.items():
        die_at(step, one.sandbox, grants)
    everything = [each for grants in given.values() for each in grants]
    with programs(1, everything) as (survivor,):
        survivor.go()
        found = {answer["grant"]: answer for answer in survivor.read_until_done() if "grant" in answer}
    families = one.sandbox.control("tokens?families=1")["families"]
    silent = unexpected = 0
    for step, grants in given.items():
        expected = "answer_lost" if grace_seconds == 0 and step in USED_UP else "token"
        for each in grants:
            outcome, row = found[each.grant_id].get("error", "token"), each.row()
            unexpected += outcome != expected
            tells = row.lost_reason.startswith("answer_lost") and row.connection.state == "needs_reauth"
            silent += outcome != "token" and not tells
    name = f"{len(everything)} grants killed at {len(STEPS)} steps, grace period {grace_seconds} s"
    recovered = sum("token" in answer for answer in found.values())
    return [
        {"name": f"{name}: recovered", "value": recovered, "unit": "grants"},
        _none(f"{name}: lost without the reason on the connection", silent, "grants"),
        _none(f"{name}: recovered where lost was expected, or the other way round", unexpected, "grants"),
        _most(f"{name}: failed calls, most of any grant", max(families[each.family]["refused"] for each in everything)),
    ]


def _none(name: str, value: int, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": 0, "holds": value == 0}


def _most(name: str, value: int) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": "calls", "to_reach": 1, "holds": value <= 1}
