"""A company whose name and number changed is noticed, and nothing of it is read."""

import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.books.models import EntryLine
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.consent.attempts import begin_attempt, complete_attempt, store_authorisation_response
from koppel.connections.hooks import connection_reconnected
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import Connection, ConsentPurpose
from koppel.kit.tenancy import organisation_scope
from koppel.sync.inputs import SyncInput
from koppel.sync.models import Run
from koppel.sync.runs.services import request_run
from tests.connections.factories import companies, event_kinds, import_first, sign_in
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
from tests.fixtures.people import MakeActor, signed_in
from tests.fixtures.stack import Connected, MakeConnected, Sandbox, register_app, run_sandbox, wait_until


def change_at_vendor(connected: Connected, administration: Administration, **values: str) -> None:
    connected.sandbox.control(f"companies/{administration.remote_company.external_id}", values)


def connect_sandbox(sandbox: Sandbox, person: Any) -> Connected:
    app = register_app(sandbox)
    with organisation_scope(person.organisation_id):
        url = begin_attempt(person, app.pk, ConsentPurpose.CONNECT, "/connections/")
    authorisation_response = sandbox.sign_in(url)
    attempt_id = store_authorisation_response(authorisation_response)
    assert attempt_id is not None
    outcome = complete_attempt(person, attempt_id)
    sync_company_list(person, outcome.connection_id)
    with organisation_scope(person.organisation_id):
        return Connected(
            actor=person,
            app=app,
            connection=Connection.objects.get(pk=outcome.connection_id),
            sandbox=sandbox,
        )


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
