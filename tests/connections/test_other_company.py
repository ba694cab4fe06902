"""A company whose name and number changed is only read after a confirmation."""

import asyncio
import json
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from koppel.administrations.inputs import WithdrawalInput
from koppel.administrations.lifecycle.erasure import erase_batch
from koppel.administrations.lifecycle.offboarding import withdraw
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.books.models import EntryLine
from koppel.connections.commands.connections import app as connection_commands
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent.attempts import begin_attempt, complete_attempt, receive_callback
from koppel.connections.hooks import RemovalPolicy, connection_reconnected
from koppel.connections.inputs import RemovalInput
from koppel.connections.lifecycle import remove_connection
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import Connection, ConsentPurpose, RemoteCompany
from koppel.issues.queries import open_issues
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import User
from koppel.sync.inputs import SyncInput
from koppel.sync.models import Run
from koppel.sync.runs.services import request_run
from tests.connections.factories import companies, event_kinds, import_first, sign_in
from tests.fixtures.first_steps import newcomer
from tests.fixtures.people import MakeActor, signed_in
from tests.fixtures.stack import Connected, MakeConnected, Sandbox, register_app, run_sandbox, wait_until
from tests.sync.factories import perform_run

GOES_ON, STOPPED = "succeeded", "failed"


def sync(connected: Connected, administration: Administration) -> str:
    """A person asks for a run, and this process performs it to its end. How it ended."""
    with organisation_scope(connected.actor.organisation_id):
        request_run(connected.actor, administration.pk)
    return perform_open(connected, administration)


def perform_open(connected: Connected, administration: Administration) -> str:
    """The run that somebody has asked for; a run that yields to others is continued."""
    with organisation_scope(connected.actor.organisation_id):
        run = Run.objects.get(administration=administration, state__in=["queued", "running"])
    state = "queued"
    for _attempt in range(5):
        with organisation_scope(connected.actor.organisation_id):
            Run.objects.filter(pk=run.pk).update(not_before=None)
        asyncio.run(perform_run(connected.actor.organisation_id, run.pk))
        with organisation_scope(connected.actor.organisation_id):
            state = str(Run.objects.get(pk=run.pk).state)
        if state != "queued":
            break
    return state


def books(connected: Connected) -> dict[str, list[tuple[str, ...]]]:
    """Every row of the books, of checkpoints and of the log of changes, with the transaction that wrote
    it.
    """
    with organisation_scope(connected.actor.organisation_id), database.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema = 'public'"
            " AND (table_name LIKE 'books%%' OR table_name IN ('sync_checkpoint', 'sync_change', "
            "'sync_read_key'))"
        )
        names = [name for (name,) in cursor.fetchall()]
        rows = {}
        for name in names:
            cursor.execute(f"SELECT ctid::text, xmin::text, t::text FROM {name} t ORDER BY 1, 3")
            rows[name] = cursor.fetchall()
    assert {"books_account", "books_entry", "sync_checkpoint"} <= rows.keys()
    return rows


def issues(connected: Connected, administration: Administration) -> dict[str, str]:
    """The open issues of an administration: code and sentence."""
    with organisation_scope(connected.actor.organisation_id):
        by_administration = open_issues(connected.actor, "administration", [administration.pk])
        return {issue.code: issue.message for issue in by_administration.get(administration.pk, [])}


def now_of(connected: Connected, administration: Administration) -> Administration:
    with organisation_scope(connected.actor.organisation_id):
        return Administration.objects.select_related("remote_company").get(pk=administration.pk)


def status_of(connected: Connected, administration: Administration) -> tuple[str, str]:
    stored = now_of(connected, administration)
    return stored.status, stored.status_code


def rotate(connected: Connected, *administrations: Administration) -> None:
    """At the vendor each id stands for the company of the next one from now on."""
    ids = [one.remote_company.external_id for one in administrations]
    connected.sandbox.control("rotate", {"companies": ids})


def change_at_vendor(connected: Connected, administration: Administration, **values: str) -> None:
    connected.sandbox.control(f"companies/{administration.remote_company.external_id}", values)


def import_and_sync(connected: Connected, count: int) -> list[Administration]:
    """So many administrations, imported and read once."""
    administrations = import_first(connected, count)
    for administration in administrations:
        assert sync(connected, administration) == GOES_ON
    return [now_of(connected, administration) for administration in administrations]


def read_token(connected: Connected) -> Client:
    with organisation_scope(connected.actor.organisation_id):
        _token, secret = api_tokens.create_token(
            connected.actor, name="watch", days=30, role=None, read_only=False
        )
    return Client(headers={"Authorization": f"Bearer {secret.reveal()}"})


def connect_sandbox(sandbox: Sandbox, person: Any) -> Connected:
    app = register_app(sandbox)
    with organisation_scope(person.organisation_id):
        url = begin_attempt(person, app.pk, ConsentPurpose.CONNECT, "/connections/")
    inbound = sandbox.sign_in(url)
    attempt_id = receive_callback(inbound["state"], inbound)
    assert attempt_id is not None
    outcome = complete_attempt(person, attempt_id)
    sync_company_list(person, outcome.connection_id)
    with organisation_scope(person.organisation_id):
        return Connected(person, app, Connection.objects.get(pk=outcome.connection_id), sandbox)


def read_debits(connected: Connected, administration: Administration) -> list[Decimal]:
    """The debits of its entries."""
    with organisation_scope(connected.actor.organisation_id):
        lines = EntryLine.objects.filter(administration_id=administration.pk, deleted_at=None, debit__gt=0)
        return list(lines.values_list("debit", flat=True))


def test_a_folder_that_grows_in_front_moves_no_books(
    actor: MakeActor, shared_reference: Path, free_port: int
) -> None:
    folder, port = shared_reference / "cases" / "shift", ("--port", str(free_port))
    with run_sandbox(*port, "--sie", str(folder / "before"), companies=1) as sandbox:
        anna = connect_sandbox(sandbox, actor())
        of_name = {one.name: one for one in import_and_sync(anna, 3)}
        before = {one["source"]: one["id"] for one in sandbox.companies()}
    assert read_debits(anna, of_name["Bolag B AB"]) == [Decimal(200)]
    with run_sandbox(*port, "--sie", str(folder / "after"), companies=1) as sandbox:
        after = {one["source"]: one["id"] for one in sandbox.companies()}
        sign_in(anna, "reconnect")
        sync_company_list(anna.actor, anna.connection.pk)
        assert [sync(anna, of_name[name]) for name in ("Bolag B AB", "Bolag C AB")] == [GOES_ON, GOES_ON]
    assert {source: after[source] for source in before} == before
    assert (read_debits(anna, of_name["Bolag B AB"]), read_debits(anna, of_name["Bolag C AB"])) == (
        [Decimal(200)],
        [Decimal(300)],
    )
    assert "Bolag A AB" in [one.name for one in companies(anna)]


def test_a_run_that_meets_another_company_writes_nothing_and_neither_does_the_next(
    connected: MakeConnected,
) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    before = books(anna)
    rotate(anna, first, second)
    for _attempt in range(2):
        assert [sync(anna, first), sync(anna, second)] == [STOPPED, STOPPED]
        assert books(anna) == before
        assert status_of(anna, first) == ("blocked", "other_company")
    sentence = issues(anna, first)["other_company"]
    for word in (first.name, second.name, first.remote_company.number, second.remote_company.number):
        assert word in sentence
    stored = now_of(anna, first).remote_company
    assert (stored.name, stored.legal_name, stored.number) == (
        first.name,
        first.name,
        first.remote_company.number,
    )
    assert event_kinds(anna).count("other_company") == 2


def test_a_listing_notices_another_company_and_a_new_sign_in_does_not_clear_it(
    connected: MakeConnected,
) -> None:
    anna = connected()
    first, second = import_and_sync(anna, 2)
    before = books(anna)
    rotate(anna, first, second)
    for _attempt in range(2):
        sync_company_list(anna.actor, anna.connection.pk)
        assert [set(issues(anna, one)) for one in (first, second)] == [{"other_company"}, {"other_company"}]
        assert status_of(anna, first) == ("blocked", "other_company")
        assert [one.name for one in companies(anna)][:2] == [first.name, second.name]
    sign_in(anna, "reconnect")
    sync_company_list(anna.actor, anna.connection.pk)
    with organisation_scope(anna.actor.organisation_id):
        connection_reconnected(anna.actor, anna.connection.pk)
    assert perform_open(anna, first) == STOPPED
    assert set(issues(anna, first)) == {"other_company"}
    assert books(anna) == before


def test_a_probe_keeps_nothing_of_another_company(connected: MakeConnected) -> None:
    anna = connected()
    (administration,) = import_and_sync(anna, 1)
    change_at_vendor(anna, administration, name="Zand en Grind B.V.", number="68750110")
    check_connection(anna.actor, anna.connection.pk)
    assert set(issues(anna, administration)) == {"other_company"}
    assert now_of(anna, administration).remote_company.legal_name == administration.name


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


def test_a_number_that_is_missing_on_one_side_is_a_question_and_stops_nothing(
    connected: MakeConnected,
) -> None:
    anna = connected()
    (administration,) = import_and_sync(anna, 1)
    change_at_vendor(anna, administration, number="")
    assert sync(anna, administration) == GOES_ON
    assert set(issues(anna, administration)) == {"company_number_missing"}
    page = f"/connections/{anna.connection.pk}/"
    browser = signed_in(anna.actor)
    assert administration.remote_company.number in browser.get(page).content.decode()
    browser.post(
        f"{page}change",
        {"administration": administration.pk, "code": "company_number_missing", "accept": "0"},
    )
    assert issues(anna, administration) == {}
    change_at_vendor(anna, administration, name="Zand en Grind B.V.", number="68750110")
    assert sync(anna, administration) == STOPPED


@pytest.mark.parametrize(
    "said",
    [
        {"name": "Evil Corp", "number": ""},
        {"name": "Evil Corp", "number": "-"},
        {"name": "***", "number": "68750110"},
        {"name": "\u200b", "number": "68750110"},
    ],
)
def test_a_blank_half_lets_no_other_company_in(connected: MakeConnected, said: dict[str, str]) -> None:
    anna = connected()
    (administration,) = import_and_sync(anna, 1)
    before = books(anna)
    change_at_vendor(anna, administration, **said)
    assert sync(anna, administration) == STOPPED
    assert (set(issues(anna, administration)), books(anna)) == ({"other_company"}, before)


def test_identity_is_compared_with_the_confirmed_one(connected: MakeConnected) -> None:
    """Renamed today, renumbered tomorrow: nobody said that it is the same company."""
    anna = connected()
    renamed, settled = import_and_sync(anna, 2)
    for administration in (renamed, settled):
        change_at_vendor(anna, administration, name=f"Zand en Grind {administration.pk}")
        assert sync(anna, administration) == GOES_ON
        assert set(issues(anna, administration)) == {"company_renamed"}
    answer = {"administration": settled.pk, "code": "company_renamed", "accept": "0"}
    signed_in(anna.actor).post(f"/connections/{anna.connection.pk}/change", answer)
    for administration, ends in ((renamed, STOPPED), (settled, GOES_ON)):
        change_at_vendor(anna, administration, number="68750110")
        assert sync(anna, administration) == ends
    assert "other_company" in issues(anna, renamed)
    assert set(issues(anna, settled)) == {"company_number_changed"}


def test_the_same_name_and_number_written_otherwise_is_no_change(connected: MakeConnected) -> None:
    anna = connected()
    (administration,) = import_first(anna)
    change_at_vendor(
        anna, administration, name=unicodedata.normalize("NFD", "Café Zürich B.V."), number="69599084"
    )
    sync_company_list(anna.actor, anna.connection.pk)
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.filter(pk=administration.pk).delete()
    (administration,) = import_first(anna)
    assert sync(anna, administration) == GOES_ON
    assert unicodedata.is_normalized("NFC", administration.name), "stored in one normal form"
    change_at_vendor(anna, administration, name="CAFÉ  Zürich BV", number="NL 6959.9084")
    sync_company_list(anna.actor, anna.connection.pk)
    assert sync(anna, administration) == GOES_ON
    assert issues(anna, administration) == {}


def test_a_company_that_changed_between_its_import_and_its_first_run_is_caught(
    connected: MakeConnected,
) -> None:
    anna = connected()
    described = import_and_sync(anna, 2)
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.all().delete()
        Run.objects.all().delete()
    first, second = import_first(anna, 2)
    before = books(anna)
    rotate(anna, *described)
    assert sync(anna, first) == STOPPED
    assert status_of(anna, first) == ("blocked", "other_company")
    assert (books(anna), now_of(anna, first).activated_at) == (before, None)
    answer = {
        "administration": first.pk,
        "code": "other_company",
        "accept": "1",
        "viewed_at": timezone.now().isoformat(),
    }
    signed_in(anna.actor).post(f"/connections/{anna.connection.pk}/change", answer)
    assert perform_open(anna, first) == GOES_ON
    assert status_of(anna, first) == ("active", "")
    assert status_of(anna, second)[0] == "queued"


@pytest.mark.usefixtures("worker")
def test_a_run_under_way_writes_no_page_after_a_listing_has_noticed(connected: MakeConnected) -> None:
    anna = connected()
    first, second = import_first(anna, 2, sync=True)

    def ended(administration: Administration) -> bool:
        return not open_runs(anna, administration)

    wait_until(lambda: ended(first) and ended(second))
    first, second = now_of(anna, first), now_of(anna, second)
    anna.sandbox.hold("journaltransaction")
    with organisation_scope(anna.actor.organisation_id):
        request_run(anna.actor, first.pk, SyncInput(full=True))
    wait_until(anna.sandbox.holds)
    before = books(anna)
    rotate(anna, first, second)
    sync_company_list(anna.actor, anna.connection.pk)
    assert status_of(anna, first) == ("blocked", "other_company")
    anna.sandbox.release()
    wait_until(lambda: ended(first))
    assert books(anna) == before
    assert status_of(anna, first) == ("blocked", "other_company")


def open_runs(connected: Connected, administration: Administration) -> bool:
    with organisation_scope(connected.actor.organisation_id):
        return Run.objects.filter(administration=administration, state__in=["queued", "running"]).exists()


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
    connected = Connected(person.actor, app, connection, sandbox)
    with organisation_scope(person.actor.organisation_id):
        administration = Administration.objects.get()
    assert perform_open(connected, administration) == STOPPED
    assert seen["name"] in issues(connected, administration)["other_company"]
