"""What Koppel shows stays out of the caches of browsers and proxies."""

from typing import Any

import pytest
from django.test import Client

from tests.web.factories import World, build_world


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def test_nothing_that_koppel_shows_is_kept_by_a_cache(world: World) -> None:
    client, number = world.client("administrator"), world.active.pk
    client.post("/accounts/reauthenticate/", {"password": "correct horse battery staple"})
    paths = (
        *(
            "/",
            "/administrations/",
            f"/administrations/{number}/",
            "/organisation/people/",
            "/account/tokens/",
        ),
        *(f"/administrations/{number}/books/export/?format=csv", "/administrations/export.xlsx"),
        *("/api/v1/me", "/api/v1/administrations", f"/api/v1/administrations/{number}/books/accounts"),
        *("/accounts/2fa/", "/accounts/2fa/recovery-codes/", "/no/such/page/", "/help/", "/notifications/"),
    )
    for path in paths:
        answer = client.get(path)
        b"".join(answer)
        answer.close()
        directives = answer.headers.get("Cache-Control", "")
        assert "no-store" in directives.replace(" ", "").split(","), (path, directives)
    for path in (
        "/accounts/login/",
        "/accounts/password/reset/",
        "/accounts/password/reset/key/x-y/",
        "/api/v1/me",
    ):
        assert "no-store" in Client().get(path).headers["Cache-Control"], path
