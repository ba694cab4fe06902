"""Repairing connections: people leave, accounts change, connections are paused and removed."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from koppel.administrations.models import Administration, Status
from koppel.audit.models import AuditEntry
from koppel.connections import lifecycle
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent.service_companies import add_companies
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.inputs import ImportPolicyInput, RemovalInput
from koppel.connections.lifecycle import ownership
from koppel.connections.models import Connection, ConsentAttempt, Grant, ImportPolicy, RemoteCompany
from koppel.connections.queries import companies_of, reconnect_hint
from koppel.connector.registry import connector
from koppel.issues.models import Issue
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Notification
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.models import Membership, Organisation, User
from koppel.organisations.roles import Actor
from koppel.sync.errors import SyncNotAllowed
from koppel.sync.models import Checkpoint, Run
from koppel.sync.runs.services import request_due_runs, request_run
from tests.connections.factories import (
    companies,
    event_kinds,
    import_first,
    reload_connection,
    sign_in,
    statuses,
)
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.stack import Connected, MakeConnected, register_app, wait_until


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


def call_in_scope(firm: Connected, action: Any, *arguments: Any, **named: Any) -> Any:
    with organisation_scope(firm.actor.organisation_id):
        return action(*arguments, **named)


def run_states(firm: Connected) -> set[str]:
    return {one.state for one in runs(firm)}


def runs(firm: Connected) -> list[Run]:
    with organisation_scope(firm.actor.organisation_id):
        return list(Run.objects.all())


def page(firm: Connected, path: str = "", *, by: Actor | None = None, **form: str) -> Any:
    """A page of the connection as a person's browser gets it; with `form`, or a path without a slash at its
    end, sent.
    """
    browser = Client()
    browser.force_login(User.objects.get(pk=(by or firm.actor).user_id))
    address = f"/connections/{firm.connection.pk}/{path}"
    return browser.post(address, form) if form or (path and not path.endswith("/")) else browser.get(address)


@pytest.mark.usefixtures("worker")
def test_a_paused_connection_reads_nothing_and_resuming_loses_nothing(anna: Connected) -> None:
    (administration,) = import_first(anna, sync=True)
    wait_until(lambda: run_states(anna) == {"succeeded"})
    assert [page(anna, "pause").status_code for _twice in range(2)] == [302, 302]
    assert reload_connection(anna).state == "paused"
    assert event_kinds(anna).count("paused") == 1
    with pytest.raises(SyncNotAllowed, match="paused"):
        call_in_scope(anna, request_run, anna.actor, administration.pk)
    assert "The connection is paused" in str(_refusal(anna, administration))
    with organisation_scope(anna.actor.organisation_id):
        Run.objects.update(created_at="2026-01-01T00:00:00Z")
    assert request_due_runs() == 0
    page(anna, "resume")
    assert reload_connection(anna).state == "active"
    call_in_scope(
        anna, request_run, anna.actor, administration.pk
    )  # the worker's own schedule may have been first: a sync is due
    wait_until(lambda: len(runs(anna)) >= 2 and run_states(anna) == {"succeeded"})
    with organisation_scope(anna.actor.organisation_id):
        acts = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"connection.paused", "connection.resumed"} <= acts


@pytest.mark.usefixtures("worker")
def test_a_first_sync_that_is_paused_stops_at_its_page_and_goes_on_from_there(anna: Connected) -> None:
    for remote in companies(anna)[:2]:
        anna.sandbox.fault("/v2/journal", kind="hold", company=int(remote.external_id))
    import_first(anna, 2, sync=True)
    wait_until(lambda: anna.sandbox.holds(2))
    page(anna, "pause")
    anna.sandbox.release()
    wait_until(lambda: run_states(anna) == {"queued"})
    wait_until(lambda: not running_jobs())
    assert statuses(anna) == {"configuring"}
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    assert (
        "The connection is paused" in browser.get(f"/administrations/{own_id(anna)}/sync/").content.decode()
    )
    read = pages_read(anna)
    with organisation_scope(anna.actor.organisation_id):
        assert Checkpoint.objects.count() > 0
    anna.sandbox.forget_calls()
    page(anna, "resume")
    wait_until(lambda: statuses(anna) == {"active"})
    assert {remote.state for remote in runs(anna)} == {"succeeded"}
    second_calls = [
        remote for remote in pages_read(anna) if remote in read and not remote[0].endswith(AT_EVERY_START)
    ]
    lists = [(path, company) for path, _query, company in second_calls]
    assert len(lists) == len(set(lists)), "of no list more than the page in flight is read twice"


AT_EVERY_START = ("/v1/financialPeriod", "/v1/organization")


def pages_read(firm: Connected) -> list[tuple[str, str, int]]:
    return [
        (call["path"], str(sorted(call["query"].items())), call["company"])
        for call in firm.sandbox.calls("/v")
    ]


def running_jobs() -> list[str]:
    return list(ProcrastinateJob.objects.filter(status="doing").values_list("task_name", flat=True))


def own_id(firm: Connected) -> int:
    with organisation_scope(firm.actor.organisation_id):
        return int(Administration.objects.values_list("pk", flat=True)[0])


def _refusal(firm: Connected, administration: Administration) -> str:
    with organisation_scope(firm.actor.organisation_id):
        return reconnect_hint(reload_connection(firm), administration.remote_company)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("mode", ["company_list", "company_per_sign_in"])
def test_signing_in_again_withdraws_the_tokens_that_it_replaces_and_no_others(
    connected: MakeConnected, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new ones live on, and so do those of the second company, which the same person signed in for."""
    visma_net = connector("visma_net")
    descriptor = dataclasses.replace(visma_net.descriptor, revokes_one_sign_in_only=True)
    monkeypatch.setattr(type(visma_net), "descriptor", property(lambda _self: descriptor))
    firm = connected(mode)
    others = 1
    if mode == "company_per_sign_in":
        sign_in(firm, "add_company", tenant=second_company(firm), anew=True)
        others = 2
    sign_in(firm, "reconnect")
    wait_until(lambda: read_revocations(firm)[0])
    assert read_revocations(firm) == [True, *[False] * others]
    with organisation_scope(firm.actor.organisation_id):
        Grant.objects.update(expires_at=timezone.now(), maintain_at=None)
    page(firm, "probe")
    summary = firm.sandbox.control("tokens")
    assert (summary["calls"]["refresh_token"], summary["refusals"]) == (1, {}), (
        "the new ones are renewed as ever"
    )
    with organisation_scope(firm.actor.organisation_id):
        assert set(ConsentAttempt.objects.filter(purpose="reconnect").values_list("unused_token")) == {
            (None,)
        }


@pytest.mark.usefixtures("worker")
def test_replaced_tokens_are_kept_if_revoking_may_end_the_new_consent(anna: Connected) -> None:
    """Nobody knows of this vendor whether it would."""
    sign_in(anna, "reconnect")
    assert not ProcrastinateJob.objects.filter(task_name="connections.revoke_unused_consent").exists()
    assert read_revocations(anna) == [False, False]


def second_company(firm: Connected) -> str:
    """The id of another company that the person may choose at the vendor's sign-in."""
    tenants = firm.sandbox.companies()
    return str(
        next(one["tenant_id"] for one in tenants if one["tenant_id"] != companies(firm)[0].external_id)
    )


def read_revocations(firm: Connected) -> list[bool]:
    """Per family of tokens, in the order in which the vendor gave them out."""
    return [one["revoked"] for one in firm.sandbox.control("tokens?families=1")["families"].values()]


@pytest.mark.usefixtures("worker")
def test_a_removed_connection_gives_its_tokens_back_and_its_administrations_wait_for_another(
    anna: Connected, connected: MakeConnected
) -> None:
    """Books, settings and checkpoints stay; the next sign-in that reaches the companies takes them up by
    itself.
    """
    import_first(anna, 2, sync=True)
    wait_until(lambda: statuses(anna) == {"active"})
    with organisation_scope(anna.actor.organisation_id):
        marks = dict(Checkpoint.objects.values_list("pk", "incremental_cursor"))
    anna.sandbox.forget_calls()
    page_text = page(anna, "remove/").content.decode()
    assert "2 administrations use this connection" in page_text
    assert page(anna, "remove/", policy="wait", fingerprint="7-0").status_code == 200, (
        "a page of before an import does nothing"
    )
    assert reload_connection(anna).state == "active"
    assert page(anna, "remove/", policy="wait", fingerprint="2-0").status_code == 302
    assert page(anna, "remove/", policy="wait", fingerprint="2-0").status_code == 302, (
        "the second tab finds it gone"
    )
    assert reload_connection(anna).state == "removed"
    assert statuses(anna) == {"blocked"}
    wait_until(lambda: len(anna.sandbox.calls("revocation")) == 1)
    wait_until(lambda: "revoked" in event_kinds(anna))
    with organisation_scope(anna.actor.organisation_id):
        (grant,) = Grant.objects.all()
        assert (bytes(grant.access_token), grant.refresh_token) == (b"", None)
    second = connected(actor=anna.actor)
    assert second.connection.pk != anna.connection.pk
    wait_until(lambda: statuses(second) == {"active"})
    with organisation_scope(anna.actor.organisation_id):
        assert set(Administration.objects.values_list("connection_id", flat=True)) == {second.connection.pk}
        assert set(marks) <= set(Checkpoint.objects.values_list("pk", flat=True))


def test_removing_a_connection_of_many_needs_an_administrator(anna: Connected, colleague: Any) -> None:
    import_first(anna, 4)
    bert = colleague()
    assert "Only an Administrator can remove it" in page(anna, "remove/", by=bert).content.decode()
    with pytest.raises(Refused):
        call_in_scope(
            anna,
            lifecycle.remove_connection,
            bert,
            anna.connection.pk,
            RemovalInput(policy=RemovalPolicy.DEACTIVATE),
        )
    assert reload_connection(anna).state == "active"
    call_in_scope(
        anna,
        lifecycle.remove_connection,
        anna.actor,
        anna.connection.pk,
        RemovalInput(policy=RemovalPolicy.DEACTIVATE),
    )
    assert statuses(anna) == {"deactivated"}
    with pytest.raises(NoSuchConnection):
        call_in_scope(
            anna,
            lifecycle.remove_connection,
            anna.actor,
            anna.connection.pk,
            RemovalInput(policy=RemovalPolicy.DEACTIVATE),
        )


def test_what_another_connection_reaches_goes_on_there(
    anna: Connected, connected: MakeConnected, colleague: Any
) -> None:
    """Bert's sign-in reaches the first company only."""
    administrations = import_first(anna, 2)
    bert = connected(actor=colleague(), user="small@sandbox.example")
    preview = call_in_scope(anna, lifecycle.preview_removal, anna.actor, anna.connection.pk)
    assert (preview.administrations, preview.reached_elsewhere, preview.waiting) == (2, 1, 1)
    call_in_scope(
        anna,
        lifecycle.remove_connection,
        anna.actor,
        anna.connection.pk,
        RemovalInput(policy=RemovalPolicy.MOVE, fingerprint=preview.fingerprint),
    )
    with organisation_scope(anna.actor.organisation_id):
        first, second = Administration.objects.order_by("pk")
    assert first.pk == administrations[0].pk
    assert first.connection_id == bert.connection.pk
    assert (second.connection_id, second.status_code) == (anna.connection.pk, "connection_removed")


def test_a_new_owner_takes_over_by_signing_in_and_not_before(anna: Connected, colleague: Any) -> None:
    import_first(anna, 3)
    bert = colleague()
    page(anna, "owner", membership=str(bert.membership_id))
    assert "Ownership transfer to Bert Smit requested" in page(anna).content.decode()
    assert reload_connection(anna).owner_id == anna.actor.membership_id
    anna.sandbox.control(
        "settings", {"people": {"small@sandbox.example": {"reach": 3}}, "reach": {"small@sandbox.example": 3}}
    )
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    assert ownership.complete_transfer(bert, anna.connection.pk)
    now = reload_connection(anna)
    assert (now.owner_id, now.pending_owner_id, now.account) == (
        bert.membership_id,
        None,
        "small@sandbox.example",
    )
    with organisation_scope(anna.actor.organisation_id):
        grants = {one.account: one for one in Grant.objects.all()}
        serving = set(RemoteCompany.objects.filter(is_listed=True).values_list("grant_id", flat=True))
        assert list(Notification.objects.order_by("pk").values_list("event_type", flat=True)) == [
            "transfer_requested",
            "transfer_completed",
        ]
    assert serving == {grants["small@sandbox.example"].pk}
    assert event_kinds(anna)[-1] == "owner_changed"


def test_the_present_owner_is_no_choice_but_takes_a_request_back(anna: Connected, colleague: Any) -> None:
    choice = '<option value="{}"'.format
    assert "No other user can take it over" in page(anna).content.decode()
    bert = colleague()
    text = page(anna).content.decode()
    assert choice(bert.membership_id) in text
    assert choice(anna.actor.membership_id) not in text
    assert "Cancel transfer" not in text
    page(anna, "owner", membership=str(bert.membership_id))
    assert "Cancel transfer" in page(anna).content.decode()
    page(anna, "owner", membership=str(anna.actor.membership_id))
    assert (reload_connection(anna).owner_id, reload_connection(anna).pending_owner_id) == (
        anna.actor.membership_id,
        None,
    )


def test_an_account_that_reaches_less_takes_over_nothing(anna: Connected, colleague: Any) -> None:
    administrations = import_first(anna, 3)
    bert = colleague()
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    with pytest.raises(ConsentRefused) as caught:
        ownership.complete_transfer(bert, anna.connection.pk)
    assert administrations[1].name in str(caught.value)
    assert "demo@sandbox.example" in str(caught.value)
    now = reload_connection(anna)
    assert (now.owner_id, now.account, now.state) == (
        anna.actor.membership_id,
        "demo@sandbox.example",
        "active",
    )
    with organisation_scope(anna.actor.organisation_id):
        assert RemoteCompany.objects.filter(grant__subject=Grant.objects.earliest("pk").subject).count() == 8


def test_after_an_account_that_reached_less_the_right_one_takes_over(anna: Connected, colleague: Any) -> None:
    """Bert's first account reaches one company of three; he signs in with another one."""
    import_first(anna, 3)
    bert = colleague()
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    anna.sandbox.control("settings", {"reach": {"none@sandbox.example": 1}})
    sign_in(anna, "transfer", by=bert, user="none@sandbox.example")
    with pytest.raises(ConsentRefused):
        ownership.complete_transfer(bert, anna.connection.pk)
    anna.sandbox.control("settings", {"reach": {"small@sandbox.example": 3}})
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    assert ownership.complete_transfer(bert, anna.connection.pk)
    assert reload_connection(anna).account == "small@sandbox.example"


def test_the_account_that_it_runs_on_may_stay_while_its_owner_changes(
    anna: Connected, colleague: Any
) -> None:
    """A service account of the firm: Bert knows its password."""
    import_first(anna, 2)
    bert = colleague()
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert)
    assert ownership.complete_transfer(bert, anna.connection.pk)
    now = reload_connection(anna)
    assert (now.owner_id, now.pending_owner_id, now.account) == (
        bert.membership_id,
        None,
        "demo@sandbox.example",
    )


def test_the_previous_candidate_loses_their_sign_in(anna: Connected, colleague: Any) -> None:
    import_first(anna, 1)
    bert, carl = colleague(), colleague(name="Carl Bos")
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, carl.membership_id)
    with pytest.raises(ConsentRefused, match="not being transferred to you"):
        sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    with organisation_scope(anna.actor.organisation_id):
        assert Grant.objects.get(is_pending_transfer=True).invalid_code == "superseded"
    assert not ownership.complete_transfer(bert, anna.connection.pk)
    assert reload_connection(anna).owner_id == anna.actor.membership_id


def test_where_each_sign_in_is_for_one_company_a_take_over_ends_with_the_last(
    connected: MakeConnected, actor: Any
) -> None:
    """Bert signs in for the first company and then the second; later Carl takes over from him, whose tokens
    are newer.
    """
    anna = connected("company_per_sign_in")
    tenants = [one["tenant_id"] for one in anna.sandbox.companies()[:2]]
    sign_in(anna, "add_company", tenant=tenants[1], anew=True)
    sync_company_list(anna.actor, anna.connection.pk)
    import_first(anna, 2)
    with installation_scope("test"):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    bert, carl = actor("team_leader", firm, "Bert Smit"), actor("team_leader", firm, "Carl Bos")
    anna.sandbox.control("settings", {"reach": {"small@sandbox.example": 2, "none@sandbox.example": 2}})
    for person, account in ((bert, "small@sandbox.example"), (carl, "none@sandbox.example")):
        before = reload_connection(anna)
        call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, person.membership_id)
        sign_in(anna, "transfer", by=person, user=account, tenant=tenants[0])
        assert not ownership.complete_transfer(person, anna.connection.pk)
        assert (reload_connection(anna).owner_id, reload_connection(anna).account) == (
            before.owner_id,
            before.account,
        )
        with organisation_scope(anna.actor.organisation_id):  # renewed meanwhile, as every hour
            Grant.objects.filter(company_id=tenants[1]).update(issued_at=timezone.now() + timedelta(hours=1))
        sign_in(anna, "transfer", by=person, user=account, tenant=tenants[1])
        assert ownership.complete_transfer(person, anna.connection.pk)
        assert (reload_connection(anna).owner_id, reload_connection(anna).account) == (
            person.membership_id,
            account,
        )
    with organisation_scope(anna.actor.organisation_id):
        assert set(RemoteCompany.objects.values_list("grant__account", flat=True)) == {"none@sandbox.example"}
        living = Grant.objects.filter(invalid_since=None)
        assert set(living.values_list("account", flat=True)) == {"none@sandbox.example"}


def test_a_take_over_may_use_one_account_per_company(connected: MakeConnected, actor: Any) -> None:
    """One of Bert's accounts reaches the first company only, the other the second."""
    anna = connected("company_per_sign_in")
    tenants = [one["tenant_id"] for one in anna.sandbox.companies()[:2]]
    sign_in(anna, "add_company", tenant=tenants[1], anew=True)
    sync_company_list(anna.actor, anna.connection.pk)
    administrations = import_first(anna, 2)
    with installation_scope("test"):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    bert = actor("team_leader", firm, "Bert Smit")
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    anna.sandbox.control("settings", {"reach": {"small@sandbox.example": 1, "none@sandbox.example": 2}})
    assert "still has to sign in" not in page(anna).content.decode()
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example", tenant=tenants[0])
    assert not ownership.complete_transfer(bert, anna.connection.pk)
    assert (
        f"Bert Smit still has to sign in for {administrations[1].name} with"
        in page(anna, by=bert).content.decode()
    )
    sign_in(anna, "transfer", by=bert, user="none@sandbox.example", tenant=tenants[1])
    assert ownership.complete_transfer(bert, anna.connection.pk)
    now = reload_connection(anna)
    assert (now.owner_id, now.pending_owner_id, now.account) == (
        bert.membership_id,
        None,
        "none@sandbox.example",
    )
    with organisation_scope(anna.actor.organisation_id):
        serving = RemoteCompany.objects.order_by("pk").values_list("external_id", "grant__account")
        assert dict(serving) == {tenants[0]: "small@sandbox.example", tenants[1]: "none@sandbox.example"}
        assert Grant.objects.filter(invalid_since=None).count() == 2


def test_a_service_connection_has_a_new_owner_at_once(anna: Connected, colleague: Any) -> None:
    """Nobody signs in there, so there is nothing to wait for."""
    app = register_app(anna.sandbox, "service")
    tenant = anna.sandbox.companies()[0]["tenant_id"]
    added = call_in_scope(anna, add_companies, anna.actor, app.pk, [tenant])
    bert = colleague()
    assert call_in_scope(
        anna, ownership.request_transfer, anna.actor, added.connection_id, bert.membership_id
    )
    with organisation_scope(anna.actor.organisation_id):
        now = Connection.objects.get(pk=added.connection_id)
        assert (now.owner_id, now.pending_owner_id, now.state) == (bert.membership_id, None, "active")


def test_concurrent_submissions_create_one_connection(anna: Connected) -> None:
    """Two sign-ins of one new account, and a list of ids that is sent twice."""
    app = register_app(anna.sandbox, "service")
    tenants = [one["tenant_id"] for one in anna.sandbox.companies()]
    together = Barrier(2)

    def sign_in_too() -> None:
        together.wait()
        sign_in(anna, "connect", anew=True, user="small@sandbox.example")
        together.wait()
        call_in_scope(anna, add_companies, anna.actor, app.pk, tenants)
        connections.close_all()

    with ThreadPoolExecutor(2) as tabs:
        for tab in [tabs.submit(sign_in_too) for _twice in range(2)]:
            tab.result()
    with organisation_scope(anna.actor.organisation_id):
        accounts = sorted(Connection.objects.values_list("account", flat=True))
        assert RemoteCompany.objects.filter(connection__app=app).count() == len(tenants)
    assert accounts == ["Visma.net service account", "demo@sandbox.example", "small@sandbox.example"]


def test_an_account_that_was_given_back_connects_anew(anna: Connected, colleague: Any) -> None:
    """Anna's own account is hers again: neither does it sign Bert's connection in, nor is a new one his."""
    import_first(anna, 1)
    bert = colleague()
    call_in_scope(anna, ownership.request_transfer, anna.actor, anna.connection.pk, bert.membership_id)
    sign_in(anna, "transfer", by=bert, user="small@sandbox.example")
    ownership.complete_transfer(bert, anna.connection.pk)
    with pytest.raises(ConsentRefused, match="belongs to small"):
        sign_in(anna, "reconnect")
    sign_in(anna, "connect", anew=True)
    with organisation_scope(anna.actor.organisation_id):
        accounts = dict(Connection.objects.values_list("account", "owner_id"))
    assert accounts == {
        "small@sandbox.example": bert.membership_id,
        "demo@sandbox.example": anna.actor.membership_id,
    }


def test_only_the_chosen_person_takes_over(anna: Connected, colleague: Any) -> None:
    with pytest.raises(ConsentRefused, match="not being transferred to you"):
        sign_in(anna, "transfer", by=colleague(), user="small@sandbox.example")
    with pytest.raises(Refused):
        call_in_scope(
            anna, ownership.request_transfer, anna.actor, anna.connection.pk, colleague("user").membership_id
        )
    with pytest.raises(NotAllowed):
        call_in_scope(anna, lifecycle.pause_connection, colleague("user_plus", "Carl"), anna.connection.pk)


def test_a_leaving_owner_hands_over_all_connections_at_once(anna: Connected, colleague: Any) -> None:
    import_first(anna, 2)
    bert = colleague("administrator")
    with organisation_scope(anna.actor.organisation_id):
        Membership.objects.filter(pk=anna.actor.membership_id).update(is_active=False)
    from koppel.connections.health.expiry import notify_expiring_and_review_owners

    notify_expiring_and_review_owners()
    with organisation_scope(anna.actor.organisation_id):
        assert Issue.objects.get(resolved_at=None).code == "owner_left"
    browser = Client()
    browser.force_login(User.objects.get(pk=bert.user_id))
    address = f"/connections/offboarding/{anna.actor.membership_id}/"
    assert "syncing stops for 2 administrations" in browser.get(address).content.decode()
    post_and_confirm(browser, address, {"membership": str(bert.membership_id)})
    answer = browser.post(address, {"membership": str(bert.membership_id)}, follow=True)
    assert "Nothing left to transfer." in answer.content.decode()
    assert reload_connection(anna).pending_owner_id == bert.membership_id
    assert event_kinds(anna).count("transfer_requested") == 1


def test_colleagues_import_released_companies(anna: Connected, colleague: Any) -> None:
    bert = colleague("user_plus")

    def seen(by: Actor) -> int:
        with organisation_scope(anna.actor.organisation_id):
            return companies_of(by, Connection.objects.get(pk=anna.connection.pk)).count()

    assert (seen(anna.actor), seen(bert)) == (8, 8)
    page(anna, "import-policy", import_policy="none")
    assert (seen(anna.actor), seen(bert)) == (8, 0)
    chosen = companies(anna)[2]
    page(anna, "import-policy", import_policy="selected", companies=str(chosen.pk))
    assert (seen(anna.actor), seen(bert)) == (8, 1)
    released = ImportPolicyInput(policy=ImportPolicy.ALL)
    assert call_in_scope(anna, lifecycle.set_import_policy, anna.actor, anna.connection.pk, released) == 8


def test_all_broken_connections_are_repaired_from_one_page(anna: Connected, connected: MakeConnected) -> None:
    small = connected(actor=anna.actor, user="small@sandbox.example")
    import_first(anna, 3)
    from koppel.connections.health.states import require_reauth

    for firm in (anna, small):
        with organisation_scope(anna.actor.organisation_id):
            Grant.objects.filter(connection=firm.connection).update(invalid_since="2026-01-01T00:00:00Z")
        require_reauth(
            anna.actor.organisation_id,
            firm.connection.pk,
            "The consent at Visma has expired or was withdrawn.",
        )
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    text = browser.get("/connections/").content.decode()
    assert "2 connections need you to sign in again" in text
    assert "3 administrations wait" in text
    page_text = browser.get("/connections/reconnect/").content.decode()
    assert "0 of 2 signed in again" in page_text
    since = page_text.partition('name="since" value="')[2].partition('"')[0]
    answer = browser.post(f"/connections/{anna.connection.pk}/reconnect", {"since": since})
    inbound = anna.sandbox.sign_in(answer.headers["Location"])
    on = browser.get("/connections/consent/callback", inbound)
    back = browser.get(on.headers["Location"])
    assert back.headers["Location"].startswith("/connections/reconnect/?since=")
    assert "1 of 2 signed in again" in browser.get(back.headers["Location"]).content.decode()
    assert reload_connection(anna).state == "active"
    assert statuses(anna) == {Status.QUEUED}
