"""Steps of the tests of a connection's lifecycle: colleagues, pages and runs."""

from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor
from tests.fixtures.stack import Connected, MakeConnected


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


@pytest.fixture
def colleague(anna: Connected, actor: Any) -> Any:
    """`colleague(role, name)` in Anna's firm."""

    def make(role: str = "team_leader", name: str = "Bert Smit") -> Actor:
        with installation_scope("test"):
            firm = Organisation.objects.get(pk=anna.actor.organisation_id)
        return actor(role, firm, name)  # type: ignore[no-any-return]

    return make


def call_in_scope(firm: Connected, action: Any, *arguments: Any, **named: Any) -> Any:
    with organisation_scope(firm.actor.organisation_id):
        return action(*arguments, **named)


def page(firm: Connected, path: str = "", *, by: Actor | None = None, **form: str) -> Any:
    """A page of the connection as a person's browser gets it; with `form`, or a path without a slash at its
    end, sent.
    """
    browser = Client()
    browser.force_login(User.objects.get(pk=(by or firm.actor).user_id))
    address = f"/connections/{firm.connection.pk}/{path}"
    return browser.post(address, form) if form or (path and not path.endswith("/")) else browser.get(address)
