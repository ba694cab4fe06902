"""Re-authentication through the identity provider: it must say that the person has just signed in there."""

from typing import Any

import pytest

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import ApiToken
from koppel.organisations.roles import Actor
from tests.organisations.provider_processes import (
    Idp,
    begin,
    configure,
    get_redirect,
    link,
    open_address,
    query_of,
    sign_in_through_provider,
)

TOKEN = ("/account/tokens/", {"name": "Backup", "days": "90", "access": "read"})


@pytest.fixture
def admin(actor: Any, idp: Idp) -> Actor:
    person: Actor = actor("administrator")
    configure(person, idp)
    idp.says(sub="7")
    link(person, person)
    return person


def tokens(admin: Actor) -> int:
    with organisation_scope(admin.organisation_id):
        return ApiToken.objects.count()


def test_a_sign_in_that_the_provider_did_not_ask_for_is_no_recent_one(admin: Actor, idp: Idp) -> None:
    idp.control(signed_in_ago=3600)
    client = sign_in_through_provider(admin).client
    assert client.post(*TOKEN).status_code == 302
    assert tokens(admin) == 0
    idp.control(signed_in_ago=0)
    address = begin(admin, client)
    assert {"prompt": "login", "max_age": "0"}.items() <= query_of(address).items()
    assert open_address(client, get_redirect(address)).headers["Location"] == "/"
    assert client.post(*TOKEN).status_code == 200
    assert tokens(admin) == 1


@pytest.mark.parametrize(
    ("fault", "ago", "reason"),
    [
        ("no auth_time", 0, "does not say when you signed in"),
        ("", 3600, "did not ask you to sign in again"),
        ("", -7200, "does not say when you signed in"),
    ],
)
def test_what_does_not_show_a_fresh_sign_in_is_refused(
    admin: Actor, idp: Idp, fault: str, ago: int, reason: str
) -> None:
    idp.control(fault=fault, signed_in_ago=ago)
    client = sign_in_through_provider(admin).client
    assert client.get("/").status_code == 200, "it signs in all the same"
    assert client.post(*TOKEN).status_code == 302
    refused = sign_in_through_provider(admin, client)
    assert (refused.status_code, reason in refused.content.decode()) == (403, True)
    assert client.get("/").status_code == 200, "the session stays as it was"
    assert client.post(*TOKEN).status_code == 302
    assert tokens(admin) == 0
