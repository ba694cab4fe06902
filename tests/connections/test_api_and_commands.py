"""Connections over REST and from the command line, with the same actions as on the pages."""

import json
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.connections.commands.connections import app
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import Organisation, User
from tests.connections.factories import import_first, reload_connection, statuses
from tests.fixtures.people import signed_in
from tests.fixtures.stack import Connected, MakeConnected


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    firm = connected()
    import_first(firm, 2)
    return firm


def test_connections_are_watched_and_repaired_over_rest(anna: Connected) -> None:
    with organisation_scope(anna.actor.organisation_id):
        _token, secret = api_tokens.create_token(
            anna.actor, name="watch", days=30, role=None, read_only=False
        )
    client = Client(headers={"Authorization": f"Bearer {secret.reveal()}"})
    root = f"/api/v1/connections/{anna.connection.pk}"

    def post(what: str, **body: Any) -> Any:
        return client.post(f"{root}/{what}", json.dumps(body), content_type="application/json")

    (listed,) = client.get("/api/v1/connections").json()
    assert (listed["state"], listed["administrations"], listed["awaiting_sign_in"]) == ("active", 2, 0)
    assert [one["health"] for one in client.get(f"{root}/administrations").json()] == ["ok", "ok"]
    assert post("test").json()["answered"] is True
    anna.sandbox.fault("organization", status=503, times=9)
    assert post("test").json()["code"] == "http_503"
    anna.sandbox.control("faults", method="DELETE")
    assert [post("pause").json(), post("pause").json()] == [{"changed": True}, {"changed": False}]
    assert post("resume").json() == {"changed": True}
    assert post("reconnect").json()["url"].startswith(anna.sandbox.url)
    assert post("owner", member=987_654).status_code == 409
    preview = client.get(f"{root}/removal").json()
    assert post("removal", policy="deactivate", fingerprint="another day").status_code == 409
    assert (
        post("removal", policy="deactivate", fingerprint=preview["fingerprint"]).json()["administrations"]
        == 2
    )
    assert client.get(root).json() == {"error": "not_found"}
    assert statuses(anna) == {"deactivated"}


def test_connections_are_watched_and_repaired_from_the_command_line(
    anna: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOPPEL_AS", User.objects.get(pk=anna.actor.user_id).email)
    number = str(anna.connection.pk)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, [*words, "--json"])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return json.loads(done.stdout.splitlines()[-1])  # what is logged stands before

    assert [one["state"] for one in run("list")] == ["active"]
    assert run("test", number)["answered"] is True
    assert run("pause", number) == {"connection": anna.connection.pk, "changed": True}
    assert run("resume", number)["changed"] is True
    details = run("show", number)
    assert [one["kind"] for one in details["timeline"]] == ["resumed", "paused", "connected"]
    assert len(details["administrations"]) == 2
    assert run("reconnect", number)["url"].startswith(anna.sandbox.url)
    with pytest.raises(KoppelError):
        run("request-transfer", number, "nobody@example.test")
    assert run("delete", number, "--policy", "wait")["deleted"] is False
    assert reload_connection(anna).state == "active"
    assert run("delete", number, "--policy", "wait", "--yes")["deleted"] is True
    assert reload_connection(anna).state == "removed"


@pytest.mark.parametrize("role", ["reader", "user"])
def test_who_may_not_manage_connections_does_not_learn_which_exist(
    connected: MakeConnected, actor: Any, role: str
) -> None:
    anna = connected()
    with organisation_scope(anna.actor.organisation_id):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    client = signed_in(actor(role, organisation=firm))
    for number in (anna.connection.pk, anna.connection.pk + 1000):
        for action in ("reconnect", "accept-transfer", "pause", "resume", "probe"):
            assert client.post(f"/connections/{number}/{action}").status_code == 403, (number, action)
