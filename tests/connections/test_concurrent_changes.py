"""Concurrent changes: a connection is handed over, paused or removed during a sign-in or a job."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from koppel.connections import lifecycle
from koppel.connections.consent import attempts, consent_storage
from koppel.connections.consent.attempts import (
    ConsentOutcome,
    begin_attempt,
    complete_attempt,
    receive_callback,
)
from koppel.connections.errors import ConsentRefused
from koppel.connections.health.expiry import notify_expiring_and_review_owners
from koppel.connections.health.states import record_failure
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.inputs import RemovalInput
from koppel.connections.lifecycle import ownership
from koppel.connections.lifecycle.revocation import revoke, revoke_attempt
from koppel.connections.models import Connection, ConsentAttempt, ConsentPurpose, Grant
from koppel.connections.sessions import call_vendor_blocking
from koppel.connections.sessions.runtime import Runtime
from koppel.connections.sessions.vendor_sessions import reading_session
from koppel.connector.errors import ConnectorError, ConsentLost, Unreachable
from koppel.connector.registry import connector
from koppel.issues.models import Issue
from koppel.kit.database.threads import run_in_thread
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Membership, Organisation
from koppel.organisations.roles import Actor
from tests.connections.factories import event_kinds, import_first, reload_connection, sign_in
from tests.fixtures.stack import Connected, MakeConnected, wait_until


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


@pytest.fixture
def bert(anna: Connected, actor: Any) -> Actor:
    """Anna's colleague."""
    with installation_scope("test"):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    return actor("team_leader", firm, "Bert Smit")  # type: ignore[no-any-return]


def call_in_scope(firm: Connected, action: Any, *arguments: Any, **named: Any) -> Any:
    with organisation_scope(firm.actor.organisation_id):
        return action(*arguments, **named)


def open_issues(firm: Connected) -> set[str]:
    with organisation_scope(firm.actor.organisation_id):
        return set(Issue.objects.filter(resolved_at=None).values_list("code", flat=True))


def read_revocations(firm: Connected) -> list[bool]:
    """Per family of tokens, in the order in which the vendor gave them out."""
    return [one["revoked"] for one in firm.sandbox.control("tokens?families=1")["families"].values()]


def finish_consent(firm: Connected, by: Actor | None = None) -> int:
    """Somebody signs in again and allows it; Koppel has the vendor's answer and has not used it yet."""
    person = by or firm.actor
    with organisation_scope(firm.actor.organisation_id):
        url = begin_attempt(
            person, firm.app.pk, ConsentPurpose.RECONNECT, "/connections/", connection_id=firm.connection.pk
        )
    inbound = firm.sandbox.sign_in(url)
    return receive_callback(inbound["state"], inbound) or 0


def test_a_connection_that_was_removed_during_the_sign_in_says_so_and_keeps_no_token(
    anna: Connected, bert: Actor
) -> None:
    attempt_id = finish_consent(anna)
    call_in_scope(
        anna, lifecycle.remove_connection, bert, anna.connection.pk, RemovalInput(policy=RemovalPolicy.WAIT)
    )
    with pytest.raises(ConsentRefused, match="was removed"):
        complete_attempt(anna.actor, attempt_id)
    with pytest.raises(ConsentRefused, match="was removed"):
        complete_attempt(anna.actor, attempt_id)
    call_vendor_blocking(
        anna.actor.organisation_id, lambda made: revoke_attempt(made, anna.actor.organisation_id, attempt_id)
    )
    assert read_revocations(anna)[-1], "nobody will use what was given"
    with organisation_scope(anna.actor.organisation_id):
        attempt = ConsentAttempt.objects.get(pk=attempt_id)
        assert (bytes(attempt.secrets), attempt.unused_token) == (b"", None)


class Tab(Thread):
    """A browser's tab that comes back from the vendor."""

    def __init__(self, person: Actor, attempt_id: int) -> None:
        super().__init__()
        self.person, self.attempt_id = person, attempt_id
        self.outcome: ConsentOutcome | ConsentRefused | None = None

    def run(self) -> None:
        try:
            self.outcome = complete_attempt(self.person, self.attempt_id)
        except ConsentRefused as refusal:
            self.outcome = refusal
        finally:
            connections.close_all()


@pytest.fixture
def two_tabs(anna: Connected) -> Iterator[tuple[Tab, Tab]]:
    """Both come back with one sign-in. The first exchanges its code, and the vendor does not answer yet."""
    attempt_id = finish_consent(anna)
    first, second = Tab(anna.actor, attempt_id), Tab(anna.actor, attempt_id)
    anna.sandbox.forget_calls()
    anna.sandbox.hold("/connect/token")
    first.start()
    wait_until(anna.sandbox.holds)
    second.start()
    yield first, second
    anna.sandbox.release()
    for tab in (first, second):
        tab.join()


def test_a_doubled_click_waits_for_the_outcome_of_the_first(
    anna: Connected, two_tabs: tuple[Tab, Tab]
) -> None:
    first, second = two_tabs
    second.join(0.2)
    assert (second.is_alive(), second.outcome) == (True, None)
    anna.sandbox.release()
    for tab in two_tabs:
        tab.join()
    assert isinstance(first.outcome, ConsentOutcome)
    assert first.outcome == second.outcome
    assert len(anna.sandbox.calls("/connect/token")) == 1


@pytest.mark.usefixtures("one_second")
def test_a_doubled_click_does_not_wait_for_ever(two_tabs: tuple[Tab, Tab]) -> None:
    two_tabs[1].join()
    assert isinstance(two_tabs[1].outcome, ConsentRefused)
    assert two_tabs[1].outcome.code == "already_used"


@pytest.fixture
def one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "DUPLICATE_REQUEST_WAIT_SECONDS", 1)


def test_a_sign_in_whose_process_died_does_not_block_others(
    anna: Connected,
) -> None:
    """It was killed between the code and the answer: nobody has the lock any more."""
    attempt_id = finish_consent(anna)
    call_in_scope(anna, ConsentAttempt.objects.filter(pk=attempt_id).update, consumed_at=timezone.now())
    with pytest.raises(ConsentRefused) as refused:
        complete_attempt(anna.actor, attempt_id)
    assert refused.value.code == "already_used"


def test_a_connection_that_is_paused_while_its_sign_in_is_stored_stays_paused(
    anna: Connected, bert: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt_id = finish_consent(anna)
    store = consent_storage.store_grant
    tabs: list[Thread] = []

    def pause() -> None:
        call_in_scope(anna, lifecycle.pause_connection, bert, anna.connection.pk)
        connections.close_all()

    def with_a_colleague(*arguments: Any) -> Grant:
        tabs.append(Thread(target=pause))
        tabs[0].start()
        tabs[0].join(2)  # done by then, or waiting for this sign-in to end
        return store(*arguments)

    monkeypatch.setattr(consent_storage, "store_grant", with_a_colleague)
    complete_attempt(anna.actor, attempt_id)
    tabs[0].join()
    assert reload_connection(anna).state == "paused"


def test_an_earlier_job_does_not_revoke_a_renewed_consent(anna: Connected, bert: Actor) -> None:
    """Bert's account reached too little, so what he signed in with is to be withdrawn; before a worker comes
    to it he has the missing role, and signs in with the same account.
    """
    import_first(anna, 3)
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    with pytest.raises(ConsentRefused):
        ownership.complete_transfer(bert, anna.connection.pk)
    with organisation_scope(anna.actor.organisation_id):
        late = Grant.objects.get(is_pending_transfer=True).pk
    anna.sandbox.control("settings", {"reach": {"small@sandbox.example": 3}})
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    assert ownership.complete_transfer(bert, anna.connection.pk)
    call_vendor_blocking(
        anna.actor.organisation_id, lambda made: revoke(made, anna.actor.organisation_id, [late])
    )
    assert not read_revocations(anna)[-1]
    with organisation_scope(anna.actor.organisation_id):
        assert Grant.objects.get(pk=late).refresh_token


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429}, {"status": 400, "body": '{"error": "invalid_client"}'}]
)
def test_a_failed_revocation_is_retried(anna: Connected, fault: dict[str, Any]) -> None:
    call_in_scope(
        anna,
        lifecycle.remove_connection,
        anna.actor,
        anna.connection.pk,
        RemovalInput(policy=RemovalPolicy.WAIT),
    )
    with organisation_scope(anna.actor.organisation_id):
        grant_id = Grant.objects.get().pk
    anna.sandbox.fault("revocation", **{"kind": "down", **fault})
    with pytest.raises(ConnectorError):
        call_vendor_blocking(
            anna.actor.organisation_id, lambda made: revoke(made, anna.actor.organisation_id, [grant_id])
        )
    assert "revoked" not in event_kinds(anna)
    call_vendor_blocking(
        anna.actor.organisation_id, lambda made: revoke(made, anna.actor.organisation_id, [grant_id])
    )
    assert read_revocations(anna) == [True]
    assert event_kinds(anna)[-1] == "revoked"


def test_a_running_sync_continues_with_the_new_account(anna: Connected, bert: Actor) -> None:
    """It began on the old account, whose consent was given back: that is no loss of the connection."""
    administration, *_others = import_first(anna, 3)
    organisation_id = anna.actor.organisation_id
    anna.sandbox.control("settings", {"reach": {"small@sandbox.example": 3}})
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")

    async def sync(process_runtime: Runtime) -> None:
        session = await reading_session(process_runtime, organisation_id, administration.pk)
        await connector("visma_net").describe_company(session)
        assert await run_in_thread(lambda: ownership.complete_transfer(bert, anna.connection.pk))
        # the second in which a token is used without looking is over
        process_runtime.vault._token_cache.clear()
        with pytest.raises(Unreachable):
            await connector("visma_net").describe_company(session)
        await connector("visma_net").describe_company(
            await reading_session(process_runtime, organisation_id, administration.pk)
        )

    call_vendor_blocking(organisation_id, sync)
    assert (reload_connection(anna).state, reload_connection(anna).account) == (
        "active",
        "small@sandbox.example",
    )
    assert open_issues(anna) == set()
    assert "lost" not in event_kinds(anna)


@pytest.mark.parametrize("by", ["listing", "keeper"])
def test_a_consent_that_serves_nothing_yet_is_lost_without_harm(
    anna: Connected, bert: Actor, by: str
) -> None:
    """Bert's consent is withdrawn before it is known what it reaches: Anna's, on which all runs, is as good
    as ever.
    """
    import_first(anna, 1)
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    anna.sandbox.control("revoke", {"email": "small@sandbox.example"})
    with organisation_scope(anna.actor.organisation_id):
        candidate = Grant.objects.get(is_pending_transfer=True)
        Grant.objects.filter(pk=candidate.pk).update(expires_at=timezone.now(), maintain_at=timezone.now())
    if by == "listing":
        with pytest.raises(ConsentLost):
            ownership.complete_transfer(bert, anna.connection.pk)
    else:
        with pytest.raises(ConsentLost):
            call_vendor_blocking(
                anna.actor.organisation_id,
                lambda made: made.vault.refresh_if_due(anna.actor.organisation_id, candidate.pk),
            )
    assert reload_connection(anna).state == "active"
    assert open_issues(anna) == set()


def test_resuming_a_connection_clears_earlier_problems(anna: Connected) -> None:
    record_failure(anna.actor.organisation_id, anna.connection.pk, None, "No answer.", connection_wide=True)
    with organisation_scope(anna.actor.organisation_id):
        Connection.objects.update(degraded_since=timezone.now() - timedelta(days=2))
    notify_expiring_and_review_owners()
    assert open_issues(anna) == {"vendor_unresponsive"}
    call_in_scope(anna, lifecycle.pause_connection, anna.actor, anna.connection.pk)
    call_in_scope(anna, lifecycle.resume_connection, anna.actor, anna.connection.pk)
    assert reload_connection(anna).state == "active"
    assert open_issues(anna) == set(), "if it is still silent, that shows anew"


def test_the_issue_ends_when_the_owner_regains_access(anna: Connected) -> None:
    with organisation_scope(anna.actor.organisation_id):
        Membership.objects.filter(pk=anna.actor.membership_id).update(is_active=False)
    notify_expiring_and_review_owners()
    assert open_issues(anna) == {"owner_left"}
    with organisation_scope(anna.actor.organisation_id):
        Membership.objects.filter(pk=anna.actor.membership_id).update(is_active=True)
    notify_expiring_and_review_owners()
    assert open_issues(anna) == set()
