"""Identity providers as processes, and a browser that signs in from Koppel through one of them."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.token_buckets import TokenBuckets
from koppel.organisations.models import IdentityProvider, User
from koppel.organisations.roles import Actor
from koppel.organisations.sso import calls
from tests.fixtures.people import signed_in
from tests.organisations import identity_provider
from tests.organisations.identity_provider import CLIENT_ID, CLIENT_SECRET

SECURITY = "/organisation/security/"


class Idp:
    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"

    def says(self, fault: str = "", **claims: Any) -> None:
        """From now on it signs in this person, honestly or with this fault."""
        self.control(fault=fault, claims=claims)

    def control(self, *, at_once: bool = True, **state: Any) -> None:
        """Change its state. `at_once`: as if the minutes for which Koppel keeps its metadata were over."""
        if at_once:
            calls.metadata_cache.clear()
        body = json.dumps(state).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.issuer}/__control__", body)).close()

    def reset(self) -> None:
        # Each test has the same ids, and would use up what the tests before it left.
        calls._begun = TokenBuckets(per_minute=calls.BEGINS_PER_MINUTE, burst=calls.BEGINS_BURST)
        self.control(claims={}, fault="", announces=False, redirect_uris=None, leads_to="", signed_in_ago=0)

    def received(self) -> list[str]:
        """Codes that its token endpoint was sent."""
        with urllib.request.urlopen(f"{self.issuer}/__received__") as answer:
            return list(json.load(answer)["codes"])

    def count_calls(self, path: str) -> int:
        with urllib.request.urlopen(f"{self.issuer}/__received__") as answer:
            return int(json.load(answer)["paths"].count(path))


@contextmanager
def running_idp() -> Iterator[Idp]:
    process = subprocess.Popen(
        [sys.executable, identity_provider.__file__], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline()
        assert port, "The identity provider did not start."
        yield Idp(int(port))
    finally:
        process.kill()
        process.communicate()


def configure(admin: Actor, idp: Idp, **changed: str) -> str:
    """What the page says after the test."""
    form = {
        "name": "Inlog",
        "issuer": idp.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        **changed,
    }
    client = signed_in(admin)
    client.post(SECURITY + "provider", form)
    return client.post(SECURITY + "provider/test", follow=True).content.decode()


def provider_id(admin: Actor) -> int:
    with organisation_scope(admin.organisation_id):
        return IdentityProvider.objects.get().pk


def begin(admin: Actor, client: Client) -> str:
    """The address that "Continue to …" leads the browser to."""
    going = client.post(f"/sign-in/{provider_id(admin)}/")
    assert going.status_code == 302, going.content.decode()
    return going.headers["Location"]


def query_of(address: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any) -> None:
        return None


def get_redirect(address: str) -> str:
    """Where the provider's page sends the browser on to. Raises `AssertionError` when it refuses."""
    try:
        urllib.request.build_opener(_Stay).open(address).close()
    except urllib.error.HTTPError as answer:
        with answer:
            if location := answer.headers.get("Location"):
                return str(location)
            raise AssertionError(answer.read().decode()) from None
    raise AssertionError("The provider sends the browser nowhere.")


def open_address(client: Client, address: str) -> Any:
    """The browser opens an address of Koppel."""
    parts = urlsplit(address)
    return client.get(f"{parts.path}?{parts.query}")


def sign_in_through_provider(admin: Actor, client: Client | None = None) -> Any:
    """From the sign-in address over the provider and back: the last answer, with its client."""
    client = client or Client()
    return open_address(client, get_redirect(begin(admin, client)))


def link(admin: Actor, person: Actor) -> Any:
    """The person links whom the provider says they are, in a session of their own."""
    client = signed_in(person)
    answer = sign_in_through_provider(admin, client)
    assert answer.headers.get("Location") == f"/sign-in/{provider_id(admin)}/link", answer.content.decode()
    return client.post(answer.headers["Location"], follow=True)


def email_of(person: Actor) -> str:
    return User.objects.get(pk=person.user_id).email
