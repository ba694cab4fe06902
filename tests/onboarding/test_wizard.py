"""The wizard page by page: what it stores, what it refuses, and that nothing is imported twice."""

import re
import threading
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db import connections as database_connections
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from koppel.administrations.models import Administration, Assignment
from koppel.connections.consent import service_companies
from koppel.connections.models import Connection, RemoteCompany
from koppel.connector.registry import connectors
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow, Import
from koppel.onboarding.steps.identify import list_answers
from koppel.organisations.models import Division, Organisation, Template
from koppel.organisations.roles import Actor
from koppel.sync.models import Run
from tests.administrations.factories import restrict
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.first_steps import Newcomer, newcomer, path_of
from tests.fixtures.stack import CLIENTS, Sandbox, register_app

KVK = "69599084"


@pytest.fixture
def anna(actor: Any, sandbox: Sandbox) -> Newcomer:
    return newcomer(actor("administrator"), sandbox)


@pytest.fixture
def anna_at_list(anna: Newcomer) -> Newcomer:
    """Anna signed in and sees the list."""
    anna.connect(register_app(anna.sandbox).pk)
    return anna


def colleague_of(anna: Newcomer, actor: Any, role: str) -> Newcomer:
    with organisation_scope(anna.actor.organisation_id):
        firm = Organisation.objects.get(pk=anna.actor.organisation_id)
    return newcomer(actor(role, organisation=firm, name="Piet Jansen"), anna.sandbox)


def read_page_text(response: Any) -> str:
    return unescape(response.content.decode())


def companies(person: Newcomer) -> list[RemoteCompany]:
    with organisation_scope(person.actor.organisation_id):
        return list(RemoteCompany.objects.order_by("name", "pk"))


def newest_flow(person: Newcomer) -> Flow:
    with organisation_scope(person.actor.organisation_id):
        return Flow.objects.get(token=person.flow.strip("/").split("/")[-1])


def imported(actor: Actor) -> list[Administration]:
    with organisation_scope(actor.organisation_id):
        return list(Administration.objects.order_by("name"))


def choose(person: Newcomer, *ids: int) -> Any:
    return person.client.post(f"{person.flow}choose", {"company": [str(key) for key in ids]}, follow=True)


def identify(person: Newcomer, typed: dict[int, dict[str, str]], **more: Any) -> Any:
    fields = {
        f"{name}-{key}": values.get(name, "")
        for key, values in typed.items()
        for name in ("number", "reason", "sector")
    }
    return person.client.post(f"{person.flow}identify", {**fields, **more}, follow=True)


def typed_number(text: str = KVK) -> dict[str, str]:
    return {"number": text}


def numbers_of(ids: list[int]) -> dict[int, dict[str, str]]:
    """A number of its own for each company."""
    return {key: typed_number(str(int(KVK) + at)) for at, key in enumerate(ids)}


def advance_to_assign(person: Newcomer, count: int = 2) -> list[int]:
    """Choose and identify the first companies of the list."""
    with organisation_scope(person.actor.organisation_id):
        RemoteCompany.objects.update(country="NL")
    ids = [company.pk for company in companies(person)[:count]]
    choose(person, *ids)
    assert path_of(identify(person, numbers_of(ids))) == f"{person.flow}assign"
    return ids


def test_the_wizard_leads_from_a_new_connection_to_queued_administrations(anna_at_list: Newcomer) -> None:
    ids = advance_to_assign(anna_at_list, 3)
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}assign", {"action": "finish", "company": ids}, follow=True
    )
    assert "Import of 3 administrations started." in read_page_text(page)
    imported_administrations = imported(anna_at_list.actor)
    assert (len(imported_administrations), {one.status for one in imported_administrations}) == (
        3,
        {"queued"},
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert Run.objects.count() == 3
    assert f"?import={imported_administrations[0].import_id}" in page.redirect_chain[-1][0]


def test_a_restricted_administration_is_not_listed_for_others(anna_at_list: Newcomer, actor: Any) -> None:
    """Neither through the connection it was imported by, nor through an account of one's own, by screen or
    REST.
    """
    ids = advance_to_assign(anna_at_list, 1)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish", "company": ids})
    (secret,) = imported(anna_at_list.actor)
    with organisation_scope(anna_at_list.actor.organisation_id):
        restrict(anna_at_list.actor, secret.pk, [anna_at_list.actor.membership_id])
        total = RemoteCompany.objects.count()
        company = RemoteCompany.objects.get(pk=secret.remote_company_id)
    piet = colleague_of(anna_at_list, actor, "administrator")
    begun = piet.client.post(f"/connections/new/import?connection={secret.connection_id}", follow=True)
    piet.flow = path_of(begun).removesuffix("choose")
    through_hers = flow_pages(piet)
    piet.connect(register_app(piet.sandbox).pk)
    for page, companies_listed in (through_hers, flow_pages(piet)):
        assert company.name not in page
        assert "Already imported" not in page
        assert (len(companies_listed), {one["state"] for one in companies_listed}) == (total - 1, {"new"})
    anna_at_list.connect(register_app(anna_at_list.sandbox).pk)
    page, companies_listed = flow_pages(anna_at_list)
    assert company.name in page
    assert len(companies_listed) == total


def flow_pages(person: Newcomer) -> tuple[str, list[dict[str, Any]]]:
    """③ as a page and over REST."""
    token = person.flow.strip("/").split("/")[-1]
    rest = person.client.get(f"/api/v1/onboarding/flows/{token}/companies")
    return read_page_text(person.client.get(f"{person.flow}choose")), rest.json()


def test_finish_pressed_twice_at_once_imports_once(anna_at_list: Newcomer) -> None:
    ids, ends = advance_to_assign(anna_at_list, 3), []

    def press() -> None:
        client = newcomer(anna_at_list.actor, anna_at_list.sandbox).client
        ends.append(
            client.post(f"{anna_at_list.flow}assign", {"action": "finish", "company": ids}).headers[
                "Location"
            ]
        )
        database_connections.close_all()

    threads = [threading.Thread(target=press) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ends)) == 1
    assert len(imported(anna_at_list.actor)) == 3
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert (Import.objects.count(), Run.objects.count()) == (1, 3)


def test_two_colleagues_who_import_the_same_company_get_it_once(anna_at_list: Newcomer, actor: Any) -> None:
    piet = colleague_of(anna_at_list, actor, "administrator")
    piet.connect(
        register_app(anna_at_list.sandbox, "company_per_sign_in").pk,
        tenant=anna_at_list.sandbox.companies()[0]["tenant_id"],
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL")
        first = RemoteCompany.objects.filter(connection__app__consent_mode="company_list").first()
        assert first is not None
        RemoteCompany.objects.exclude(connection=first.connection).update(external_id=first.external_id)
        values = RemoteCompany.objects.exclude(connection=first.connection).get()
    for person, company in ((anna_at_list, first), (piet, values)):
        choose(person, company.pk)
        identify(person, {company.pk: typed_number()})
    for person in (anna_at_list, piet):
        page = person.client.post(f"{person.flow}assign", {"action": "skip"}, follow=True)
    assert len(imported(anna_at_list.actor)) == 1
    assert "1 skipped: already imported" in read_page_text(page)


def test_reload_back_and_a_second_tab_lose_nothing(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL")
    first, second = (one.pk for one in companies(anna_at_list)[:2])
    choose(anna_at_list, first, second)
    for key, text in ((first, "69599084"), (second, "nonsense")):
        answer = anna_at_list.client.post(
            f"{anna_at_list.flow}row", {f"number-{key}": text, f"reason-{key}": "", f"sector-{key}": ""}
        )
        assert answer.json()["rows"][0]["complete"] == (key == first)
    page = read_page_text(anna_at_list.client.get(f"{anna_at_list.flow}identify"))
    assert 'value="69599084"' in page
    assert 'value="nonsense"' in page
    back = read_page_text(anna_at_list.client.get(f"{anna_at_list.flow}choose"))
    assert back.count('name="company"') == 8
    assert back.partition('id="companies"')[2].partition("</table>")[0].count(" checked") == 2
    choose(anna_at_list, second)
    assert 'value="nonsense"' in read_page_text(anna_at_list.client.get(f"{anna_at_list.flow}identify"))
    assert (
        path_of(anna_at_list.client.get(f"{anna_at_list.flow}assign", follow=True))
        == f"{anna_at_list.flow}identify"
    )


def test_signed_out_and_back_in_the_flow_waits_where_it_was(anna_at_list: Newcomer) -> None:
    choose(anna_at_list, companies(anna_at_list)[0].pk)
    anna_at_list.client.post("/accounts/logout/")
    later = newcomer(anna_at_list.actor, anna_at_list.sandbox)
    page = later.client.get("/connections/new/")
    assert "You have an unfinished import" in read_page_text(page)
    assert path_of(later.client.get(anna_at_list.flow, follow=True)) == f"{anna_at_list.flow}identify"


def test_a_flow_that_was_left_for_a_day_says_so_and_imports_nothing(anna_at_list: Newcomer) -> None:
    advance_to_assign(anna_at_list)
    with organisation_scope(anna_at_list.actor.organisation_id):
        Flow.objects.update(expires_at=timezone.now())
    page = anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish"})
    assert (page.status_code, imported(anna_at_list.actor)) == (410, [])
    assert "This import has expired" in read_page_text(page)


def test_a_flow_with_recent_input_does_not_expire(anna_at_list: Newcomer) -> None:
    first, _second = advance_to_assign(anna_at_list)
    with organisation_scope(anna_at_list.actor.organisation_id):
        Flow.objects.update(expires_at=timezone.now() + timedelta(minutes=5))
    assert anna_at_list.client.post(f"{anna_at_list.flow}row", {f"number-{first}": KVK}).status_code == 200
    assert newest_flow(anna_at_list).expires_at > timezone.now() + timedelta(hours=23)


def polled_counts(person: Newcomer, step: str) -> tuple[int, int, int]:
    """Return how many companies an open page shows as being looked up, how many its next poll returns, and of
    how many in all.
    """
    page = read_page_text(person.client.get(f"{person.flow}{step}"))
    address = re.search(r'data-poll="([^"]+)"', page)
    stated = re.search(r"data-poll-left>(\d+)<", page)
    assert address
    assert stated
    progress = person.client.get(address[1]).json()
    return int(stated[1]), progress["left"], progress["left"] + len(progress["companies"])


def test_the_page_counts_what_it_shows(anna_at_list: Newcomer) -> None:
    """At Identify what was chosen; in a later import what is new."""
    ids = advance_to_assign(anna_at_list, 3)
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(described_at=None)
        RemoteCompany.objects.filter(pk=ids[0]).update(described_at=timezone.now())
    assert polled_counts(anna_at_list, "choose") == (7, 7, 8)
    assert polled_counts(anna_at_list, "identify") == (2, 2, 3)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"})
    page = anna_at_list.client.post("/connections/new/import", follow=True)
    anna_at_list.flow = path_of(page).removesuffix("choose")
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.filter(pk__in=ids).update(described_at=timezone.now())
    assert polled_counts(anna_at_list, "choose") == (5, 5, 5)


def test_over_rest_only_what_differs_is_given(anna_at_list: Newcomer) -> None:
    first = companies(anna_at_list)[0].pk
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    choose(anna_at_list, first)
    base = f"/api/v1/onboarding/flows/{anna_at_list.flow.strip('/').split('/')[-1]}"

    def identify_over_rest(**typed: str) -> Any:
        body = {"identities": [{"company": first, **typed}]}
        return anna_at_list.client.post(f"{base}/identify", body, content_type="application/json").json()

    assert identify_over_rest(reason="private_person")["errors"][0]["field"] == "sector"
    assert identify_over_rest(sector="Onderwijs")["result"] == "advance"
    (identity,) = anna_at_list.client.get(f"{base}/identities").json()
    assert (identity["reason"], identity["is_complete"]) == ("private_person", True)
    assert identify_over_rest(reason="")["result"] == "errors", "'' takes away what stood there"
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(number=KVK)
        Flow.objects.update(typed_identities={})
    assert identify_over_rest(reason="test_demo", sector="Onderwijs")["result"] == "advance"
    (identity,) = anna_at_list.client.get(f"{base}/identities").json()
    assert (identity["number"], identity["reason"]) == ("", "test_demo"), (
        "a guess is no number that was given"
    )


def test_a_flow_belongs_to_one_person(anna_at_list: Newcomer, actor: Any) -> None:
    piet = colleague_of(anna_at_list, actor, "administrator")
    for step in ("", "choose", "identify", "assign", "companies.json"):
        assert piet.client.get(f"{anna_at_list.flow}{step}").status_code == 404


def test_stop_drops_the_flow_and_keeps_the_connection(anna_at_list: Newcomer) -> None:
    page = post_and_confirm(anna_at_list.client, f"{anna_at_list.flow}abandon", follow=True)
    assert "Import discarded" in read_page_text(page)
    assert anna_at_list.client.get(f"{anna_at_list.flow}choose").status_code == 404
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert Connection.objects.count() == 1


def test_a_later_import_offers_only_what_is_new_and_asks_no_sign_in(anna_at_list: Newcomer) -> None:
    ids = advance_to_assign(anna_at_list, 3)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"})
    anna_at_list.sandbox.forget_calls()
    with organisation_scope(anna_at_list.actor.organisation_id):
        flow_count = Flow.objects.count()
    assert "Import administrations" in read_page_text(anna_at_list.client.get("/connections/new/import"))
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert Flow.objects.count() == flow_count, "a link starts nothing"
    assert not anna_at_list.sandbox.calls()
    page = anna_at_list.client.post("/connections/new/import", follow=True)
    assert read_page_text(page).count('name="company"') == 5
    assert "8 administrations found with this sign-in, 3 already imported" in read_page_text(page)
    assert not {f'value="{key}"' for key in ids} & set(read_page_text(page).split())
    assert not anna_at_list.sandbox.calls("/connect/authorize")
    assert "Sign in with another account" in read_page_text(page)


def test_others_see_what_was_released_for_import(anna_at_list: Newcomer, actor: Any) -> None:
    hidden = companies(anna_at_list)[0]
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}choose", {"action": "hide", "company": [hidden.pk]}, follow=True
    )
    assert "1 company hidden from colleagues" in read_page_text(page)
    assert hidden.name in read_page_text(page)
    uma = colleague_of(anna_at_list, actor, "user_plus")
    seen = read_page_text(uma.client.post("/connections/new/import", follow=True))
    assert hidden.name not in seen
    assert seen.count('name="company"') == 7
    assert "Ask an Administrator or a Team leader to sign in with another account" in seen


def test_only_permitted_members_release_companies(anna_at_list: Newcomer, actor: Any) -> None:
    uma = colleague_of(anna_at_list, actor, "user_plus")
    flow = path_of(uma.client.post("/connections/new/import", follow=True))
    assert (
        uma.client.post(flow, {"action": "hide", "company": [companies(anna_at_list)[0].pk]}).status_code
        == 403
    )
    assert all(one.importable_by_others for one in companies(anna_at_list))


def test_users_are_added_division_and_template_replace_and_skip_assigns_nothing(
    anna_at_list: Newcomer, actor: Any
) -> None:
    uma, piet = colleague_of(anna_at_list, actor, "user"), colleague_of(anna_at_list, actor, "user")
    with organisation_scope(anna_at_list.actor.organisation_id):
        firm = Organisation.objects.get()
        north, south = (Division.objects.create(organisation=firm, name=name) for name in ("Noord", "Zuid"))
        template = Template.objects.create(organisation=firm, name="Standard", settings={})
    first, second = advance_to_assign(anna_at_list)
    for fields in (
        {"company": [first, second], "division": north.pk, "users": [uma.actor.membership_id]},
        {
            "company": [first],
            "division": south.pk,
            "users": [piet.actor.membership_id],
            "template": template.pk,
        },
    ):
        page = anna_at_list.client.post(
            f"{anna_at_list.flow}assign", {"action": "apply", **fields}, follow=True
        )
    assert "Assigned to 1 administration." in read_page_text(page)
    end = anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"}).headers["Location"]
    assert "&done=" in end
    imported_administrations = {one.remote_company_id: one for one in imported(anna_at_list.actor)}
    assert (imported_administrations[first].division_id, imported_administrations[second].division_id) == (
        south.pk,
        north.pk,
    )
    assert (imported_administrations[first].template_id, imported_administrations[second].template_id) == (
        template.pk,
        None,
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        people = set(
            Assignment.objects.filter(administration=imported_administrations[first]).values_list(
                "membership_id", flat=True
            )
        )
    assert people == {one.actor.membership_id for one in (anna_at_list, uma, piet)}
    undo_assignment(anna_at_list, imported_administrations[first].pk)


def undo_assignment(anna_at_list: Newcomer, administration_id: int) -> None:
    """For 24 hours, as after bulk work in the list. What every import gets stays."""
    (done,) = anna_at_list.client.get("/api/v1/administrations/bulk").json()
    assert (done["action"], done["counts"]["changed"], done["can_undo"]) == ("change", 2, True)
    page = read_page_text(anna_at_list.client.post(f"/administrations/bulk/{done['id']}/undo", follow=True))
    assert "2 administrations restored" in page
    with organisation_scope(anna_at_list.actor.organisation_id):
        administration = Administration.objects.get(pk=administration_id)
        assert (administration.division_id, administration.template_id) == (None, None)
        people = Assignment.objects.filter(administration=administration).values_list(
            "membership_id", flat=True
        )
        assert list(people) == [anna_at_list.actor.membership_id]


def test_a_division_that_is_gone_stops_everything(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        division = Division.objects.create(organisation=Organisation.objects.get(), name="Noord")
    ids = advance_to_assign(anna_at_list)
    anna_at_list.client.post(
        f"{anna_at_list.flow}assign", {"action": "apply", "company": ids, "division": division.pk}
    )
    with organisation_scope(anna_at_list.actor.organisation_id):
        division.archived_at = timezone.now()
        division.save()
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}assign", {"action": "finish", "company": ids}, follow=True
    )
    assert "Nothing was imported" in read_page_text(page)
    assert imported(anna_at_list.actor) == []
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert (Import.objects.count(), Run.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("language", "missing", "wrong"),
    [
        ("en", "still needs a number", "A COC number has 8 digits"),
        ("nl", "of uw antwoord", "8 cijfers"),
    ],
)
def test_next_reports_missing_values_and_keeps_valid_ones(
    actor: Any, sandbox: Sandbox, language: str, missing: str, wrong: str
) -> None:
    anna = newcomer(actor(), sandbox, language)
    anna.connect(register_app(sandbox).pk)
    with organisation_scope(anna.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    first, second, third = (one.pk for one in companies(anna)[:3])
    choose(anna, first, second, third)
    reasoned = {"reason": "test_demo", "sector": "N"}
    page = identify(anna, {first: typed_number(), second: typed_number("12"), third: reasoned})
    assert path_of(page) == f"{anna.flow}identify"
    assert missing in read_page_text(page)
    assert wrong in read_page_text(page)
    assert (
        path_of(identify(anna, {second: {"reason": "not_a_company", "sector": "62"}})) == f"{anna.flow}assign"
    )


def test_a_pasted_list_matches_rows_and_reports_the_others(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    first, second = companies(anna_at_list)[:2]
    choose(anna_at_list, first.pk, second.pk)
    pasted = (
        f"Naam;KvK;Reden;Sector\n{second.name.upper()};;test / "
        f"demo;Onderwijs\n{first.name};{KVK};;\nNiemand;1;;"
    )
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}identify", {"action": "fill", "pasted": pasted}, follow=True
    )
    assert "2 rows filled in." in read_page_text(page)
    assert "Niemand: no administration has this name" in read_page_text(page)
    refused = f"Naam;Sector;Reden;Plaats\n{first.name};G;;Assen\n{second.name};G;soms;Assen"
    form = {"action": "fill", "file": SimpleUploadedFile("lijst.csv", refused.encode("utf-16"))}
    page = anna_at_list.client.post(f"{anna_at_list.flow}identify", form, follow=True)
    assert "1 row filled in." in read_page_text(page)
    assert "“soms” is not a reason" in read_page_text(page)
    assert "Columns not used: Plaats" in read_page_text(page)
    workbook = {
        "action": "fill",
        "file": SimpleUploadedFile("lijst.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    }
    page = anna_at_list.client.post(f"{anna_at_list.flow}identify", workbook, follow=True)
    assert "This is a workbook, not a CSV file." in read_page_text(page)
    with organisation_scope(anna_at_list.actor.organisation_id):
        flow = newest_flow(anna_at_list)
        identities = [list_answers(flow, [company.pk])[0] for company in (first, second)]
    assert [(row.number, row.reason, row.sector) for row in identities] == [
        (KVK, "", "G"),
        ("", "test_demo", "Q"),
    ]
    bare = f"{first.name}\t\tTest / demo\tBouw\n{second.name}\t\t\t"
    page = anna_at_list.client.post(
        f"{anna_at_list.flow}identify", {"action": "fill", "pasted": bare}, follow=True
    )
    assert "1 row filled in." in read_page_text(page)
    assert f"{second.name}: no number, no reason and no sector on this line" in read_page_text(page)
    template = anna_at_list.client.get(f"{anna_at_list.flow}identify/template.csv")
    uploaded = {"action": "fill", "file": SimpleUploadedFile("numbers.csv", template.content)}
    assert "2 rows filled in." in read_page_text(
        anna_at_list.client.post(f"{anna_at_list.flow}identify", uploaded, follow=True)
    )
    too_many = {"action": "fill", "pasted": "69599084\n" * 5001}
    page = anna_at_list.client.post(f"{anna_at_list.flow}identify", too_many, follow=True)
    assert "5000" in read_page_text(page).replace(",", "")
    assert "filled in" not in read_page_text(page)
    assert path_of(identify(anna_at_list, {})) == f"{anna_at_list.flow}assign"


@pytest.mark.usefixtures("worker")
def test_companies_are_collected_one_sign_in_after_the_other(anna: Newcomer, sandbox: Sandbox) -> None:
    app, sandbox_companies = register_app(sandbox, "company_per_sign_in"), sandbox.companies()
    page = anna.connect(app.pk, tenant=sandbox_companies[0]["tenant_id"])
    assert "1 administration found" in read_page_text(page)
    assert "Use a service account of your firm" in read_page_text(anna.client.get(f"{anna.flow}sign-in"))
    page = anna.answered(
        sandbox.sign_in(anna.sign_in_again(app.pk, another="1"), tenant=sandbox_companies[1]["tenant_id"])
    )
    assert "2 administrations found" in read_page_text(page)
    page = anna.answered(
        sandbox.sign_in(
            anna.sign_in_again(app.pk, another="1"), tenant=sandbox_companies[2]["tenant_id"], answer="no"
        )
    )
    assert "2 administrations found" in read_page_text(page), "cancelling one keeps the rest"
    assert path_of(page) == f"{anna.flow}choose"
    page = anna.answered(
        sandbox.sign_in(anna.sign_in_again(app.pk, another="1"), user="small@sandbox.example")
    )
    assert "2 administrations found" in read_page_text(page), (
        "another account that reaches the same company adds no second row"
    )
    assert {one.name for one in companies(anna)} == {
        sandbox_companies[0]["name"],
        sandbox_companies[1]["name"],
    }
    with organisation_scope(anna.actor.organisation_id):
        accounts = set(Connection.objects.values_list("account", flat=True))
    assert accounts == {"demo@sandbox.example", "small@sandbox.example"}


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("language", ["en", "nl"])
def test_tenant_ids_are_probed_with_a_result_per_line(actor: Any, sandbox: Sandbox, language: str) -> None:
    from tests.fixtures.stack import wait_until

    anna, app, sandbox_companies = (
        newcomer(actor(), sandbox, language),
        register_app(sandbox, "service"),
        sandbox.companies(),
    )
    sandbox.client(
        CLIENTS["service"],
        approved=[
            company["tenant_id"] for company in sandbox_companies if company is not sandbox_companies[1]
        ],
    )
    sandbox.control(f"companies/{sandbox_companies[2]['id']}", {"licensed": False})
    good, unapproved, unlicensed = (one["tenant_id"] for one in sandbox_companies[:3])
    lines = [
        "Name;Tenant id",
        f"A;{good.upper()}",
        f"B;{unapproved}",
        f"C;{unlicensed}",
        f"D;{sandbox_companies[3]['customer_tenant_id']}",
        f"again {good}",
        "0a1b2c3d-not-an-id",
    ]
    location = anna.client.post("/connections/new/", {"connector": "visma_net"}).headers["Location"]
    anna.flow = location.removesuffix("sign-in")
    file = SimpleUploadedFile("tenants.csv", "\r\n".join(lines[:4]).encode("utf-16"), content_type="text/csv")
    typed = (
        {"company_ids": "\n".join(lines[4:]), "file": file}
        if language == "nl"
        else {"company_ids": "\n".join(lines)}
    )
    too_many = "\n".join(str(uuid4()) for _ in range(5001))
    refused = anna.client.post(location, {"app": app.pk, "company_ids": too_many})
    assert ("Add at most 5000 at once" if language == "en" else "hoogstens 5000 tegelijk") in read_page_text(
        refused
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_companies, "WAITING_MAX", 3)
        refused = anna.client.post(location, {"app": app.pk, "company_ids": "\n".join(lines)})
        assert ("at most 3 may wait" if language == "en" else "hoogstens 3 wachten") in read_page_text(
            refused
        )
    page = anna.client.post(location, {"app": app.pk, **typed}, follow=True)
    assert path_of(page) == f"{anna.flow}choose"
    assert ("4 ids found. 1 duplicate skipped." if language == "en" else "4 id’s gevonden") in read_page_text(
        page
    )
    assert ("No id found in" if language == "en" else "Geen id gevonden in") in read_page_text(page)
    wait_until(lambda: all(one.described_at for one in companies(anna)))
    page = read_page_text(anna.client.get(f"{anna.flow}choose"))
    assert sandbox_companies[0]["name"] in page
    assert page.count('name="company"') == 1
    big = SimpleUploadedFile("all.csv", f"{good}\n".encode() * 60_000)
    answer = anna.client.post(f"{anna.flow}sign-in", {"app": app.pk, "file": big})
    assert ("larger than 2 MB" if language == "en" else "groter dan 2 MB") in read_page_text(answer)
    for sentence in RESULTS[language]:
        assert sentence in page
    sandbox.client(CLIENTS["service"], approved=None)
    anna.client.post(f"{anna.flow}choose", {"action": "retry"})
    wait_until(lambda: all(one.described_at for one in companies(anna)))
    assert read_page_text(anna.client.get(f"{anna.flow}choose")).count('name="company"') == 2
    anna.client.post(f"{anna.flow}choose", {"action": "remove_unreachable"})
    assert {one.external_id for one in companies(anna)} == {good, unapproved}


RESULTS = {
    "en": (
        "its administrator has not approved Koppel in the Visma App Store",
        "the licence has ended",
        "the tenant id of the customer, not of the company",
    ),
    "nl": (
        "de beheerder ervan heeft Koppel niet goedgekeurd",
        "de licentie is beëindigd",
        "het tenant-id van de klant, niet van het bedrijf",
    ),
}


def test_thousands_of_companies_cost_no_query_each(anna_at_list: Newcomer) -> None:
    with organisation_scope(anna_at_list.actor.organisation_id):
        company = RemoteCompany.objects.first()
        assert company is not None
        common = {
            "organisation_id": company.organisation_id,
            "connection_id": company.connection_id,
            "grant_id": company.grant_id,
        }
        RemoteCompany.objects.bulk_create(
            RemoteCompany(
                **common,
                external_id=f"x{index}",
                name=f"Company {index:04d}",
                country="NL",
                number=str(int(KVK) + index),
                is_listed=True,
                last_listed_at=company.last_listed_at,
                described_at=timezone.now(),
            )
            for index in range(3000)
        )
        ids = list(RemoteCompany.objects.filter(external_id__startswith="x").values_list("pk", flat=True))
    query_counts = {}
    for name, action in (
        ("list", lambda: anna_at_list.client.get(f"{anna_at_list.flow}choose")),
        ("choose", lambda: anna_at_list.client.post(f"{anna_at_list.flow}choose", {"company": ids})),
        ("identify", lambda: anna_at_list.client.get(f"{anna_at_list.flow}identify")),
        ("next", lambda: anna_at_list.client.post(f"{anna_at_list.flow}identify", {})),
        ("assign", lambda: anna_at_list.client.get(f"{anna_at_list.flow}assign")),
        ("finish", lambda: anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish"})),
    ):
        with CaptureQueriesContext(connection) as captured:
            answer = action()
        query_counts[name] = len(captured)
        assert answer.status_code in (200, 302), name
    assert len(imported(anna_at_list.actor)) == 3000
    assert max(query_counts.values()) < 90, query_counts


def test_the_imports_own_page_has_failed_ones_on_top_and_retries_them(
    anna_at_list: Newcomer, actor: Any
) -> None:
    advance_to_assign(anna_at_list, 3)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"}, follow=True)
    key = imported(anna_at_list.actor)[0].import_id
    with organisation_scope(anna_at_list.actor.organisation_id):
        last = Administration.objects.order_by("-name").first()
        assert last is not None
        Run.objects.filter(administration=last).delete()
        Administration.objects.filter(pk=last.pk).update(
            status="failed", status_reason="The books are closed."
        )
    page = read_page_text(anna_at_list.client.get(f"/imports/{key}/"))
    names = [one.name for one in imported(anna_at_list.actor)]
    assert page.index(names[-1]) < page.index(names[0])
    assert "The books are closed." in page
    anna_at_list.client.post(f"/administrations/{last.pk}/sync/now", {"next": f"/imports/{key}/"})
    with organisation_scope(anna_at_list.actor.organisation_id):
        last.refresh_from_db()
        assert (last.status, Run.objects.filter(administration=last).count()) == ("queued", 1)
    assert colleague_of(anna_at_list, actor, "user").client.get(f"/imports/{key}/").status_code == 404


def test_the_same_steps_over_rest(anna_at_list: Newcomer) -> None:
    api = anna_at_list.client

    def call(method: str, path: str, body: Any = None) -> Any:
        answer = getattr(api, method)(
            f"/api/v1/onboarding/flows{path}", body, content_type="application/json"
        )
        return answer.status_code, answer.json()

    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
        connection_id = Connection.objects.values_list("pk", flat=True).get()
    status, flow = call("post", "", {"connection": connection_id})
    assert (status, flow["step"]) == (200, "choose")
    base = f"/{flow['token']}"
    first, second = (one["id"] for one in call("get", f"{base}/companies")[1][:2])
    assert call("post", f"{base}/finish")[1] == {"error": "not_reached"}
    assert call("post", f"{base}/choose", {"companies": []})[1]["result"] == "errors"
    assert call("post", f"{base}/choose", {"companies": [first, second]})[1]["step"] == "identify"
    outcome = call("post", f"{base}/identify", {"identities": [{"company": first, "number": KVK}]})[1]
    assert [(one["company"], one["field"], one["code"]) for one in outcome["errors"]] == [
        (second, "number", "missing")
    ]
    typed = {"identities": [{"company": second, "reason": "test_demo", "sector": "Onderwijs"}]}
    assert call("post", f"{base}/identify", typed)[1]["result"] == "advance"
    assert [one["is_complete"] for one in call("get", f"{base}/identities")[1]] == [True, True]
    assert call("post", f"{base}/assign", {"companies": [first], "users": []})[1]["result"] == "advance"
    done = call("post", f"{base}/finish")[1]
    assert (done["result"], done["count"]) == ("complete", 2)
    assert call("post", f"{base}/finish")[1]["import_id"] == done["import_id"]
    look = api.get(f"/api/v1/imports/{done['import_id']}").json()
    assert (look["total"], look["is_finished"]) == (2, False)
    assert len(imported(anna_at_list.actor)) == 2


def test_over_rest_a_person_signs_in_elsewhere_and_a_flow_can_be_dropped(anna: Newcomer) -> None:
    app = register_app(anna.sandbox)
    flow = anna.client.post(
        "/api/v1/onboarding/flows", {"system": "visma_net"}, content_type="application/json"
    ).json()
    base = f"/api/v1/onboarding/flows/{flow['token']}"
    assert flow["consent_modes"][0]["app"] == app.pk
    outcome = anna.client.post(f"{base}/sign-in", {"app": app.pk}, content_type="application/json").json()
    assert (outcome["result"], urlsplit(outcome["url"]).path) == (
        "external",
        f"/connections/new/{flow['token']}/sign-in",
    )
    anna.flow = f"/connections/new/{flow['token']}/"
    anna.answered(anna.sandbox.sign_in(anna.sign_in_again(app.pk)))
    assert anna.client.get(base).json()["step"] == "choose"
    assert anna.client.delete(base).json()["result"] == "abort"
    assert anna.client.get(base).status_code == 404


def test_a_system_with_a_connector_is_not_planned_any_more(
    anna: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = next(iter(connectors().values())).descriptor.title
    monkeypatch.setattr("koppel.onboarding.views.start.PLANNED_SYSTEMS", (installed, "Another Ledger"))
    page = anna.client.get(reverse("onboarding:new")).content.decode()
    assert "Another Ledger" in page
    assert page.count(f"<strong>{installed}</strong>") == 1
