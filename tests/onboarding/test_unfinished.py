"""An import that was left is offered where work begins, for a month; step Assign keeps what was done."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from koppel.connections.consent.service_companies import add_companies
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow
from koppel.organisations.models import Division
from tests.fixtures.first_steps import Newcomer, path_of
from tests.fixtures.stack import register_app
from tests.onboarding.test_wizard import (
    advance_to_assign,
    anna,  # noqa: F401 - fixture
    choose,
    companies,
    identify,
    imported,
    listed,  # noqa: F401 - fixture
    typed_number,
)

PAGES = ("/", "/administrations/?all=1", "/connections/")


def test_an_unfinished_import_is_offered_where_work_begins(listed: Newcomer) -> None:  # noqa: F811
    for page in PAGES:
        text = listed.client.get(page).content.decode()
        assert "unfinished import" in text, page
        assert f'href="{listed.flow}"' in text, page
    with organisation_scope(listed.actor.organisation_id):
        assert Flow.objects.get().expires_at > timezone.now() + timedelta(days=29)
        Flow.objects.update(state="abandoned")
    for page in PAGES:
        assert "unfinished import" not in listed.client.get(page).content.decode(), page


@pytest.mark.parametrize("search", ["", "bakkerij"])
def test_the_search_stays_and_only_the_rest_is_ticked_after_apply(listed: Newcomer, search: str) -> None:  # noqa: F811
    ids = advance_to_assign(listed, 3)
    with organisation_scope(listed.actor.organisation_id):
        division = Division.objects.create(organisation_id=listed.actor.organisation_id, name="Noord")
    assert read_ticked_companies(listed, f"{listed.flow}assign") == set(ids)
    answer = listed.client.post(
        f"{listed.flow}assign", {"action": "apply", "company": ids[:1], "division": division.pk, "q": search}
    )
    location = answer.headers["Location"]
    assert location == f"{listed.flow}assign" + (f"?q={search}" if search else "")
    assert read_ticked_companies(listed, location) == set(ids[1:])
    page = listed.client.get(location).content.decode()
    assert f'name="q" value="{search}"' in page
    assert "1 of 3 assigned" in page
    listed.client.post(f"{listed.flow}assign/undo")
    assert read_ticked_companies(listed, f"{listed.flow}assign") == set(ids)


def read_ticked_companies(person: Newcomer, path: str) -> set[int]:
    page = person.client.get(path).content.decode()
    return {int(key) for key in re.findall(r'name="company" value="(\d+)"[^>]* checked', page)}


def test_the_figures_of_identify_are_those_of_all_rows(listed: Newcomer) -> None:  # noqa: F811
    """At hundreds of companies most rows are on other pages, where registers answer too."""
    with organisation_scope(listed.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="")
    first, second, third = (company.pk for company in companies(listed)[:3])
    choose(listed, first, second, third)
    with organisation_scope(listed.actor.organisation_id):
        RemoteCompany.objects.filter(pk=third).update(number="69599084")
    state = listed.client.get(f"{listed.flow}row-states.json?id={first}").json()
    assert [row["id"] for row in state["rows"]] == [first]
    assert (state["complete"], state["incomplete"]) == (1, 2)
    stored = listed.client.post(
        f"{listed.flow}row", {f"number-{first}": "17052456", f"reason-{first}": "", f"sector-{first}": ""}
    ).json()
    assert (stored["complete"], stored["incomplete"]) == (2, 1)


def test_no_import_ticks_what_nobody_chose(listed: Newcomer) -> None:  # noqa: F811
    assert (read_ticked_companies(listed, f"{listed.flow}choose"), len(companies(listed))) == (set(), 8)
    advance_to_assign(listed, 3)
    listed.client.post(f"{listed.flow}assign", {"action": "skip"})
    second_path = path_of(listed.client.post("/connections/new/import", follow=True))
    assert read_ticked_companies(listed, second_path) == set()
    with organisation_scope(listed.actor.organisation_id):
        new = RemoteCompany.objects.latest("pk")
        new.pk, new.external_id, new.name, new._state.adding = None, "new", "Nieuw B.V.", True
        new.save()
    assert read_ticked_companies(listed, second_path) == set()
    assert new.name in listed.client.get(second_path).content.decode()
    assert "Only new" not in listed.client.get(second_path).content.decode(), "all that is listed is new"


def test_one_company_is_not_imported_through_two_ways_to_sign_in(listed: Newcomer) -> None:  # noqa: F811
    """The company list and the tenants have no id in common; number and name together prove it."""
    first, twin = companies(listed)[:2]
    stated = {"name": "Bakkerij Kuipers B.V.", "legal_name": "Bakkerij Kuipers B.V.", "country": "NL"}
    with organisation_scope(listed.actor.organisation_id):
        RemoteCompany.objects.filter(pk=first.pk).update(
            **stated, number="17052456", described_at=timezone.now()
        )
    choose(listed, first.pk)
    identify(listed, {first.pk: typed_number("17052456")})
    listed.client.post(f"{listed.flow}assign", {"action": "finish"})
    assert len(imported(listed.actor)) == 1
    ids = [f"0a1b2c3d-1234-5678-9abc-0123456789a{digit}" for digit in "123"]
    texts = ({**stated, "number": "17 05 24 56"}, {**stated, "number": "68750110"}, {**stated, "number": ""})
    app = register_app(listed.sandbox, "service")
    with organisation_scope(listed.actor.organisation_id):
        connection = add_companies(listed.actor, app.pk, ids).connection_id
        for external_id, values in zip(ids, texts, strict=True):
            RemoteCompany.objects.filter(external_id=external_id).update(
                **values, described_at=timezone.now()
            )
    flows = "/api/v1/onboarding/flows"
    token = listed.client.post(flows, {"connection": connection}, "application/json").json()["token"]
    rows = listed.client.get(f"{flows}/{token}/companies").json()
    states = {row["number"]: row["state"] for row in rows}
    assert states == {"17 05 24 56": "imported", "68750110": "new", "": "new"}
    with organisation_scope(listed.actor.organisation_id):
        account = RemoteCompany.objects.select_related("connection").get(pk=first.pk).connection.account
        Flow.objects.filter(token=token).update(origin="", connection_ids=[connection, first.connection_id])
    page = listed.client.get(f"/connections/new/{token}/choose").content.decode()
    assert f"Already imported via {account}" in page
    with organisation_scope(listed.actor.organisation_id):
        RemoteCompany.objects.filter(pk=twin.pk).update(**stated, number="68750110")
    page = listed.client.get(f"/connections/new/{token}/choose").content.decode()
    assert page.count("68750110") == 1, "one row for one company, also within an import"


def test_ticks_are_stored_as_they_are_made_and_two_tabs_lose_none(listed: Newcomer) -> None:  # noqa: F811
    first, second, third = (company.pk for company in companies(listed)[:3])
    page = f"{listed.flow}choose"
    answer = listed.client.post(f"{listed.flow}ticks", {"ticked": [first, second]}).json()
    assert answer == {"chosen": sorted([first, second])}
    assert read_ticked_companies(listed, page) == {first, second}, "a reload keeps them"
    listed.client.post(f"{listed.flow}ticks", {"ticked": [third], "cleared": [second]})
    other_tab = {"company": [first], "base": f"{first},{second}"}
    conflict = listed.client.post(page, other_tab, follow=True)
    assert path_of(conflict) == page
    assert "In another tab the selection has changed" in conflict.content.decode()
    assert read_ticked_companies(listed, page) == {first, third}
    agreed = listed.client.post(page, {"company": [first], "base": f"{first},{third}"}, follow=True)
    assert path_of(agreed) == f"{listed.flow}identify"
    assert read_ticked_companies(listed, page) == {first}


def test_tenant_ids_of_an_abandoned_import_do_not_come_back(listed: Newcomer) -> None:  # noqa: F811
    app, flows = register_app(listed.sandbox, "service"), "/api/v1/onboarding/flows"
    token = listed.client.post(flows, {"system": "visma_net"}, "application/json").json()["token"]
    body = {"app": app.pk, "company_ids": "abc\n0a1b2c3d-1234-5678-9abc-0123456789ab"}
    page = listed.client.post(f"/connections/new/{token}/sign-in", body, follow=True).content.decode()
    assert "No id found in: abc" in page
    with organisation_scope(listed.actor.organisation_id):
        entered = RemoteCompany.objects.filter(connection__app=app)
        assert entered.count() == 1
    listed.client.delete(f"{flows}/{token}")
    with organisation_scope(listed.actor.organisation_id):
        assert entered.count() == 0
