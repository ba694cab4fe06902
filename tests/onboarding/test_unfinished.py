"""An import that was left is offered where work begins, for a month; step Assign keeps what was done."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from koppel.connections.consent.service_companies import add_companies
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding import flow
from koppel.onboarding.models import Flow
from koppel.organisations.models import Division
from tests.fixtures.first_steps import Newcomer, path_of
from tests.fixtures.stack import register_app
from tests.onboarding.wizard_steps import (
    advance_to_assign,
    anna,
    anna_at_list,
    choose,
    companies,
    identify,
    imported,
    typed_number,
)

__all__ = ["anna", "anna_at_list"]

PAGES = ("/", "/administrations/?all=1", "/connections/")


def test_an_unfinished_import_is_offered_where_work_begins(anna_at_list: Newcomer) -> None:
    for page in PAGES:
        text = anna_at_list.client.get(page).content.decode()
        assert "unfinished import" in text, page
        assert f'href="{anna_at_list.flow}"' in text, page
        assert re.search(r'<span class="hint">[^<]+@[^<]+ ·\s+Administrations', text), page
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert Flow.objects.get().expires_at > timezone.now() + timedelta(days=29)
        Flow.objects.update(state="abandoned")
    for page in PAGES:
        assert "unfinished import" not in anna_at_list.client.get(page).content.decode(), page


@pytest.mark.parametrize("search", ["", "bakkerij"])
def test_the_search_stays_and_only_the_rest_is_ticked_after_apply(
    anna_at_list: Newcomer, search: str
) -> None:
    ids = advance_to_assign(anna_at_list, 3)
    with organisation_scope(anna_at_list.actor.organisation_id):
        division = Division.objects.create(organisation_id=anna_at_list.actor.organisation_id, name="Noord")
    assert read_ticked_companies(anna_at_list, f"{anna_at_list.flow}assign") == set(ids)
    answer = anna_at_list.client.post(
        f"{anna_at_list.flow}assign",
        {"action": "apply", "company": ids[:1], "division": division.pk, "q": search},
    )
    location = answer.headers["Location"]
    assert location == f"{anna_at_list.flow}assign" + (f"?q={search}" if search else "")
    assert read_ticked_companies(anna_at_list, location) == set(ids[1:])
    page = anna_at_list.client.get(location).content.decode()
    assert f'name="q" value="{search}"' in page
    assert "1 of 3 assigned" in page
    anna_at_list.client.post(f"{anna_at_list.flow}assign/undo")
    assert read_ticked_companies(anna_at_list, f"{anna_at_list.flow}assign") == set(ids)


def read_ticked_companies(person: Newcomer, path: str) -> set[int]:
    page = person.client.get(path).content.decode()
    return {int(key) for key in re.findall(r'name="company" value="(\d+)"[^>]* checked', page)}


def test_the_figures_of_identify_are_those_of_all_rows(anna_at_list: Newcomer) -> None:
    """At hundreds of companies most rows are on other pages, where registers answer too."""
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    first, second, third = (company.pk for company in companies(anna_at_list)[:3])
    choose(anna_at_list, first, second, third)
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.filter(pk=third).update(number="69599084")
    state = anna_at_list.client.get(f"{anna_at_list.flow}row-states.json?id={first}").json()
    assert [row["id"] for row in state["rows"]] == [first]
    assert (state["complete"], state["incomplete"]) == (1, 2)
    stored = anna_at_list.client.post(
        f"{anna_at_list.flow}row",
        {f"number-{first}": "17052456", f"reason-{first}": "", f"sector-{first}": ""},
    ).json()
    assert (stored["complete"], stored["incomplete"]) == (2, 1)


def test_no_import_ticks_what_nobody_chose(anna_at_list: Newcomer) -> None:
    assert (
        read_ticked_companies(anna_at_list, f"{anna_at_list.flow}choose"),
        len(companies(anna_at_list)),
    ) == (set(), 8)
    advance_to_assign(anna_at_list, 3)
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"})
    second_path = path_of(anna_at_list.client.post("/connections/new/import", follow=True))
    assert read_ticked_companies(anna_at_list, second_path) == set()
    with organisation_scope(anna_at_list.actor.organisation_id):
        new = RemoteCompany.objects.latest("pk")
        new.pk, new.external_id, new.name, new._state.adding = None, "new", "Nieuw B.V.", True
        new.save()
    assert read_ticked_companies(anna_at_list, second_path) == set()
    assert new.name in anna_at_list.client.get(second_path).content.decode()
    assert "Only new" not in anna_at_list.client.get(second_path).content.decode(), (
        "all that is listed is new"
    )


def test_one_company_is_not_imported_through_two_ways_to_sign_in(anna_at_list: Newcomer) -> None:
    """The company list and the tenants have no id in common; number and name together prove it."""
    first, twin = companies(anna_at_list)[:2]
    stated = {"name": "Bakkerij Kuipers B.V.", "legal_name": "Bakkerij Kuipers B.V.", "country": "NL"}
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.filter(pk=first.pk).update(
            **stated, number="17052456", described_at=timezone.now()
        )
    choose(anna_at_list, first.pk)
    identify(anna_at_list, {first.pk: typed_number("17052456")})
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish"})
    assert len(imported(anna_at_list.actor)) == 1
    ids = [f"0a1b2c3d-1234-5678-9abc-0123456789a{digit}" for digit in "123"]
    texts = ({**stated, "number": "17 05 24 56"}, {**stated, "number": "68750110"}, {**stated, "number": ""})
    app = register_app(anna_at_list.sandbox, "service")
    with organisation_scope(anna_at_list.actor.organisation_id):
        connection = add_companies(anna_at_list.actor, app.pk, ids).connection_id
        for external_id, values in zip(ids, texts, strict=True):
            RemoteCompany.objects.filter(external_id=external_id).update(
                **values, described_at=timezone.now()
            )
    flows = "/api/v1/onboarding/flows"
    token = anna_at_list.client.post(flows, {"connection": connection}, "application/json").json()["token"]
    rows = anna_at_list.client.get(f"{flows}/{token}/companies").json()
    states = {row["number"]: row["state"] for row in rows}
    assert states == {"17 05 24 56": "imported", "68750110": "new", "": "new"}
    with organisation_scope(anna_at_list.actor.organisation_id):
        account = RemoteCompany.objects.select_related("connection").get(pk=first.pk).connection.account
        Flow.objects.filter(token=token).update(origin="", connection_ids=[connection, first.connection_id])
    page = anna_at_list.client.get(f"/connections/new/{token}/choose").content.decode()
    assert f"Already imported via {account}" in page
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.filter(pk=twin.pk).update(**stated, number="68750110")
    page = anna_at_list.client.get(f"/connections/new/{token}/choose").content.decode()
    assert page.count("68750110") == 1, "one row for one company, also within an import"


def test_ticks_are_stored_as_they_are_made_and_two_tabs_lose_none(anna_at_list: Newcomer) -> None:
    first, second, third = (company.pk for company in companies(anna_at_list)[:3])
    page = f"{anna_at_list.flow}choose"
    answer = anna_at_list.client.post(f"{anna_at_list.flow}ticks", {"ticked": [first, second]}).json()
    assert answer == {"chosen": sorted([first, second])}
    assert read_ticked_companies(anna_at_list, page) == {first, second}, "a reload keeps them"
    anna_at_list.client.post(f"{anna_at_list.flow}ticks", {"ticked": [third], "cleared": [second]})
    other_tab = {"company": [first], "base": f"{first},{second}"}
    conflict = anna_at_list.client.post(page, other_tab, follow=True)
    assert path_of(conflict) == page
    assert "In another tab the selection has changed" in conflict.content.decode()
    assert read_ticked_companies(anna_at_list, page) == {first, third}
    agreed = anna_at_list.client.post(page, {"company": [first], "base": f"{first},{third}"}, follow=True)
    assert path_of(agreed) == f"{anna_at_list.flow}identify"
    assert read_ticked_companies(anna_at_list, page) == {first}


def test_unfinished_imports_have_a_limit_and_the_oldest_abandoned_make_room(
    anna: Newcomer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "FLOWS_OF_MEMBER_MAX", 2)
    flows = "/api/v1/onboarding/flows"

    def start() -> Any:
        return anna.client.post(flows, {"system": "visma_net"}, "application/json")

    oldest = start().json()["token"]
    assert start().status_code == 200
    refused = start()
    assert 400 <= refused.status_code < 500
    assert "2 unfinished imports" in refused.content.decode()
    with organisation_scope(anna.actor.organisation_id):
        Flow.objects.filter(token=oldest).update(created_at=timezone.now() - timedelta(hours=2))
    assert start().status_code == 200
    with organisation_scope(anna.actor.organisation_id):
        assert Flow.objects.count() == 2
        assert not Flow.objects.filter(token=oldest).exists()


def test_tenant_ids_of_an_abandoned_import_do_not_come_back(anna_at_list: Newcomer) -> None:
    app, flows = register_app(anna_at_list.sandbox, "service"), "/api/v1/onboarding/flows"
    token = anna_at_list.client.post(flows, {"system": "visma_net"}, "application/json").json()["token"]
    body = {"app": app.pk, "company_ids": "abc\n0a1b2c3d-1234-5678-9abc-0123456789ab"}
    page = anna_at_list.client.post(f"/connections/new/{token}/sign-in", body, follow=True).content.decode()
    assert "No id found in: abc" in page
    with organisation_scope(anna_at_list.actor.organisation_id):
        entered = RemoteCompany.objects.filter(connection__app=app)
        assert entered.count() == 1
    anna_at_list.client.delete(f"{flows}/{token}")
    with organisation_scope(anna_at_list.actor.organisation_id):
        assert entered.count() == 0
