"""An organisation that requires single sign-on, and everyone who could be locked out by it."""

import time
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Notification
from koppel.organisations.access import api_tokens, sso_requirement
from koppel.organisations.models import IdentityProvider, Membership, Organisation
from koppel.organisations.roles import Actor, Role
from tests.fixtures.people import signed_in
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    configure,
    email_of,
    link,
    provider_id,
    sign_in_through_provider,
)
from tests.organisations.test_domains import shell

REQUIRE, ALLOW = SECURITY + "provider/require", SECURITY + "provider/allow-others"


@pytest.fixture
def admin(actor: Any, idp: Idp) -> Actor:
    """Signs in with the provider as *ada*."""
    person: Actor = actor("administrator", name="Ada")
    configure(person, idp)
    idp.says(sub="ada")
    link(person, person)
    return person


@pytest.fixture
def sso_session(admin: Actor) -> Client:
    """The Administrator's session, which the provider opened; single sign-on is required."""
    client = sign_in_through_provider(admin).client
    assert "Single sign-on is now required" in client.post(REQUIRE, follow=True).content.decode()
    return client  # type: ignore[no-any-return]


def audited(admin: Actor) -> list[str]:
    with organisation_scope(admin.organisation_id):
        actions = AuditEntry.objects.filter(
            action__in=["identity_provider.required", "identity_provider.optional"]
        )
        return list(actions.order_by("pk").values_list("action", flat=True))


def list_notified(admin: Actor) -> list[str]:
    with organisation_scope(admin.organisation_id):
        rows = Notification.objects.filter(
            membership_id=admin.membership_id, event__event_type__startswith="sso_"
        )
        return list(rows.order_by("pk").values_list("event__event_type", flat=True))


def test_only_who_signed_in_with_the_provider_may_require_it(admin: Actor, idp: Idp) -> None:
    refused = signed_in(admin).post(REQUIRE, follow=True).content.decode()
    assert "Sign in with Inlog first" in refused
    idp.control(signed_in_ago=3600)
    silent = sign_in_through_provider(admin).client
    assert silent.post(REQUIRE).headers["Location"] == f"/sign-in/{provider_id(admin)}/"
    assert audited(admin) == []
    assert signed_in(admin).get("/").status_code == 200


def test_a_password_no_longer_opens_the_organisation(admin: Actor, sso_session: Client, actor: Any) -> None:
    """A session from before is held too; an API token works on, and another organisation stays open."""
    client = signed_in(admin)
    page = client.get("/")
    assert (page.status_code, "can only be opened with Inlog" in page.content.decode()) == (403, True)
    assert client.get("/api/v1/me").json() == {"error": "single_sign_on_required"}
    assert client.post(SECURITY, {"audit_years": "1"}).status_code == 403
    assert sso_session.get("/").status_code == 200
    with organisation_scope(admin.organisation_id):
        _token, text = api_tokens.create_token(admin, name="x", days=30, role=None, read_only=True)
    bearer = {"Authorization": f"Bearer {text.reveal()}"}
    assert Client().get("/api/v1/me", headers=bearer).status_code == 200
    other: Actor = actor("administrator", name="Eve")
    with organisation_scope(other.organisation_id):
        Membership.objects.create(
            organisation_id=other.organisation_id, user_id=admin.user_id, role=Role.READER
        )
    assert client.post("/account/organisations/", {"organisation": other.organisation_id}).status_code == 302
    assert client.get("/").status_code == 200
    assert (audited(admin), list_notified(admin)) == (["identity_provider.required"], ["sso_required"])


def test_a_member_who_is_not_linked_yet_links_and_comes_in(
    admin: Actor, sso_session: Client, actor: Any, idp: Idp
) -> None:
    """Also the only Administrator who is left, when the one who required it goes."""
    with installation_scope("the same firm"):
        firm = Organisation.objects.get(pk=admin.organisation_id)
    successor: Actor = actor("administrator", organisation=firm, name="Bob")
    with organisation_scope(admin.organisation_id):
        Membership.objects.filter(pk=admin.membership_id).update(is_active=False)
    assert signed_in(successor).get("/").status_code == 403
    idp.says(sub="bob", email=email_of(successor), email_verified=True)
    linked = link(admin, successor)
    assert linked.redirect_chain[-1][0] == f"/sign-in/{provider_id(admin)}/"
    client = sign_in_through_provider(admin).client
    assert client.get(SECURITY).status_code == 200
    client.post(ALLOW)
    assert signed_in(successor).get("/").status_code == 200


@pytest.mark.parametrize("end", ["switched off", "changed", "deleted"])
def test_a_provider_that_is_not_in_use_locks_nobody_out(
    admin: Actor, sso_session: Client, idp: Idp, end: str
) -> None:
    if end == "switched off":
        sso_session.post(SECURITY + "provider/off")
    elif end == "changed":
        form = {"name": "Inlog", "issuer": idp.issuer, "client_id": "another"}
        assert sso_session.post(SECURITY + "provider", form).status_code == 302
    else:
        with organisation_scope(admin.organisation_id):
            IdentityProvider.objects.all().delete()
    assert signed_in(admin).get("/").status_code == 200
    assert signed_in(admin).get(SECURITY).status_code == 200
    if end == "switched off":
        assert audited(admin)[-1] == "identity_provider.optional"
        assert list_notified(admin) == ["sso_required", "sso_optional"]
    if end == "changed":
        configure(admin, idp)
        assert signed_in(admin).get("/").status_code == 403, "tested, it is in force again"


def test_the_operator_lets_a_firm_in_whose_provider_is_dead_and_notifies_it(
    admin: Actor, sso_session: Client
) -> None:
    shell("allow-password-sign-in", admin.organisation_id)
    assert signed_in(admin).get("/").status_code == 200
    assert audited(admin) == ["identity_provider.required", "identity_provider.optional"]
    assert list_notified(admin) == ["sso_required", "sso_optional"]
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.get(action="identity_provider.optional").actor_kind == "operator"


def test_the_operator_command_repeats_what_the_database_broke_off(
    admin: Actor, sso_session: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine that was suspended for minutes."""
    store, calls = sso_requirement.set_sso_requirement, []

    def suspended_once(actor: Actor, *, required: bool) -> bool:
        calls.append(required)
        if len(calls) == 1:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
            time.sleep(0.3)
        return store(actor, required=required)

    monkeypatch.setattr(sso_requirement, "set_sso_requirement", suspended_once)
    shell("allow-password-sign-in", admin.organisation_id)
    assert len(calls) == 2
    assert audited(admin) == ["identity_provider.required", "identity_provider.optional"]


def test_two_tabs_require_it_once(admin: Actor, sso_session: Client) -> None:
    assert sso_session.post(REQUIRE).status_code == 302
    assert audited(admin) == ["identity_provider.required"]
    assert sso_session.post(ALLOW).status_code == sso_session.post(ALLOW).status_code == 302
    assert audited(admin) == ["identity_provider.required", "identity_provider.optional"]
