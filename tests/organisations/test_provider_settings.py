"""The settings of an organisation's identity provider: switched on, changed and switched off."""

from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import domain_owners
from koppel.organisations.bootstrap import shell_operator
from koppel.organisations.models import IdentityProvider, Organisation, User
from koppel.organisations.roles import Actor
from koppel.organisations.sso import links
from koppel.organisations.sso import services as single_sign_on
from tests.fixtures.people import signed_in
from tests.organisations.identity_provider import CLIENT_ID, CLIENT_SECRET
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    configure,
    email_of,
    link,
    provider_id,
    sign_in_through_provider,
)


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
