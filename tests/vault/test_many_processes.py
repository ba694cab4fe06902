"""One refresh per token: many real processes at once, killed at every step."""

from collections import Counter
from typing import Any

import pytest

from koppel.connections.models import TimelineEvent
from koppel.issues.models import Issue
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import Notification
from tests.fixtures.stack import CLIENTS, Sandbox, register_app
from tests.vault.factories import GrantedAccess, connection_of, create_grants
from tests.vault.processes import kill_at, programs
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
    summary: dict[str, Any] = sandbox.control("tokens?families=1")
    return summary


def test_four_processes_refresh_each_of_a_hundred_tokens_once(sandbox: Sandbox, app: Any, actor: Any) -> None:
    sandbox.client(CLIENT, grace_seconds=0, token_seconds=0.3)
    granted = create_grants(sandbox, connection_of(actor(), app), 100)
    with programs(4, granted) as started:
        for program in started:
            program.go()
        answers = [program.read_until_done() for program in started]
    tokens = [
        {program["grant"]: program["token"] for program in by_grant if "grant" in program}
        for by_grant in answers
    ]
    assert all(by_grant == tokens[0] for by_grant in tokens), "Some process got another token."
    summary = counts(sandbox)
    assert {program["refreshes"] for program in summary["families"].values()} == {1}
    assert (summary["calls"], summary["refusals"], summary["revoked"]) == ({"refresh_token": 100}, {}, 0)


@pytest.mark.kill
@pytest.mark.parametrize("grace_seconds", [LONG, 0], ids=["with grace", "without grace"])
def test_killed_at_every_step_a_refresh_is_recovered_or_lost_with_its_reason(
    sandbox: Sandbox, app: Any, actor: Any, grace_seconds: int
) -> None:
    """Each of the refreshes is killed at its step. Then another process wants all tokens."""
    admin = actor()
    sandbox.client(CLIENT, grace_seconds=grace_seconds, token_seconds=0)
    granted = {step: create_grants(sandbox, connection_of(admin, app, step))[0] for step in STEPS}
    kill_at({step: [grant] for step, grant in granted.items()}, sandbox)
    with programs(1, list(granted.values())) as (survivor,):
        survivor.go()
        outcomes = {grant["grant"]: grant for grant in survivor.read_until_done() if "grant" in grant}
    lost = LOST_WITHOUT_GRACE if grace_seconds == 0 else ()
    outcome = {step: outcomes[grant.grant_id].get("error", "token") for step, grant in granted.items()}
    assert outcome == {step: "answer_lost" if step in lost else "token" for step in STEPS}
    families = counts(sandbox)["families"]
    assert {step: families[grant.family]["refused_count"] for step, grant in granted.items()} == {
        step: int(step in lost) for step in STEPS
    }
    for step, grant in granted.items():
        assert _state(grant) == (("needs_reauth", 1, 1, 1) if step in lost else ("active", 0, 0, 0)), step
        if step in lost:
            assert "interrupted" in grant.row().connection.reason


def _state(grant: GrantedAccess) -> tuple[str, int, int, int]:
    """The connection's state, and how many issues, notices and lines of the timeline tell about its loss."""
    row = grant.row()
    with organisation_scope(grant.organisation_id):
        return (
            str(row.connection.state),
            Issue.objects.filter(
                code="consent_lost", subject_id=grant.connection_id, resolved_at=None
            ).count(),
            Notification.objects.filter(
                event_type="connection_lost", link__contains=f"/{grant.connection_id}/"
            ).count(),
            TimelineEvent.objects.filter(connection_id=grant.connection_id, kind="lost").count(),
        )


def test_a_dead_grant_costs_one_failing_call_however_many_ask(sandbox: Sandbox, app: Any, actor: Any) -> None:
    granted = create_grants(sandbox, connection_of(actor(), app))
    sandbox.control("revoke", {"family": granted[0].family})
    with programs(3, granted * 20) as started:
        for program in started:
            program.go()
        errors = Counter(
            answer["error"]
            for program in started
            for answer in program.read_until_done()
            if "error" in answer
        )
    assert errors == {"invalid_grant": 60}
    assert counts(sandbox)["refusals"] == {"invalid_grant": 1}
    assert _state(granted[0]) == ("needs_reauth", 1, 1, 1)
