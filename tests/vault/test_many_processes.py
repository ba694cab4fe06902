"""One owner for every token: many real processes at once, and killed at every step of a refresh."""

from collections import Counter
from typing import Any

import pytest

from koppel.connections.models import ConnectionEvent
from koppel.issues.models import Issue
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import Notice
from tests.fixtures.stack import CLIENTS, Sandbox, register_app
from tests.vault.factories import Given, connection_of, give
from tests.vault.processes import die_at, programs
from tests.vault.worker_program import STEPS

CLIENT = CLIENTS["company_list"]
LONG = 3600
"""A grace period that no slow machine outlasts."""
LOST_WITHOUT_GRACE = ("called", "answered")
"""Steps at which the vendor has used up the old token and the new one is in the dead process alone."""


@pytest.fixture
def app(clean_database: None, sandbox: Sandbox) -> Any:
    return register_app(sandbox)


def counts(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.control("tokens?families=1")
    return found


def test_four_processes_want_the_same_hundred_tokens_and_each_is_asked_for_once(
    sandbox: Sandbox, app: Any, actor: Any
) -> None:
    sandbox.client(CLIENT, grace_seconds=0, token_seconds=0.3)
    given = give(sandbox, connection_of(actor(), app), 100)
    with programs(4, given) as started:
        for one in started:
            one.go()
        answers = [one.read_until_done() for one in started]
    tokens = [{one["grant"]: one["token"] for one in found if "grant" in one} for found in answers]
    assert all(found == tokens[0] for found in tokens), "Some process got another token."
    asked = counts(sandbox)
    assert {one["refreshes"] for one in asked["families"].values()} == {1}
    assert (asked["calls"], asked["refusals"], asked["revoked"]) == ({"refresh_token": 100}, {}, 0)


@pytest.mark.kill
@pytest.mark.parametrize("grace_seconds", [LONG, 0], ids=["with grace", "without grace"])
def test_killed_at_every_step_a_refresh_is_recovered_or_lost_with_its_reason(
    sandbox: Sandbox, app: Any, actor: Any, grace_seconds: int
) -> None:
    """One process per step is killed there. Then another one wants all tokens."""
    boss = actor()
    sandbox.client(CLIENT, grace_seconds=grace_seconds, token_seconds=0)
    given = {step: give(sandbox, connection_of(boss, app, step))[0] for step in STEPS}
    for step, one in given.items():
        die_at(step, sandbox, [one])
    with programs(1, list(given.values())) as (survivor,):
        survivor.go()
        found = {one["grant"]: one for one in survivor.read_until_done() if "grant" in one}
    lost = LOST_WITHOUT_GRACE if grace_seconds == 0 else ()
    outcome = {step: found[one.grant_id].get("error", "token") for step, one in given.items()}
    assert outcome == {step: "answer_lost" if step in lost else "token" for step in STEPS}
    families = counts(sandbox)["families"]
    assert {step: families[one.family]["refused"] for step, one in given.items()} == {
        step: int(step in lost) for step in STEPS
    }
    for step, one in given.items():
        assert _state(one) == (("needs_reauth", 1, 1, 1) if step in lost else ("active", 0, 0, 0)), step
        if step in lost:
            assert "interrupted" in one.row().connection.reason


def _state(one: Given) -> tuple[str, int, int, int]:
    """The connection's state, and how many issues, notices and lines of the timeline tell about its loss."""
    row = one.row()
    with organisation_scope(one.organisation_id):
        return (
            str(row.connection.state),
            Issue.objects.filter(code="consent_lost", subject_id=one.connection_id, resolved_at=None).count(),
            Notice.objects.filter(event="connection_lost", link__contains=f"/{one.connection_id}/").count(),
            ConnectionEvent.objects.filter(connection_id=one.connection_id, kind="lost").count(),
        )


def test_a_dead_grant_costs_one_failing_call_however_many_ask(sandbox: Sandbox, app: Any, actor: Any) -> None:
    given = give(sandbox, connection_of(actor(), app))
    sandbox.control("revoke", {"family": given[0].family})
    with programs(3, given * 20) as started:
        for one in started:
            one.go()
        errors = Counter(answer["error"] for one in started for answer in one.read_until_done() if "error" in answer)
    assert errors == {"invalid_grant": 60}
    assert counts(sandbox)["refusals"] == {"invalid_grant": 1}
    assert _state(given[0]) == ("needs_reauth", 1, 1, 1)
