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
from tests.onboarding.test_wizard import advance_to_assign, anna, anna_at_list, choose, companies

__all__ = ["anna", "anna_at_list"]

PAGES = ("/", "/administrations/?all=1", "/connections/")


def test_an_unfinished_import_is_offered_where_work_begins(anna_at_list: Newcomer) -> None:
    for page in PAGES:
        text = anna_at_list.client.get(page).content.decode()
        assert "unfinished import" in text, page
        assert f'href="{anna_at_list.flow}"' in text, page
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
