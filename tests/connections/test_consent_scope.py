"""Companies that were not imported cannot be read, although the sign-in reaches them.

Every interface is tested, and each attempt is in the audit log.
"""

import asyncio
import re
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.access import AUDITED_REFUSALS_MAX
from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.models import Administration
from koppel.audit.audit_actions import AuditAction
from koppel.audit.models import AuditEntry
from koppel.books.commands import app as books_commands
from koppel.books.models import Account
from koppel.connections.audit_actions import VaultAction
from koppel.connections.models import Grant, RemoteCompany
from koppel.connections.sessions import call_vendor_blocking
from koppel.connections.sessions.runtime import Runtime
from koppel.connections.sessions.vendor_sessions import describing_session, listing_session, reading_session
from koppel.connector.contract import HistoryWindow, ReadMode
from koppel.connector.errors import NotConsented
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Organisation, User
from koppel.sync.models import Run
from koppel.sync.runs.services import request_first_runs
from tests.connections.factories import companies, import_first
from tests.fixtures.stack import Connected, MakeConnected, wait_until
from tests.sync.factories import perform_run

BOOKS = ("/journaltransaction", "/account", "/generalledgerbalance", "/customer", "/supplier")


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


def refusals(
    organisation_id: int, action: AuditAction = VaultAction.CONSENT_SCOPE_REFUSED
) -> list[AuditEntry]:
    with organisation_scope(organisation_id):
        return list(AuditEntry.objects.filter(action=action).order_by("pk"))


def access_refusals(firm: Connected) -> list[AuditEntry]:
    """Refused requests of members; none of them is a call to the vendor."""
    assert refusals(firm.actor.organisation_id) == []
    return refusals(firm.actor.organisation_id, AdministrationAction.ACCESS_REFUSED)


def book_calls(firm: Connected, company: RemoteCompany) -> list[str]:
    """Calls for books of this company that arrived at the vendor."""
    company_number = int(company.external_id)
    return [
        call["path"]
        for call in firm.sandbox.calls()
        if call["company"] == company_number and any(word in call["path"].lower() for word in BOOKS)
    ]


def test_no_page_and_no_rest_call_shows_what_is_not_imported(anna: Connected) -> None:
    (administration,) = import_first(anna)
    other = companies(anna)[1]
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    assert browser.get(f"/administrations/{administration.pk}/books/").status_code == 200
    refused_count = 0
    for number in (other.pk, administration.pk + 1000):
        for path in ("", "books/", "sync/", "history/", "settings/"):
            assert browser.get(f"/administrations/{number}/{path}").status_code == 404
            refused_count += 1
        assert browser.get(f"/api/v1/administrations/{number}").json() == {"error": "not_found"}
        refused_count += 1
    entries = access_refusals(anna)
    assert len(entries) == refused_count
    assert {one.actor_name for one in entries} == {anna.actor.name}
    assert book_calls(anna, other) == []
    for number in range(AUDITED_REFUSALS_MAX):
        browser.get(f"/administrations/{administration.pk + 2000 + number}/")
    assert len(access_refusals(anna)) == AUDITED_REFUSALS_MAX, "searching buries no others"


def test_no_call_of_the_api_reads_or_changes_what_is_not_imported(
    anna: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every one that names an administration, whatever it does."""
    monkeypatch.setattr("koppel.administrations.access.AUDITED_REFUSALS_MAX", 1000)
    (administration,) = import_first(anna)
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    described = browser.get("/api/v1/openapi.json").json()["paths"]
    refused_count = 0
    for path, acts in described.items():
        if not path.startswith("/api/v1/administrations/{administration_id}"):
            continue
        address = path.replace("{administration_id}", str(administration.pk + 1000)).replace(
            "{resource}", "accounts"
        )
        address = re.sub(r"\{[^}]+\}", "1", address)
        for method in acts:
            answer = browser.generic(method.upper(), address, "{}", content_type="application/json")
            assert answer.status_code in ((404, 422) if method != "get" else (404,)), f"{method} {address}"
            refused_count += answer.status_code == 404
            assert len(access_refusals(anna)) == refused_count, f"{method} {address} {answer.content!r}"
    assert refused_count > 15
    assert not any(book_calls(anna, one) for one in companies(anna))


def test_no_command_exports_what_is_not_imported(anna: Connected, monkeypatch: pytest.MonkeyPatch) -> None:
    (administration,) = import_first(anna)
    monkeypatch.setenv("KOPPEL_AS", User.objects.get(pk=anna.actor.user_id).email)
    assert CliRunner().invoke(books_commands, ["counts", str(administration.pk), "--json"]).exit_code == 0
    refused = CliRunner().invoke(books_commands, ["counts", str(administration.pk + 1), "--json"])
    assert isinstance(refused.exception, KoppelError)
    assert [one.subject_id for one in access_refusals(anna)] == [administration.pk + 1]


def test_a_run_of_another_organisation_cannot_be_claimed(anna: Connected, connected: MakeConnected) -> None:
    """Nor one that never was: a worker claims a run within the scope of one organisation."""
    bert = connected()
    foreign = import_first(bert, 1, sync=False)[0]
    with organisation_scope(bert.actor.organisation_id):
        run = Run.objects.create(
            organisation_id=bert.actor.organisation_id, administration=foreign, trigger="person"
        )
    for run_id in (run.pk, 987_654):
        asyncio.run(perform_run(anna.actor.organisation_id, run_id))
    with organisation_scope(bert.actor.organisation_id):
        assert Run.objects.get(pk=run.pk).attempt == 0
        assert not Account.objects.exists()
    assert not any(book_calls(anna, company) for company in companies(anna))


@pytest.mark.usefixtures("worker")
def test_an_administration_that_was_pointed_at_another_connection_is_blocked(
    anna: Connected, connected: MakeConnected, actor: Any
) -> None:
    """Somebody with access to the database gives an administration a company of another connection of the
    same firm.
    """
    with installation_scope("test"):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    carl = connected("company_per_sign_in", actor=actor("team_leader", firm, "Carl Bos"))
    (administration,) = import_first(anna)
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.filter(pk=administration.pk).update(remote_company=companies(carl)[0])
        request_first_runs(anna.actor, [administration.pk])

    def state() -> str:
        with organisation_scope(anna.actor.organisation_id):
            return str(Administration.objects.values_list("status", flat=True).get(pk=administration.pk))

    wait_until(lambda: state() == "blocked")
    with organisation_scope(anna.actor.organisation_id):
        assert not Account.objects.exists()
    assert [one.details["reason"] for one in refusals(anna.actor.organisation_id)] == ["not_imported"]


def test_a_session_that_lists_or_describes_cannot_read_books(anna: Connected) -> None:
    unread = companies(anna)[1]
    with organisation_scope(anna.actor.organisation_id):
        grant = Grant.objects.get(connection=anna.connection)
    vendor, organisation_id = connector("visma_net"), anna.actor.organisation_id

    async def attempts(process_runtime: Runtime) -> int:
        describing = await describing_session(process_runtime, organisation_id, unread.pk)
        assert (await vendor.describe_company(describing)).name == unread.name
        listing = await listing_session(process_runtime, organisation_id, grant.pk)
        assert len(await vendor.list_companies(listing)) == 8
        refused = 0
        for session in (describing, listing):
            for resource in ("accounts", "entries", "contacts", "balances"):
                with pytest.raises(NotConsented) as caught:
                    await vendor.read_page(
                        session, resource, ReadMode.FULL, HistoryWindow(1, now().date()), None
                    )
                assert caught.value.code == "outside_consent"
                refused += 1
            with pytest.raises(NotConsented):
                await session.send(
                    "POST", f"{session.base_urls['legacy']}/API/controller/api/v1/organization"
                )
            refused += 1
        return refused

    anna.sandbox.forget_calls()
    assert call_vendor_blocking(organisation_id, attempts) == len(refusals(organisation_id))
    assert {one["path"].rpartition("/")[2] for one in anna.sandbox.calls()} == {"organization", "context"}


def test_a_reading_session_names_no_other_company(anna: Connected) -> None:
    (administration,) = import_first(anna)
    other = companies(anna)[1]

    async def attempt(process_runtime: Runtime) -> None:
        session = await reading_session(process_runtime, anna.actor.organisation_id, administration.pk)
        url = f"{session.base_urls['legacy']}/API/controller/api/v1/account"
        good = await session.send("GET", url, headers={"ipp-company-id": session.company.external_id})
        assert good.status == 200
        with pytest.raises(NotConsented):
            await session.send("GET", url, headers={"IPP-Company-Id": other.external_id})

    call_vendor_blocking(anna.actor.organisation_id, attempt)
    assert book_calls(anna, other) == []
    assert [one.details["reason"] for one in refusals(anna.actor.organisation_id)] == ["other_company"]


@pytest.mark.parametrize("number", [0, 1, 987_654])
def test_no_reading_session_without_an_import(anna: Connected, number: int) -> None:
    """The numbers of remote companies are no numbers of administrations."""

    async def attempt(process_runtime: Runtime) -> None:
        await reading_session(process_runtime, anna.actor.organisation_id, number)

    with pytest.raises(NotConsented):
        call_vendor_blocking(anna.actor.organisation_id, attempt)
    assert [one.details["reason"] for one in refusals(anna.actor.organisation_id)] == ["not_imported"]
