"""The wizard page by page: what it stores, what it refuses, and that nothing is imported twice."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections as database_connections
from django.urls import reverse
from django.utils import timezone

from koppel.connections.models import Connection, RemoteCompany
from koppel.connector.registry import connectors
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow, Import
from koppel.sync.models import Run
from tests.administrations.factories import restrict
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.first_steps import Newcomer, newcomer, path_of
from tests.fixtures.stack import Sandbox, register_app
from tests.onboarding.wizard_steps import (
    KVK,
    advance_to_assign,
    anna,
    anna_at_list,
    choose,
    colleague_of,
    companies,
    identify,
    imported,
    newest_flow,
    read_page_text,
    typed_number,
)

__all__ = ["anna", "anna_at_list"]


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


def test_a_system_with_a_connector_is_not_planned_any_more(
    anna: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = next(iter(connectors().values())).descriptor.title
    monkeypatch.setattr("koppel.onboarding.views.start.PLANNED_SYSTEMS", (installed, "Another Ledger"))
    page = anna.client.get(reverse("onboarding:new")).content.decode()
    assert "Another Ledger" in page
    assert page.count(f"<strong>{installed}</strong>") == 1
