"""What was not ticked cannot be read: Anna imported one of the companies that her sign-in reaches, and every door to the
others stays shut. Each attempt is in the audit trail."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.books.commands import app as export
from koppel.books.models import Account
from koppel.connections.models import Grant, RemoteCompany
from koppel.connections.sessions import runtime
from koppel.connections.sessions.consent_scope import REFUSED
from koppel.connections.sessions.sessions import Runtime, describing_session, listing_session, reading_session
from koppel.connector.contract import ReadMode, Window
from koppel.connector.errors import NotConsented
from koppel.connector.registry import connector
from koppel.kit.cli.errors import Refusal
from koppel.kit.clock import now
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Organisation, User
from koppel.sync.models import Run
from koppel.sync.runs.services import request_first_runs
from koppel.sync.tasks import perform_run
from tests.connections.factories import companies, imported
from tests.fixtures.stack import Connected, MakeConnected, wait_until

BOOKS = ("/journaltransaction", "/account", "/generalledgerbalance", "/customer", "/supplier")


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


def refusals(organisation_id: int) -> list[AuditEntry]:
    with organisation_scope(organisation_id):
        return list(AuditEntry.objects.filter(act=REFUSED).order_by("pk"))


def book_calls(made: Connected, company: RemoteCompany) -> list[str]:
    """Calls for books of this company that arrived at the vendor."""
    wanted = int(company.external_id)
    return [
        one["path"]
        for one in made.sandbox.calls()
        if one["company"] == wanted and any(word in one["path"].lower() for word in BOOKS)
    ]


def test_no_page_and_no_rest_call_shows_what_is_not_imported(anna: Connected) -> None:
    (own,) = imported(anna)
    other = companies(anna)[1]
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    assert browser.get(f"/administrations/{own.pk}/books/").status_code == 200
    asked = 0
    for number in (other.pk, own.pk + 1000):
        for place in ("", "books/", "sync/", "history/", "settings/"):
            assert browser.get(f"/administrations/{number}/{place}").status_code == 404
            asked += 1
        assert browser.get(f"/api/v1/administrations/{number}").json() == {"error": "not_there"}
        asked += 1
    found = refusals(anna.actor.organisation_id)
    assert len(found) == asked
    assert {one.actor_name for one in found} == {anna.actor.name}
    assert book_calls(anna, other) == []


def test_no_call_of_the_api_reads_or_changes_what_is_not_imported(anna: Connected) -> None:
    """Every one that names an administration, whatever it does."""
    (own,) = imported(anna)
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    described = browser.get("/api/v1/openapi.json").json()["paths"]
    asked = 0
    for path, acts in described.items():
        if not path.startswith("/api/v1/administrations/{administration_id}"):
            continue
        address = path.replace("{administration_id}", str(own.pk + 1000)).replace("{resource}", "accounts")
        address = re.sub(r"\{[^}]+\}", "1", address)
        for act in acts:
            answer = browser.generic(act.upper(), address, "{}", content_type="application/json")
            assert answer.status_code in ((404, 422) if act != "get" else (404,)), f"{act} {address}"
            asked += answer.status_code == 404
            assert len(refusals(anna.actor.organisation_id)) == asked, f"{act} {address} {answer.content!r}"
    assert asked > 15
    assert not any(book_calls(anna, one) for one in companies(anna))


def test_no_command_exports_what_is_not_imported(anna: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    (own,) = imported(anna)
    monkeypatch.setenv("KOPPEL_AS", User.objects.get(pk=anna.actor.user_id).email)
    assert CliRunner().invoke(export, ["counts", str(own.pk), "--json"]).exit_code == 0
    refused = CliRunner().invoke(export, ["counts", str(own.pk + 1), "--json"])
    assert isinstance(refused.exception, Refusal)
    assert [one.subject_id for one in refusals(anna.actor.organisation_id)] == [own.pk + 1]


@pytest.mark.usefixtures("worker")
def test_a_forged_job_reads_nothing(anna: Connected, connected: MakeConnected) -> None:
    """Whoever can write into the queue names a run of another firm, and one that never was."""
    bert = connected()
    theirs = imported(bert, 1, sync=False)[0]
    with organisation_scope(bert.actor.organisation_id):
        own = {"organisation_id": bert.actor.organisation_id, "not_before": now() + timedelta(days=1)}
        run = Run.objects.create(administration=theirs, trigger="person", **own)
    for run_id in (run.pk, 987_654):
        perform_run.defer(organisation_id=anna.actor.organisation_id, run_id=run_id)
    wait_until(lambda: len(refusals(anna.actor.organisation_id)) == 2)
    assert {one.details["reason"] for one in refusals(anna.actor.organisation_id)} == {"no_such_run"}
    with organisation_scope(bert.actor.organisation_id):
        assert Run.objects.get(pk=run.pk).attempt == 0
        assert not Account.objects.exists()
    assert not any(book_calls(anna, one) for one in companies(anna))


@pytest.mark.usefixtures("worker")
def test_an_administration_that_was_pointed_at_another_connection_is_blocked(
    anna: Connected, connected: MakeConnected, actor: Any
) -> None:
    """Somebody with access to the database gives an administration a company of another connection of the same firm."""
    with installation_scope("test"):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    carl = connected("company_per_sign_in", actor=actor("team_leader", firm, "Carl Bos"))
    (own,) = imported(anna)
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.filter(pk=own.pk).update(remote_company=companies(carl)[0])
        request_first_runs(anna.actor, [own.pk])

    def state() -> str:
        with organisation_scope(anna.actor.organisation_id):
            return str(Administration.objects.values_list("status", flat=True).get(pk=own.pk))

    wait_until(lambda: state() == "blocked")
    with organisation_scope(anna.actor.organisation_id):
        assert not Account.objects.exists()
    assert [one.details["reason"] for one in refusals(anna.actor.organisation_id)] == ["not_imported"]


def test_a_session_that_lists_or_describes_cannot_read_books(anna: Connected) -> None:
    unread = companies(anna)[1]
    with organisation_scope(anna.actor.organisation_id):
        grant = Grant.objects.get(connection=anna.connection)
    vendor, organisation_id = connector("visma_net"), anna.actor.organisation_id

    async def attempts(made: Runtime) -> int:
        describing = await describing_session(made, organisation_id, unread.pk)
        assert (await vendor.describe_company(describing)).name == unread.name
        listing = await listing_session(made, organisation_id, grant.pk)
        assert len(await vendor.list_companies(listing)) == 8
        refused = 0
        for session in (describing, listing):
            for resource in ("accounts", "entries", "contacts", "balances"):
                with pytest.raises(NotConsented) as caught:
                    await vendor.read_page(session, resource, ReadMode.FULL, Window(1, now().date()), None)
                assert caught.value.code == "outside_consent"
                refused += 1
            with pytest.raises(NotConsented):
                await session.send("POST", f"{session.addresses['legacy']}/API/controller/api/v1/organization")
            refused += 1
        return refused

    anna.sandbox.forget_calls()
    assert runtime.run(attempts) == len(refusals(organisation_id))
    assert {one["path"].rpartition("/")[2] for one in anna.sandbox.calls()} == {"organization", "context"}


def test_a_reading_session_names_no_other_company(anna: Connected) -> None:
    (own,) = imported(anna)
    other = companies(anna)[1]

    async def attempt(made: Runtime) -> None:
        session = await reading_session(made, anna.actor.organisation_id, own.pk)
        url = f"{session.addresses['legacy']}/API/controller/api/v1/account"
        good = await session.send("GET", url, headers={"ipp-company-id": session.company.external_id})
        assert good.status == 200
        with pytest.raises(NotConsented):
            await session.send("GET", url, headers={"IPP-Company-Id": other.external_id})

    runtime.run(attempt)
    assert book_calls(anna, other) == []
    assert [one.details["reason"] for one in refusals(anna.actor.organisation_id)] == ["other_company"]


@pytest.mark.parametrize("number", [0, 1, 987_654])
def test_no_reading_session_without_an_import(anna: Connected, number: int) -> None:
    """The numbers of remote companies are no numbers of administrations."""

    async def attempt(made: Runtime) -> None:
        await reading_session(made, anna.actor.organisation_id, number)

    with pytest.raises(NotConsented):
        runtime.run(attempt)
    assert [one.details["reason"] for one in refusals(anna.actor.organisation_id)] == ["not_imported"]
