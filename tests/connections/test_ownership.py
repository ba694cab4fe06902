"""A connection gets a new owner, who signs in with an account of their own."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.connections import lifecycle
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent.service_companies import add_companies
from koppel.connections.errors import ConsentRefused
from koppel.connections.lifecycle import ownership
from koppel.connections.models import Connection, Grant, RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Notification
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.models import Membership, Organisation, User
from tests.connections.factories import (
    event_kinds,
    import_first,
    reload_connection,
    sign_in,
)
from tests.connections.lifecycle_steps import anna, call_in_scope, colleague, page
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.stack import Connected, MakeConnected, register_app

__all__ = ["anna", "colleague"]


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
