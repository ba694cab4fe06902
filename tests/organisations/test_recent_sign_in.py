"""A session that somebody else sits down at makes no API token and changes no single sign-on."""

import time
from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import ApiToken, IdentityProvider
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
