"""Which account an identity provider signs in: linked by the person, never by address alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import FederatedIdentity, Membership, Organisation
from koppel.organisations.people import operators
from koppel.organisations.roles import Actor, Role
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.people import PASSWORD, signed_in
from tests.fixtures.stack import wait_until
from tests.organisations.provider_processes import (
    Idp,
    configure,
    email_of,
    link,
    provider_id,
    sign_in_through_provider,
)


@pytest.mark.parametrize("verified", [True, False, "true", None])
def test_a_verified_address_alone_links_no_account(admin: Actor, idp: Idp, verified: Any) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="8", email=email_of(admin), email_verified=verified)
    answer = sign_in_through_provider(admin)
    assert answer.status_code == 403
    assert "not linked to an account yet" in answer.content.decode()
    assert answer.client.get("/").status_code == 302
    with organisation_scope(admin.organisation_id):
        assert not FederatedIdentity.objects.exists()


def test_a_member_links_by_signing_in_once_with_the_password(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="8", email=email_of(admin), email_verified=True)
    client = sign_in_through_provider(admin).client
    page = f"/sign-in/{provider_id(admin)}/link"
    assert client.get(page).headers["Location"].startswith("/accounts/login/")
    entered = client.post(f"/accounts/login/?next={page}", {"login": email_of(admin), "password": PASSWORD})
    assert entered.headers["Location"] == page
    assert "Link sign-in" in client.get(page).content.decode()
    with organisation_scope(admin.organisation_id):
        assert not FederatedIdentity.objects.exists(), "Looking at the page is no act."
    client.post(page)
    assert sign_in_through_provider(admin).headers["Location"] == "/"


def test_a_session_that_a_provider_opened_links_nothing(admin: Actor, idp: Idp) -> None:
    """Whoever holds the provider holds that session too."""
    idp.says()
    configure(admin, idp)
    idp.says(sub="first")
    link(admin, admin)
    client = sign_in_through_provider(admin).client
    idp.says(sub="second")
    assert sign_in_through_provider(admin, client).status_code == 403
    assert (
        client.post(f"/sign-in/{provider_id(admin)}/link").headers["Location"].startswith("/accounts/login/")
    )
    with organisation_scope(admin.organisation_id):
        assert [row.subject for row in FederatedIdentity.objects.all()] == ["first"]


def test_who_lacks_the_second_step_that_the_organisation_requires_links_nothing(
    admin: Actor, idp: Idp
) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(requires_mfa=True)
    idp.says(sub="8")
    client = signed_in(admin)
    page = sign_in_through_provider(admin, client).headers["Location"]
    assert "second-step" in client.post(page).headers["Location"]
    with organisation_scope(admin.organisation_id):
        assert not FederatedIdentity.objects.exists()


def test_non_member_cannot_link_identity(admin: Actor, actor: Any, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    stranger = actor("administrator")
    idp.says(sub="8", email=email_of(stranger), email_verified=True)
    assert "not a member" in link(admin, stranger).content.decode()
    with organisation_scope(admin.organisation_id):
        assert not FederatedIdentity.objects.exists()


def test_a_second_subject_is_not_the_same_person(admin: Actor, actor: Any, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        colleague = actor("user", organisation=Organisation.objects.get())
    idp.says(sub="first", email=email_of(admin), email_verified=True)
    link(admin, admin)
    idp.says(sub="second", email=email_of(admin), email_verified=True)
    assert sign_in_through_provider(admin).status_code == 403
    assert "already linked to another identity" in link(admin, admin).content.decode()
    idp.says(sub="second", email=email_of(colleague), email_verified=True)
    link(admin, colleague)
    assert sign_in_through_provider(admin).client.get("/api/v1/me").json()["role"] == "user"


def test_a_provider_gives_no_access_to_other_organisations(admin: Actor, actor: Any, idp: Idp) -> None:
    """Somebody works for two firms. The provider of one vouches for them there, and only there."""
    idp.says()
    configure(admin, idp)
    elsewhere = actor("administrator")
    with organisation_scope(admin.organisation_id):
        both = Membership.objects.create(
            organisation_id=admin.organisation_id, user_id=elsewhere.user_id, role=Role.READER
        )
    idp.says(sub="9", email=email_of(elsewhere), email_verified=True)
    link(admin, elsewhere)
    client = sign_in_through_provider(admin).client
    assert client.get("/api/v1/me").json()["organisation"]["id"] == admin.organisation_id
    client.post("/account/organisations/", {"organisation": elsewhere.organisation_id})
    assert client.get("/api/v1/me").json()["organisation"]["id"] == admin.organisation_id
    for page in (
        "password/change/",
        "password/set/",
        "2fa/",
        "2fa/totp/activate/",
        "2fa/webauthn/add/",
        "reauthenticate/",
        "password/reset/key/1-x/logout/",
    ):
        assert client.get(f"/accounts/{page}").status_code == 403, page
    with organisation_scope(admin.organisation_id):
        Membership.objects.filter(pk=both.pk).update(is_active=False)
    assert client.get("/api/v1/me").status_code in (401, 403)
    assert sign_in_through_provider(admin).status_code == 403


def test_a_provider_cannot_grant_operator_rights_or_see_other_memberships(
    admin: Actor, actor: Any, idp: Idp
) -> None:
    other_firm, operator = actor("administrator"), actor("user", name="Otto")
    operators.grant_operator(email_of(operator), is_operator=True)
    with organisation_scope(other_firm.organisation_id):
        Organisation.objects.update(operator_access_until=timezone.now() + timedelta(hours=2))
    with organisation_scope(admin.organisation_id):
        Membership.objects.create(
            organisation_id=admin.organisation_id, user_id=operator.user_id, role="user"
        )
    own_client = signed_in(operator)
    own_client.post("/account/organisations/", {"organisation": operator.organisation_id}, follow=True)
    configure(admin, idp)
    idp.says(sub="otto", email=email_of(operator), email_verified=True)
    link(admin, operator)
    client = Client()
    sign_in_through_provider(admin, client)
    assert client.get("/api/v1/me").json()["organisation"]["id"] == admin.organisation_id
    assert client.get("/operator/").status_code == 404
    assert client.post("/operator/enter", {"organisation": other_firm.organisation_id}).status_code == 404
    assert client.get("/account/sessions/").content.decode().count('name="id"') == 0
    post_and_confirm(client, "/account/sessions/")
    assert own_client.get("/").status_code == 200, "Sessions of elsewhere are not this organisation's to end."


@contextmanager
def nobody_links_yet() -> Iterator[None]:
    """Holds back whoever is about to write a link, until two have come that far: then they are at it
    together.
    """

    def both_wait() -> bool:
        cursor.execute("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0] >= 2)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE organisations_federated_identity IN SHARE MODE")
        yield
        wait_until(both_wait)


@pytest.mark.parametrize("is_invited", [False, True])
def test_two_first_sign_ins_at_one_instant_both_come_in(admin: Actor, idp: Idp, is_invited: bool) -> None:
    """Two tabs are restored: both sign in somebody invited for the first time, or both link a member."""
    idp.says()
    configure(admin, idp)
    email = email_of(admin)
    if is_invited:
        email = "nieuw@example.test"
        with organisation_scope(admin.organisation_id):
            invitations.invite(admin, InvitationInput(email=email))
    idp.says(sub="7", email=email, email_verified=True)
    answers: list[tuple[int, str]] = []

    def link_in_tab() -> Any:
        client = signed_in(admin)
        return client.post(sign_in_through_provider(admin, client).headers["Location"])

    def sign_in() -> None:
        try:
            answer = sign_in_through_provider(admin) if is_invited else link_in_tab()
            answers.append((answer.status_code, answer.headers.get("Location", "")))
        finally:
            connections.close_all()

    tabs = [threading.Thread(target=sign_in) for _ in range(2)]
    with nobody_links_yet():
        for tab in tabs:
            tab.start()
    for tab in tabs:
        tab.join()
    assert answers == [(302, "/")] * 2
    with organisation_scope(admin.organisation_id):
        assert FederatedIdentity.objects.get().membership.user.email == email
