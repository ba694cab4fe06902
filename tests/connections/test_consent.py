"""Signing in at the vendor: through the sandbox's real forms, as the person and as somebody with bad intentions meet it."""

from typing import Any

import pytest

from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from tests.fixtures.stack import MakeConnected, Sandbox, wait_until


def companies_of(made: Any) -> list[RemoteCompany]:
    with organisation_scope(made.actor.organisation_id):
        return list(RemoteCompany.objects.filter(connection=made.connection).order_by("pk"))


@pytest.mark.usefixtures("worker")
def test_one_sign_in_lists_every_company_and_a_worker_describes_them(connected: MakeConnected) -> None:
    made = connected()
    assert made.connection.account == "demo@sandbox.example"
    listed = companies_of(made)
    assert {one.name for one in listed} == {one["name"] for one in made.sandbox.companies()}
    wait_until(lambda: all(one.described_at for one in companies_of(made)))
    assert companies_of(made)[0].country == made.sandbox.companies()[0]["country"]


def test_the_sandbox_begins_anew_for_each_test(sandbox: Sandbox) -> None:
    before = sandbox.companies()
    sandbox.control(f"companies/{before[0]['id']}", {"name": "Renamed"})
    sandbox.fault("/connect/token")
    sandbox.reset()
    assert sandbox.companies() == before
