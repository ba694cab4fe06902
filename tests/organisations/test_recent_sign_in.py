"""A session that somebody else sits down at makes no API token, no Administrator and no hole in the rules."""

import time
from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import ApiToken, IdentityProvider, Invitation, Membership
from koppel.organisations.requests import RECENT_SECONDS, SIGNED_IN_AT
from koppel.organisations.roles import Actor
from tests.fixtures.people import PASSWORD, signed_in
from tests.organisations.identity_provider import CLIENT_ID
from tests.organisations.provider_processes import SECURITY

TOKEN = ("/account/tokens/", {"name": "Backup", "days": "90", "access": "read"})


def hours_later(client: Client) -> None:
    session = client.session
    session[SIGNED_IN_AT] = time.time() - RECENT_SECONDS - 1
    session.save()


@pytest.mark.parametrize(
    ("path", "form"),
    [
        TOKEN,
        (SECURITY + "provider", {"name": "x", "issuer": "https://x.example", "client_id": CLIENT_ID}),
        (SECURITY + "provider/prepare", {}),
        (SECURITY + "provider/off", {}),
        (SECURITY + "provider/test", {}),
        ("/organisation/webhooks/1/secret", {}),
        (SECURITY, {"require_mfa": "", "allowed_networks": "", "audit_years": "1"}),
        (SECURITY + "domains", {"domain": "kantoor.example"}),
        (SECURITY + "support", {"hours": "72"}),
        ("/organisation/people/1/second-step", {}),
        ("/organisation/people/invite/", {"email": "eve@evil.example", "role": "administrator"}),
    ],
)
def test_an_old_session_is_led_to_a_proof_first(actor: Any, path: str, form: dict[str, str]) -> None:
    admin: Actor = actor("administrator")
    client = signed_in(admin)
    hours_later(client)
    answer = client.post(path, form)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/reauthenticate/?next=%2F")
    with organisation_scope(admin.organisation_id):
        assert not ApiToken.objects.exists()
        assert not IdentityProvider.objects.exists()


def test_after_the_password_it_goes_on(actor: Any) -> None:
    admin: Actor = actor("administrator")
    client = signed_in(admin)
    hours_later(client)
    assert client.get(TOKEN[0]).status_code == 200, "reading needs no proof"
    leads_to = client.post(*TOKEN).headers["Location"]
    assert client.post(leads_to, {"password": "wrong"}).status_code == 200
    assert client.post(*TOKEN).status_code == 302
    assert client.post(leads_to, {"password": PASSWORD}).headers["Location"] == TOKEN[0]
    assert client.post(*TOKEN).status_code == 200
    with organisation_scope(admin.organisation_id):
        assert ApiToken.objects.count() == 1


def test_an_old_session_gives_and_takes_no_role_of_an_administrator(actor: Any, organisation: Any) -> None:
    firm = organisation()
    admin, user, other = (actor(role, firm) for role in ("administrator", "user", "administrator"))
    client = signed_in(admin)
    hours_later(client)
    for membership_id, role in ((user.membership_id, "administrator"), (other.membership_id, "reader")):
        path = f"/organisation/people/{membership_id}/"
        assert "/accounts/reauthenticate/" in client.post(path, {"role": role}).headers["Location"]
        answer = client.put(
            f"/api/v1/people/{membership_id}", {"role": role}, content_type="application/json"
        )
        assert (answer.status_code, answer.json()["error"]) == (403, "recent_sign_in_required")
    lines = {"text": "eve@evil.example; Eve; Administrator", "confirmed": "1"}
    assert "/accounts/reauthenticate/" in client.post("/organisation/people/invite/many/", lines)["Location"]
    answer = client.post(
        "/api/v1/people/invitations",
        {"email": "eve@evil.example", "role": "administrator"},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["error"]) == (403, "recent_sign_in_required")
    with organisation_scope(admin.organisation_id):
        roles = dict(Membership.objects.values_list("pk", "role"))
        assert not Invitation.objects.exists()
    assert (roles[user.membership_id], roles[other.membership_id]) == ("user", "administrator")


def test_an_old_session_still_invites_a_user(actor: Any) -> None:
    admin: Actor = actor("administrator")
    client = signed_in(admin)
    hours_later(client)
    answer = client.post("/organisation/people/invite/", {"email": "new@kantoor.example", "role": "user"})
    assert answer.headers["Location"] == "/organisation/people/"
