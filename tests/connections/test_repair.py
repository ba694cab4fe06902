"""Repair: what a firm does when people leave, accounts change, and connections should stop or end."""

import time
from typing import Any

import pytest
from django.test import Client

from koppel.administrations.models import Administration, Status
from koppel.audit.models import AuditEntry
from koppel.connections import ownership, repair
from koppel.connections.dependants import Fate
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.models import Connection, Grant, Release, RemoteCompany
from koppel.connections.queries import companies_of
from koppel.issues.models import Issue
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Notice
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.models import Membership, Organisation, User
from koppel.organisations.policy import Actor
from koppel.sync.errors import NotPossible
from koppel.sync.models import Checkpoint, Run
from koppel.sync.services import request_due_runs, request_run
from tests.connections.office import companies, imported, kinds, now_of, sign_in, statuses
from tests.fixtures.stack import Connected, MakeConnected, wait_until


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


@pytest.fixture
def colleague(anna: Connected, actor: Any) -> Any:
    """`colleague(role, name)` in Anna's firm."""

    def make(role: str = "team_leader", name: str = "Bert Smit") -> Actor:
        with installation_scope("test"):
            firm = Organisation.objects.get(pk=anna.actor.organisation_id)
        return actor(role, firm, name)  # type: ignore[no-any-return]

    return make


def within(made: Connected, act: Any, *arguments: Any, **named: Any) -> Any:
    with organisation_scope(made.actor.organisation_id):
        return act(*arguments, **named)


def run_states(made: Connected) -> set[str]:
    return {one.state for one in runs(made)}


def runs(made: Connected) -> list[Run]:
    with organisation_scope(made.actor.organisation_id):
        return list(Run.objects.all())


def page(made: Connected, path: str = "", *, by: Actor | None = None, **form: str) -> Any:
    """A page of the connection as a person's browser gets it; with `form`, or a path without a slash at its end, sent."""
    browser = Client()
    browser.force_login(User.objects.get(pk=(by or made.actor).user_id))
    address = f"/connections/{made.connection.pk}/{path}"
    return browser.post(address, form) if form or (path and not path.endswith("/")) else browser.get(address)


@pytest.mark.usefixtures("worker")
def test_paused_means_nothing_is_read_and_resuming_loses_nothing(anna: Connected) -> None:
    (own,) = imported(anna, sync=True)
    wait_until(lambda: run_states(anna) == {"succeeded"})
    assert [page(anna, "pause").status_code for _twice in range(2)] == [302, 302]
    assert now_of(anna).state == "paused"
    assert kinds(anna).count("paused") == 1
    with pytest.raises(NotPossible, match="paused"):
        within(anna, request_run, anna.actor, own.pk)
    assert "The connection is paused" in str(_refusal(anna, own))
    with organisation_scope(anna.actor.organisation_id):
        Run.objects.update(created_at="2026-01-01T00:00:00Z")
    assert request_due_runs() == 0
    page(anna, "resume")
    assert now_of(anna).state == "active"
    within(anna, request_run, anna.actor, own.pk)  # the worker's own schedule may have been first: a sync is due
    wait_until(lambda: [one.state for one in runs(anna)] == ["succeeded", "succeeded"])
    with organisation_scope(anna.actor.organisation_id):
        acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"connection.paused", "connection.resumed"} <= acts


@pytest.mark.usefixtures("worker")
def test_a_first_sync_that_is_paused_stops_at_its_page_and_goes_on_from_there(anna: Connected) -> None:
    anna.sandbox.control("settings", {"latency_seconds": 0.2})
    imported(anna, 2, sync=True)
    wait_until(lambda: len(anna.sandbox.calls("/v")) >= 12)
    page(anna, "pause")
    wait_until(lambda: not is_calling(anna), 10)
    assert run_states(anna) == {"queued"}
    assert statuses(anna) == {"configuring"}
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    assert "The connection is paused" in browser.get(f"/administrations/{own_id(anna)}/sync/").content.decode()
    read = pages_read(anna)
    with organisation_scope(anna.actor.organisation_id):
        assert Checkpoint.objects.count() > 0
    anna.sandbox.control("settings", {"latency_seconds": 0})
    anna.sandbox.forget_calls()
    page(anna, "resume")
    wait_until(lambda: statuses(anna) == {"active"}, 60)
    assert {one.state for one in runs(anna)} == {"succeeded"}
    again = [one for one in pages_read(anna) if one in read and not one[0].endswith(AT_EVERY_START)]
    assert len(again) <= 2, "no page is read twice but the ones in flight"


AT_EVERY_START = ("/v1/financialPeriod", "/v1/organization")


def pages_read(made: Connected) -> list[tuple[str, str, int]]:
    return [(one["path"], str(sorted(one["query"].items())), one["company"]) for one in made.sandbox.calls("/v")]


def is_calling(made: Connected) -> bool:
    """Whether any call arrives within a second."""
    before = len(made.sandbox.calls("/v"))
    time.sleep(1)
    return len(made.sandbox.calls("/v")) > before


def own_id(made: Connected) -> int:
    with organisation_scope(made.actor.organisation_id):
        return int(Administration.objects.values_list("pk", flat=True)[0])


def _refusal(made: Connected, own: Administration) -> str:
    with organisation_scope(made.actor.organisation_id):
        return repair.why_not(now_of(made), own.remote_company)


@pytest.mark.usefixtures("worker")
def test_a_removed_connection_gives_its_tokens_back_and_its_administrations_wait_for_another(
    anna: Connected, connected: MakeConnected
) -> None:
    """Books, settings and checkpoints stay; the next sign-in that reaches the companies takes them up by itself."""
    imported(anna, 2, sync=True)
    wait_until(lambda: statuses(anna) == {"active"})
    with organisation_scope(anna.actor.organisation_id):
        marks = dict(Checkpoint.objects.values_list("pk", "position"))
    anna.sandbox.forget_calls()
    shown = page(anna, "remove/").content.decode()
    assert "2 administrations are read through it" in shown
    assert page(anna, "remove/", fate="wait", seen="7-0").status_code == 200, "a page of before an import does nothing"
    assert now_of(anna).state == "active"
    assert page(anna, "remove/", fate="wait", seen="2-0").status_code == 302
    assert page(anna, "remove/", fate="wait", seen="2-0").status_code == 302, "the second tab finds it gone"
    assert now_of(anna).state == "removed"
    assert statuses(anna) == {"blocked"}
    wait_until(lambda: len(anna.sandbox.calls("revocation")) == 1)
    wait_until(lambda: "revoked" in kinds(anna))
    with organisation_scope(anna.actor.organisation_id):
        (grant,) = Grant.objects.all()
        assert (bytes(grant.access_token), grant.refresh_token) == (b"", None)
    again = connected(actor=anna.actor)
    assert again.connection.pk != anna.connection.pk
    wait_until(lambda: statuses(again) == {"active"})
    with organisation_scope(anna.actor.organisation_id):
        assert set(Administration.objects.values_list("connection_id", flat=True)) == {again.connection.pk}
        assert set(marks) <= set(Checkpoint.objects.values_list("pk", flat=True))


def test_removing_a_connection_of_many_needs_an_administrator(anna: Connected, colleague: Any) -> None:
    imported(anna, 4)
    bert = colleague()
    assert "Only an Administrator may remove it" in page(anna, "remove/", by=bert).content.decode()
    with pytest.raises(Refused):
        within(anna, repair.remove, bert, anna.connection.pk, Fate.DEACTIVATE)
    assert now_of(anna).state == "active"
    within(anna, repair.remove, anna.actor, anna.connection.pk, Fate.DEACTIVATE)
    assert statuses(anna) == {"deactivated"}
    with pytest.raises(NoSuchConnection):
        within(anna, repair.remove, anna.actor, anna.connection.pk, Fate.DEACTIVATE)


def test_what_another_connection_reaches_goes_on_there(
    anna: Connected, connected: MakeConnected, colleague: Any
) -> None:
    """Bert's sign-in reaches the first company only."""
    own = imported(anna, 2)
    bert = connected(actor=colleague(), user="small@sandbox.example")
    found = within(anna, repair.preview_removal, anna.actor, anna.connection.pk)
    assert (found.administrations, found.reached_elsewhere, found.waiting) == (2, 1, 1)
    within(anna, repair.remove, anna.actor, anna.connection.pk, Fate.MOVE, seen=found.seen)
    with organisation_scope(anna.actor.organisation_id):
        first, second = Administration.objects.order_by("pk")
    assert first.pk == own[0].pk
    assert first.connection_id == bert.connection.pk
    assert (second.connection_id, second.status_code) == (anna.connection.pk, "connection_removed")


def test_a_new_owner_takes_over_by_signing_in_and_not_before(anna: Connected, colleague: Any) -> None:
    imported(anna, 3)
    bert = colleague()
    page(anna, "owner", membership=str(bert.membership_id))
    assert "Bert Smit is to take over" in page(anna).content.decode()
    assert now_of(anna).owner_id == anna.actor.membership_id
    anna.sandbox.control(
        "settings", {"people": {"small@sandbox.example": {"reach": 3}}, "reach": {"small@sandbox.example": 3}}
    )
    sign_in(anna, "take_over", by=bert, user="small@sandbox.example")
    assert ownership.finish_take_over(bert, anna.connection.pk)
    now = now_of(anna)
    assert (now.owner_id, now.next_owner_id, now.account) == (bert.membership_id, None, "small@sandbox.example")
    with organisation_scope(anna.actor.organisation_id):
        grants = {one.account: one for one in Grant.objects.all()}
        serving = set(RemoteCompany.objects.filter(listed_at__isnull=False).values_list("grant_id", flat=True))
        assert list(Notice.objects.order_by("pk").values_list("event", flat=True)) == ["take_over_asked", "taken_over"]
    assert serving == {grants["small@sandbox.example"].pk}
    assert kinds(anna)[-1] == "owner_changed"


def test_an_account_that_reaches_less_takes_over_nothing(anna: Connected, colleague: Any) -> None:
    own = imported(anna, 3)
    bert = colleague()
    within(anna, ownership.ask_to_take_over, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "take_over", by=bert, user="small@sandbox.example")
    with pytest.raises(ConsentRefused) as caught:
        ownership.finish_take_over(bert, anna.connection.pk)
    assert own[1].name in str(caught.value)
    assert "demo@sandbox.example" in str(caught.value)
    now = now_of(anna)
    assert (now.owner_id, now.account, now.state) == (anna.actor.membership_id, "demo@sandbox.example", "active")
    with organisation_scope(anna.actor.organisation_id):
        assert RemoteCompany.objects.filter(grant__subject=Grant.objects.earliest("pk").subject).count() == 8


def test_nobody_takes_over_unasked(anna: Connected, colleague: Any) -> None:
    with pytest.raises(ConsentRefused, match="not asked"):
        sign_in(anna, "take_over", by=colleague(), user="small@sandbox.example")
    with pytest.raises(Refused):
        within(anna, ownership.ask_to_take_over, anna.actor, anna.connection.pk, colleague("user").membership_id)
    with pytest.raises(NotAllowed):
        within(anna, repair.pause, colleague("user_plus", "Carl"), anna.connection.pk)


def test_when_somebody_leaves_everything_is_handed_over_in_one_act(anna: Connected, colleague: Any) -> None:
    imported(anna, 2)
    bert = colleague("administrator")
    with organisation_scope(anna.actor.organisation_id):
        Membership.objects.filter(pk=anna.actor.membership_id).update(is_active=False)
    from koppel.connections.endings import tell_of_endings

    tell_of_endings()
    with organisation_scope(anna.actor.organisation_id):
        assert Issue.objects.get(resolved_at=None).code == "owner_left"
    browser = Client()
    browser.force_login(User.objects.get(pk=bert.user_id))
    address = f"/connections/leaving/{anna.actor.membership_id}/"
    assert "2 administrations are no longer read" in browser.get(address).content.decode()
    for _twice in range(2):
        browser.post(address, {"membership": str(bert.membership_id)})
    assert now_of(anna).next_owner_id == bert.membership_id
    assert kinds(anna).count("owner_asked") == 1


def test_others_import_what_is_released(anna: Connected, colleague: Any) -> None:
    bert = colleague("user_plus")

    def seen(by: Actor) -> int:
        with organisation_scope(anna.actor.organisation_id):
            return companies_of(by, Connection.objects.get(pk=anna.connection.pk)).count()

    assert (seen(anna.actor), seen(bert)) == (8, 8)
    page(anna, "release", which="none")
    assert (seen(anna.actor), seen(bert)) == (8, 0)
    chosen = companies(anna)[2]
    page(anna, "release", which="selected", companies=str(chosen.pk))
    assert (seen(anna.actor), seen(bert)) == (8, 1)
    assert within(anna, repair.release, anna.actor, anna.connection.pk, Release.ALL) == 8


def test_all_broken_connections_are_repaired_from_one_page(anna: Connected, connected: MakeConnected) -> None:
    small = connected(actor=anna.actor, user="small@sandbox.example")
    imported(anna, 3)
    from koppel.connections.health import mark_lost

    for one in (anna, small):
        with organisation_scope(anna.actor.organisation_id):
            Grant.objects.filter(connection=one.connection).update(lost_at="2026-01-01T00:00:00Z")
        mark_lost(anna.actor.organisation_id, one.connection.pk, "The consent at Visma has expired or was withdrawn.")
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    text = browser.get("/connections/").content.decode()
    assert "2 connections need you to sign in again" in text
    assert "3 administrations wait" in text
    shown = browser.get("/connections/repair/").content.decode()
    assert "0 of 2 signed in again" in shown
    since = shown.partition('name="since" value="')[2].partition('"')[0]
    answer = browser.post(f"/connections/{anna.connection.pk}/reconnect", {"since": since})
    inbound = anna.sandbox.sign_in(answer.headers["Location"])
    on = browser.get("/connections/consent/callback", inbound)
    back = browser.get(on.headers["Location"])
    assert back.headers["Location"].startswith("/connections/repair/?since=")
    assert "1 of 2 signed in again" in browser.get(back.headers["Location"]).content.decode()
    assert now_of(anna).state == "active"
    assert statuses(anna) == {Status.QUEUED}
