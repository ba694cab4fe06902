"""A restricted administration exists for the people named on it and for nobody else, whatever their role."""

from typing import Any

import pytest
from django.utils import timezone

from koppel.administrations import access
from koppel.administrations.asked import asked_of_text
from koppel.administrations.bulk import operations
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.models import Administration, Assignment, BulkItem
from koppel.connections.models import RemoteCompany
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.policy import Actor
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of, content, names
from tests.books.ledger import Ledger, administration_of, assign

SECRET = "Familie Van Zorgen B.V."


@pytest.fixture
def people(actor: Any) -> dict[str, Actor]:
    boss = actor("administrator")
    roles = ("team_leader", "user_plus", "user", "reader")
    return {"administrator": boss, **{role: colleague(actor, boss, role, role) for role in roles}}


def test_for_everybody_else_it_is_nowhere(people: dict[str, Actor]) -> None:
    boss, named = people["administrator"], people["user"]
    one = administration_of(boss, SECRET, number="69599084", country="NL")
    other = administration_of(boss, "Bakkerij B.V.")
    Ledger(one).account("1000", "Kas")
    with organisation_scope(boss.organisation_id):
        division = Division.objects.create(organisation_id=boss.organisation_id, name="Zuid")
        Administration.objects.update(division=division)
        for person in people.values():
            DivisionMember.objects.create(
                organisation_id=boss.organisation_id, division=division, membership_id=person.membership_id
            )
        raise_issue(boss.organisation_id, "made_up_by_a_test", ("administration", one.pk))
    for person in people.values():
        assign(person, one)
    form = {"access": "restricted", "people": [named.membership_id], "client_number": "", "division": division.pk}
    answer = browser_of(boss).post(f"/administrations/{one.pk}/edit/", form)
    assert answer.headers["Location"] == "/administrations/", "whoever does not name themselves sees it no more"
    for role, person in people.items():
        sees = role == "user"
        browser = browser_of(person)
        assert (SECRET in browser.get("/administrations/").content.decode()) == sees, role
        assert (SECRET in browser.get("/administrations/?q=zorgen").content.decode()) == sees
        assert (SECRET.encode() in content(browser.get("/administrations/export.csv"))) == sees
        assert (SECRET in browser.get("/api/v1/administrations").content.decode()) == sees
        assert (SECRET in browser.get("/").content.decode()) == sees
        assert (SECRET in browser.get("/issues/").content.decode()) == sees
        for page in ("", "books/", "books/accounts/?format=csv", "sync/", "settings/", "history/"):
            answer = browser.get(f"/administrations/{one.pk}/{page}")
            answer.close()
            assert (answer.status_code == 200) == sees, (role, page)
        assert (browser.get(f"/api/v1/administrations/{one.pk}").status_code == 200) == sees
        with organisation_scope(boss.organisation_id):
            draft = operations.preview(person, "star", {}, Selection(ids=[one.pk, other.pk]))
            whys = dict(BulkItem.objects.filter(operation=draft).values_list("administration_id", "why"))
        assert (whys[one.pk] == "") == sees


def test_an_administrator_sees_that_it_exists_but_not_what_it_is(people: dict[str, Actor]) -> None:
    boss, named = people["administrator"], people["reader"]
    one = administration_of(boss, SECRET)
    with organisation_scope(boss.organisation_id):
        access.set_access(boss, one.pk, restricted=True, membership_ids=[named.membership_id])
    text = browser_of(boss).get("/administrations/?all=1").content.decode()
    assert "1 restricted administration is not shown" in text
    page = browser_of(boss).get("/administrations/restricted/").content.decode()
    assert "reader" in page
    assert SECRET not in page
    assert (
        "restricted administration" not in browser_of(people["team_leader"]).get("/administrations/").content.decode()
    )
    assert names(named, "") == [SECRET]


def test_somebody_must_stay_named_and_bulk_work_heeds_it(people: dict[str, Actor]) -> None:
    boss = people["administrator"]
    one = administration_of(boss, SECRET)
    with organisation_scope(boss.organisation_id):
        with pytest.raises(Refused):
            access.set_access(boss, one.pk, restricted=True, membership_ids=[])
        access.set_access(boss, one.pk, restricted=True, membership_ids=[boss.membership_id])
        draft = operations.preview(boss, "change", {"remove": [boss.membership_id]}, Selection(ids=[one.pk]))
        assert BulkItem.objects.get(operation=draft).why == "last_named"
        with pytest.raises(Refused, match="Tick at least one"):
            operations.preview(people["team_leader"], "star", {}, Selection(asked=asked_of_text("")))


def test_whose_people_have_all_left_is_rescued_by_an_administrator_and_only_then(people: dict[str, Actor]) -> None:
    boss, named = people["administrator"], people["user"]
    one = administration_of(boss, SECRET)
    with organisation_scope(boss.organisation_id):
        access.set_access(boss, one.pk, restricted=True, membership_ids=[named.membership_id])
        with pytest.raises(Refused):
            access.rescue(boss, one.pk, boss.membership_id)
        Membership.objects.filter(pk=named.membership_id).update(is_active=False)
    browser_of(boss).post(f"/administrations/restricted/{one.pk}", {"member": boss.membership_id})
    assert names(boss, "") == [SECRET]


def test_opening_it_again_gives_it_back_to_all_who_may(people: dict[str, Actor]) -> None:
    boss = people["administrator"]
    one = administration_of(boss, SECRET)
    with organisation_scope(boss.organisation_id):
        access.set_access(boss, one.pk, restricted=True, membership_ids=[boss.membership_id])
    assert names(people["team_leader"], "") == []
    form = {"access": "open", "people": [boss.membership_id], "client_number": "K1"}
    browser_of(boss).post(f"/administrations/{one.pk}/edit/", form)
    assert names(people["team_leader"], "q=k1") == [SECRET]
    with organisation_scope(boss.organisation_id):
        assert Assignment.objects.filter(administration=one).count() == 1


def test_the_pages_of_its_connection_do_not_name_it_either(people: dict[str, Actor]) -> None:
    """Nor says the connection's reason whom it is about."""
    boss, named = people["administrator"], people["user_plus"]
    one = administration_of(boss, SECRET, restricted=True)
    assign(named, one)
    pages = (
        f"/connections/{one.connection_id}/",
        "/connections/",
        f"/api/v1/connections/{one.connection_id}/administrations",
    )
    for listed_at in (None, timezone.now()):
        with organisation_scope(boss.organisation_id):
            RemoteCompany.objects.filter(pk=one.remote_company_id).update(name=SECRET, listed_at=listed_at)
        for role in ("administrator", "team_leader"):
            for page in pages:
                assert SECRET not in browser_of(people[role]).get(page).content.decode(), (role, page, listed_at)
    assert SECRET in browser_of(named).get(pages[0]).content.decode()
