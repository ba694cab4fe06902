"""An import that was left is offered where work begins, for a month; step Assign keeps what was done."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.models import Flow
from koppel.organisations.models import Division
from tests.fixtures.first_steps import Newcomer, path_of
from tests.onboarding.test_wizard import advance_to_assign, anna, choose, companies, listed  # noqa: F401 - fixtures

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
