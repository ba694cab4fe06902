"""A company whose name and number changed is only read after a person confirmed it."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from koppel.administrations.inputs import WithdrawalInput
from koppel.administrations.lifecycle.erasure import erase_batch
from koppel.administrations.lifecycle.offboarding import withdraw
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.connections.commands.connections import app as connection_commands
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.inputs import RemovalInput
from koppel.connections.lifecycle import remove_connection
from koppel.connections.models import Connection, RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import User
from tests.connections.factories import import_first, sign_in
from tests.connections.other_company_steps import (
    GOES_ON,
    STOPPED,
    books,
    import_and_sync,
    issues,
    now_of,
    perform_open,
    rotate,
    status_of,
    sync,
)
from tests.fixtures.first_steps import newcomer
from tests.fixtures.people import MakeActor, signed_in
from tests.fixtures.stack import Connected, MakeConnected, Sandbox, register_app


def read_token(connected: Connected) -> Client:
    with organisation_scope(connected.actor.organisation_id):
        _token, secret = api_tokens.create_token(
            connected.actor, name="watch", days=30, role=None, read_only=False
        )
    return Client(headers={"Authorization": f"Bearer {secret.reveal()}"})


def test_confirming_on_the_page_continues_many_administrations(connected: MakeConnected) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    rotate(anna, first, second)
    sync_company_list(anna.actor, anna.connection.pk)
    browser, page = signed_in(anna.actor), f"/connections/{anna.connection.pk}/"
    text = browser.get(page).content.decode()
    assert "Is this the same company?" in text
    assert "Yes, same company (renamed)" in text
    answer: dict[str, Any] = {"code": "other_company", "accept": "1", "viewed_at": timezone.now().isoformat()}
    answer |= {"administration": [first.pk, second.pk]}
    for _twice in range(2):
        browser.post(f"{page}change", answer)
    assert [perform_open(anna, first), perform_open(anna, second)] == [GOES_ON, GOES_ON]
    assert (now_of(anna, first).name, now_of(anna, second).name) == (second.name, first.name)
    # What moved in closed periods is told, and is another matter.
    assert not [code for code in issues(anna, first) if code.startswith(("other_", "company_"))]
    assert status_of(anna, first) == ("active", "")
    with organisation_scope(anna.actor.organisation_id):
        entry = AuditEntry.objects.filter(action="company.change_resolved", subject_id=first.pk).get()
    assert (entry.details["code"], entry.details["taken"], entry.details["new"]) == (
        "other_company",
        True,
        second.name,
    )
    assert "Is this the same company?" not in browser.get(page).content.decode()
    history = browser.get(f"/administrations/{first.pk}/history/").content.decode()
    assert f"Name: {first.name} → {second.name}" in history
    assert "Applied: yes" in history


def test_denying_over_rest_keeps_it_stopped_until_the_confirmed_company_returns(
    connected: MakeConnected,
) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    before = books(anna)
    rotate(anna, first, second)
    assert sync(anna, first) == STOPPED
    program, path = read_token(anna), f"/api/v1/connections/{anna.connection.pk}/changes"

    def answer(**values: Any) -> Any:
        body = {"administrations": [first.pk], "code": "other_company", "accept": False, **values}
        return program.post(path, json.dumps(body), content_type="application/json")

    (listed,) = program.get(path).json()
    assert (listed["administration"], listed["old"], listed["new"]) == (first.pk, first.name, second.name)
    assert answer(viewed_at="2020-01-01T00:00:00Z").status_code == 409
    assert [
        answer(administrations=[key], viewed_at=timezone.now().isoformat()).status_code
        for key in (987_654, 2**70)
    ] == [
        404,
        404,
    ]
    assert answer(viewed_at="2020-01-01T00:00:00").status_code == 422
    assert [answer().status_code, answer(sen="2020-01-01T00:00:00Z").status_code] == [409, 422]
    now = timezone.now().isoformat()
    assert [answer(viewed_at=now).json(), answer(viewed_at=now).json()] == [{"resolved": 1}, {"resolved": 0}]
    assert (
        program.post(
            f"/api/v1/administrations/{first.pk}/sync", "{}", content_type="application/json"
        ).status_code
        == 202
    )
    assert perform_open(anna, first) == STOPPED
    assert set(issues(anna, first)) == {"other_company_confirmed"}
    assert books(anna) == before
    rotate(anna, first, second)
    assert sync(anna, first) == GOES_ON
    assert (issues(anna, first), status_of(anna, first)) == ({}, ("active", ""))


def test_the_command_line_confirms_many_at_once(
    connected: MakeConnected, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = connected()
    shifted = import_and_sync(anna, 3)
    rotate(anna, *shifted)
    sync_company_list(anna.actor, anna.connection.pk)
    monkeypatch.setenv("KOPPEL_AS", User.objects.get(pk=anna.actor.user_id).email)
    number = str(anna.connection.pk)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(connection_commands, [*words, "--json"], catch_exceptions=False)
        return json.loads(done.stdout.splitlines()[-1])

    assert {one["administration"] for one in run("changes", number)} == {one.pk for one in shifted}
    listed = signed_in(anna.actor).get("/administrations/?issues=other_company").content.decode()
    assert all(one.name in listed for one in shifted)
    assert run("resolve", number, "--code", "other_company", "--accept", "--all")["resolved"] == 3
    assert run("changes", number) == []
    assert [perform_open(anna, one) for one in shifted] == [GOES_ON] * 3


def test_activating_an_unconfirmed_administration_leaves_it_stopped(connected: MakeConnected) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    rotate(anna, first, second)
    sync_company_list(anna.actor, anna.connection.pk)
    program = read_token(anna)

    def bulk(action: str) -> None:
        body = {"action": action, "ids": [first.pk], "start": True}
        assert (
            program.post(
                "/api/v1/administrations/bulk", json.dumps(body), content_type="application/json"
            ).status_code
            == 201
        )

    bulk("deactivate")
    assert status_of(anna, first)[0] == "deactivated"
    sync_company_list(anna.actor, anna.connection.pk)
    assert status_of(anna, first)[0] == "deactivated"
    bulk("activate")
    assert status_of(anna, first) == ("blocked", "other_company")


def test_the_confirmed_identity_applies_to_another_connection(connected: MakeConnected) -> None:
    """The connection is removed; the company that the next one lists under the same id is another one."""
    anna = connected()
    first, second = import_and_sync(anna, 2)
    before = books(anna)
    with organisation_scope(anna.actor.organisation_id):
        remove_connection(anna.actor, anna.connection.pk, RemovalInput(policy=RemovalPolicy.WAIT))
    rotate(anna, first, second)
    sign_in(anna, "connect", anew=True)
    with organisation_scope(anna.actor.organisation_id):
        newest = Connection.objects.latest("pk")
    sync_company_list(anna.actor, newest.pk)
    moved = now_of(anna, first)
    assert moved.connection_id == newest.pk
    assert perform_open(anna, first) == STOPPED
    assert (books(anna), status_of(anna, first)) == (before, ("blocked", "other_company"))


def test_only_who_may_see_the_administration_may_answer(connected: MakeConnected, actor: MakeActor) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    rotate(anna, first, second)
    sync_company_list(anna.actor, anna.connection.pk)
    with organisation_scope(anna.actor.organisation_id):
        firm = anna.connection.organisation
        Administration.objects.filter(pk=first.pk).update(restricted=True)
    admin = signed_in(actor("administrator", firm, "Bram de Boer"))
    page = f"/connections/{anna.connection.pk}/"
    text = admin.get(page).content.decode()
    assert f'data-administration="{second.pk}"' in text
    assert f'data-administration="{first.pk}"' not in text
    form = {"code": "other_company", "accept": "1", "viewed_at": timezone.now().isoformat()}
    admin.post(f"{page}change", form | {"administration": [first.pk, second.pk]})
    assert [set(issues(anna, one)) for one in (first, second)] == [{"other_company"}, {"other_company"}]


@pytest.mark.parametrize("viewed_at", ["", "yesterday", "2026-01-01T00:00:00", "2020-01-01T00:00:00+00:00"])
def test_a_page_that_does_not_say_when_it_was_opened_decides_nothing(
    connected: MakeConnected, viewed_at: str
) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    rotate(anna, first, second)
    sync_company_list(anna.actor, anna.connection.pk)
    browser, page = signed_in(anna.actor), f"/connections/{anna.connection.pk}/"
    form = {"code": "other_company", "accept": "1", "administration": [first.pk]}
    said = browser.post(f"{page}change", form | {"viewed_at": viewed_at}, follow=True).content.decode()
    assert ("changed since" if viewed_at.startswith("2020") else "This page is out of date") in said
    assert set(issues(anna, first)) == {"other_company"}
    browser.post(f"{page}change", form | {"viewed_at": timezone.now().isoformat()})
    assert issues(anna, first) == {}


def test_after_a_withdrawal_the_other_company_can_be_imported(connected: MakeConnected) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    rotate(anna, first, second)
    assert sync(anna, first) == STOPPED
    with organisation_scope(anna.actor.organisation_id):
        name = Administration.objects.get(pk=first.pk).name
        withdraw(anna.actor, first.pk, WithdrawalInput(name=name))
        while erase_batch(anna.actor.organisation_id, first.pk):
            pass
    (reimported,) = import_first(anna)
    assert reimported.name == second.name
    assert sync(anna, reimported) == GOES_ON
    assert issues(anna, reimported) == {}


def test_the_import_confirms_what_was_seen_in_the_wizard(actor: MakeActor, sandbox: Sandbox) -> None:
    """Between the tick and the last step the id came to stand for another company."""
    person = newcomer(actor(), sandbox)
    app = register_app(sandbox)
    person.connect(app.pk)
    seen, other = sandbox.companies()[0], sandbox.companies()[1]
    with organisation_scope(person.actor.organisation_id):
        connection = Connection.objects.get()
        RemoteCompany.objects.update(country="NL")
        chosen = RemoteCompany.objects.get(external_id=str(seen["id"]))
    person.client.post(f"{person.flow}choose", {"company": [chosen.pk]})
    sandbox.control("rotate", {"companies": [seen["id"], other["id"]]})
    sync_company_list(person.actor, connection.pk)
    person.client.post(f"{person.flow}identify", {f"number-{chosen.pk}": seen["number"]})
    person.client.post(f"{person.flow}assign", {"action": "finish", "company": [chosen.pk]})
    connected = Connected(actor=person.actor, app=app, connection=connection, sandbox=sandbox)
    with organisation_scope(person.actor.organisation_id):
        administration = Administration.objects.get()
    assert perform_open(connected, administration) == STOPPED
    assert seen["name"] in issues(connected, administration)["other_company"]
