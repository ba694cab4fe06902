"""App registrations of the installation, which operators manage from the command line."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
import typer
from django.db import connection

from koppel.connections.commands.app_registrations import app
from koppel.connections.models import AppRegistration
from koppel.connections.queries import apps_for
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import installation_scope, organisation_scope
from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, MakeConnected, Sandbox, register_app

TARGET = "visma_net/sandbox/company_list"
ADD = ("create", TARGET, "--client-id", CLIENTS["company_list"])


def run_app_command(monkeypatch: pytest.MonkeyPatch, *words: object, secret: str = CLIENT_SECRET) -> Any:
    """What comes back as JSON. The secret is given on standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{secret}\n"))
    with redirect_stdout(io.StringIO()) as printed:
        args = [*map(str, words), "--json"]
        typer.main.get_command(app).main(args=args, prog_name="koppel", standalone_mode=False)
    return json.loads(printed.getvalue().splitlines()[-1])


def test_an_app_of_the_installation_serves_every_organisation_and_is_tested(
    actor: Any, sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SANDBOX_URL = sandbox.url
    added = run_app_command(monkeypatch, *ADD)
    assert added["redirect_address"] == "http://localhost:8400/connections/consent/callback"
    for member in (actor("administrator"), actor("team_leader")):
        with organisation_scope(member.organisation_id):
            assert [choice.app.pk for choice in apps_for(member, "visma_net")] == [added["id"]]
    assert run_app_command(monkeypatch, "test", added["id"])["works"] is True
    (row,) = run_app_command(monkeypatch, "list")
    assert (row["consent_mode"], row["connections"]) == (TARGET, 0)
    assert CLIENT_SECRET not in json.dumps(row)
    run_app_command(monkeypatch, "delete", added["id"])
    assert run_app_command(monkeypatch, "list") == []
    with installation_scope("test"):
        assert bytes(AppRegistration.objects.get().client_secret) == b""


def test_a_wrong_secret_is_reported(
    clean_database: None, sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SANDBOX_URL = sandbox.url
    added = run_app_command(monkeypatch, *ADD, secret="mistyped")
    result = run_app_command(monkeypatch, "test", added["id"])
    assert result["works"] is False
    assert "client secret" in result["message"]


@pytest.mark.parametrize(
    ("words", "secret", "sentence"),
    [
        (("create", "visma_net/moon/x", "--client-id", "x"), "s", TARGET),
        (ADD, "", "Enter the client secret"),
        (("test", 987654), "", "App registration not found"),
        (("delete", 987654), "", "App registration not found"),
    ],
)
def test_invalid_input_is_reported(
    clean_database: None, monkeypatch: pytest.MonkeyPatch, words: Any, secret: str, sentence: str
) -> None:
    with pytest.raises(KoppelError, match=sentence):
        run_app_command(monkeypatch, *words, secret=secret)


def test_a_used_app_is_not_removed_and_none_is_registered_twice(
    connected: MakeConnected, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = connected().app
    with pytest.raises(KoppelError, match="Connections use this app"):
        run_app_command(monkeypatch, "delete", used.pk)
    with pytest.raises(KoppelError, match="already registered"):
        run_app_command(monkeypatch, *ADD)


def test_an_organisation_can_neither_take_nor_delete_an_app_of_the_installation(
    actor: Any, sandbox: Sandbox
) -> None:
    """By a statement that asks for no more than the row, as a mistake in the application could make."""
    member = actor("administrator")
    shared = register_app(sandbox)
    own_app = register_app(sandbox, "service", member.organisation_id)
    with organisation_scope(member.organisation_id):
        rows = AppRegistration.objects.order_by("pk")
        assert list(rows.values_list("pk", flat=True)) == [shared.pk, own_app.pk]
        assert rows.update(name="Mine") == 1
        assert rows.filter(organisation_id=None).update(organisation_id=member.organisation_id) == 0
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM connections_app_registration RETURNING id")
            assert cursor.fetchall() == [(own_app.pk,)]
