"""Single sign-on with an organisation's own identity provider, a separate process."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.test import Client
from django.utils import timezone

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import domain_owners
from koppel.organisations.bootstrap import shell_operator
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import FederatedIdentity, IdentityProvider, Membership, Organisation, User
from koppel.organisations.people import operators
from koppel.organisations.roles import Actor, Role
from koppel.organisations.sso import links
from koppel.organisations.sso import services as single_sign_on
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.people import PASSWORD, signed_in
from tests.fixtures.stack import wait_until
from tests.organisations.identity_provider import CLIENT_ID, CLIENT_SECRET
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    begin,
    configure,
    email_of,
    get_redirect,
    link,
    open_address,
    provider_id,
    running_idp,
    sign_in_through_provider,
)


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Idp]:
    with running_idp() as idp:
        yield idp


@pytest.fixture
def idp(running_provider: Idp) -> Idp:
    running_provider.reset()
    return running_provider


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


def test_a_member_signs_in_and_is_known_by_subject_from_then_on(admin: Actor, idp: Idp) -> None:
    idp.says()
    assert "The identity provider works" in configure(admin, idp)
    idp.says(sub="7", email=email_of(admin).upper(), email_verified=True)
    assert "From now on you can sign in with Inlog" in link(admin, admin).content.decode()
    idp.says(sub="7", email="renamed@example.test", email_verified=False)
    answer = sign_in_through_provider(admin)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert answer.client.get("/").status_code == 200


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


def test_the_answer_to_a_stranger_does_not_say_whether_there_is_an_account(
    admin: Actor, actor: Any, idp: Idp
) -> None:
    idp.says()
    configure(admin, idp)
    pages = set()
    for email in ("unknown@example.test", email_of(actor("administrator")), email_of(admin)):
        idp.says(sub=email, email=email, email_verified=True)
        answer = sign_in_through_provider(admin)
        assert answer.status_code == 403
        changing = r'name="csrfmiddlewaretoken" value="[^"]*"|/callback[?][^"]*'
        pages.add(re.sub(changing, "", answer.content.decode()))
    assert len(pages) == 1


def test_who_is_invited_becomes_a_member_by_the_first_sign_in(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        invitations.invite(admin, InvitationInput(email="nieuw@example.test"))
    idp.says(sub="10", email="nieuw@example.test", email_verified=True, name="Noor")
    assert sign_in_through_provider(admin).status_code == 302
    with installation_scope("test"):
        membership = Membership.objects.select_related("user").get(user__email="nieuw@example.test")
    assert (membership.user.name, membership.user.has_usable_password()) == ("Noor", False)


def test_an_invitation_outside_a_later_rule_is_not_accepted_by_single_sign_on_either(
    admin: Actor, idp: Idp
) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        invitations.invite(admin, InvitationInput(email="nieuw@example.test"))
        Organisation.objects.update(email_domains=["kantoor.nl"])
    idp.says(sub="10", email="nieuw@example.test", email_verified=True, name="Noor")
    answer = sign_in_through_provider(admin)
    assert answer.status_code == 403
    assert "accepts addresses of kantoor.nl" in answer.content.decode()


@pytest.mark.parametrize(
    "fault",
    [
        "nonce",
        "strange nonce",
        "audience",
        "expired",
        "key",
        "unsigned",
        "symmetric",
        "azp",
        "no azp",
        "lone azp",
        "issuer of token",
        "long subject",
        "huge keys",
    ],
)
def test_an_invalid_proof_is_refused(admin: Actor, idp: Idp, fault: str) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7", email=email_of(admin), email_verified=True)
    link(admin, admin)
    assert sign_in_through_provider(admin).status_code == 302
    idp.says(fault, sub="7", email=email_of(admin), email_verified=True)
    answer = sign_in_through_provider(admin)
    assert answer.status_code == 403
    assert answer.client.get("/").status_code == 302
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.filter(action="sign_in.refused").count() == 1


def test_an_answer_for_another_browser_is_refused(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7")
    link(admin, admin)
    other_browser = Client()
    begin(admin, other_browser)
    answer = get_redirect(begin(admin, Client()))
    assert open_address(other_browser, answer).status_code == 400
    assert other_browser.get("/").status_code == 302


def test_an_answer_serves_once(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7")
    link(admin, admin)
    client = Client()
    answer = get_redirect(begin(admin, client))
    assert open_address(client, answer).status_code == 302
    client.post("/accounts/logout/")
    assert open_address(client, answer).status_code == 400


def test_two_tabs_on_their_way_at_once_both_come_back(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="nobody yet")
    client = Client()
    first, second = (get_redirect(begin(admin, client)) for _tab in range(2))
    assert [open_address(client, answer).status_code for answer in (first, second)] == [403, 403]
    with organisation_scope(admin.organisation_id):
        assert not AuditEntry.objects.filter(action="sign_in.refused").exists()


def test_a_page_shows_the_provider_before_the_redirect(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(name="Kantoor Noord")
    careful = Client(enforce_csrf_checks=True)
    address = f"/sign-in/{provider_id(admin)}/"
    page = careful.get(address)
    assert page.status_code == 200
    words = page.content.decode()
    assert all(
        word in words for word in ("Kantoor Noord", idp.issuer.removeprefix("http://"), "Continue to Inlog")
    )
    assert careful.post(address).status_code == 403
    assert "form-action 'self' https:" in page.headers["Content-Security-Policy"]


def test_the_redirect_address_is_there_before_anything_else_is_known(admin: Actor, idp: Idp) -> None:
    client = signed_in(admin)
    assert "Set up single sign-on" in client.get(SECURITY).content.decode()
    page = client.post(SECURITY + "provider/prepare", follow=True).content.decode()
    address = f"/sign-in/{provider_id(admin)}/callback"
    assert address in page
    assert "Incomplete" in page
    assert client.get(f"/sign-in/{provider_id(admin)}/").status_code == 404
    assert (
        "Complete the identity provider settings first"
        in client.post(SECURITY + "provider/test", follow=True).content.decode()
    )
    form = {"name": "Inlog", "issuer": idp.issuer, "client_id": CLIENT_ID}
    assert "are required" in client.post(SECURITY + "provider", form, follow=True).content.decode()
    assert "The identity provider works" in configure(admin, idp)
    idp.control(redirect_uris=[settings.PUBLIC_URL + address])
    idp.says(sub="7")
    assert sign_in_through_provider(admin).status_code == 403, (
        "The provider accepted the address, and nobody is linked yet."
    )


def test_the_address_that_all_providers_shared_is_gone(client: Client, clean_database: None) -> None:
    assert client.get("/sign-in/callback?code=x&state=y").status_code == 404


@pytest.mark.parametrize(
    ("fault", "changed", "words"),
    [
        ("issuer", {}, "uses a different address"),
        ("", {"client_secret": "wrong"}, "does not accept this client id"),
        ("", {"issuer": "http://127.0.0.1:9/"}, "cannot be reached"),
    ],
)
def test_a_provider_that_does_not_hold_stays_off(
    admin: Actor, idp: Idp, fault: str, changed: dict[str, str], words: str
) -> None:
    idp.says(fault)
    assert words in configure(admin, idp, **changed)
    with organisation_scope(admin.organisation_id):
        provider = IdentityProvider.objects.get()
    assert not provider.is_active
    assert Client().get(f"/sign-in/{provider.pk}/").status_code == 404


def test_the_secret_is_sealed_and_never_shown(admin: Actor, idp: Idp) -> None:
    idp.says()
    page = configure(admin, idp)
    assert CLIENT_SECRET not in page
    with organisation_scope(admin.organisation_id):
        assert CLIENT_SECRET.encode() not in bytes(IdentityProvider.objects.get().client_secret)


def test_the_only_organisation_names_a_domain_and_it_leads_nowhere_until_verified(
    admin: Actor, idp: Idp
) -> None:
    """A second organisation may come, and the rule is the same then."""
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(email_domains=["kantoor.nl"])
    assert "Use your password" in Client().post("/sign-in/", {"email": "x@kantoor.nl"}).content.decode()
    domain_owners.confirm(shell_operator("shell", ""), admin.organisation_id, "kantoor.nl")
    assert "Continue to Inlog" in Client().post("/sign-in/", {"email": "anybody@Kantoor.nl"}).content.decode()
    assert "Use your password" in Client().post("/sign-in/", {"email": "x@gmail.test"}).content.decode()


def test_switching_off_ends_the_sessions_that_began_so_and_no_others(
    admin: Actor, actor: Any, idp: Idp
) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    colleague, elsewhere = actor("user", organisation=firm), actor("user")
    by_provider, by_password, other_firm = Client(), signed_in(colleague), signed_in(elsewhere)
    idp.says(sub="7", email=email_of(colleague), email_verified=True)
    link(admin, colleague)
    sign_in_through_provider(admin, by_provider)
    page = signed_in(admin).get(SECURITY).content.decode()
    assert "1 session uses it" in page
    assert "Your session is one of them" not in page
    page = signed_in(admin).post(SECURITY + "provider/off", follow=True).content.decode()
    assert "1 session ended" in page
    assert [one.get("/").status_code for one in (by_provider, by_password, other_firm)] == [302, 200, 200]
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.get(action="identity_provider.disabled").details == {
            "sessions_ended": 1,
            "tokens_revoked": 0,
        }


def test_who_switches_off_what_let_them_in_signs_in_anew(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7", email=email_of(admin), email_verified=True)
    link(admin, admin)
    client = sign_in_through_provider(admin).client
    assert "Your session is one of them" in client.get(SECURITY).content.decode()
    last = client.post(SECURITY + "provider/off", follow=True)
    assert last.redirect_chain[-1][0].startswith("/accounts/login/")


def test_another_provider_keeps_no_session_of_the_one_before(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7", email=email_of(admin), email_verified=True)
    link(admin, admin)
    client = sign_in_through_provider(admin).client
    configure(admin, idp, client_secret="")
    assert client.get("/").status_code == 200, "The same provider vouches on."
    configure(admin, idp, issuer="https://login.elsewhere.test")
    assert client.get("/").status_code == 302


def test_a_provider_disabled_during_the_sign_in_is_refused(
    admin: Actor, idp: Idp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off between the provider's answer and the session."""
    idp.says()
    configure(admin, idp)
    idp.says(sub="7", email=email_of(admin), email_verified=True)
    link(admin, admin)
    find_or_create = links.find_or_create_member

    def find_and_go_off(*arguments: Any) -> User | None:
        user = find_or_create(*arguments)
        with organisation_scope(admin.organisation_id):
            single_sign_on.disable_provider(admin)
        return user

    monkeypatch.setattr(links, "find_or_create_member", find_and_go_off)
    answer = sign_in_through_provider(admin)
    assert answer.status_code == 403
    assert answer.client.get("/").status_code == 302


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


@pytest.mark.parametrize("fault", ["no text", "port"])
def test_a_provider_that_describes_itself_in_nonsense_is_refused_with_a_sentence(
    admin: Actor, idp: Idp, fault: str
) -> None:
    idp.says(fault)
    assert "No configuration found at this address" in configure(admin, idp)
    idp.says()
