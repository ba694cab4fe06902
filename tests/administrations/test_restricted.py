"""A restricted administration is visible only to the people named on it, whatever their role."""

from typing import Any

import pytest
from django.utils import timezone

from koppel.administrations import restriction
from koppel.administrations.bulk import operations
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.models import Administration, Assignment, BulkItem
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.lifecycle.removal import preview_removal
from koppel.connections.models import RemoteCompany
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, DivisionMember, Membership, Template
from koppel.organisations.roles import Actor
from tests.administrations.factories import restrict
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of, content, names
from tests.books.factories import Ledger, administration_of, assign
from tests.fixtures.forms import form_of

SECRET = "Familie Van Zorgen B.V."


@pytest.fixture
def people(actor: Any) -> dict[str, Actor]:
    admin = actor("administrator")
    roles = ("team_leader", "user_plus", "user", "reader")
    return {"administrator": admin, **{role: colleague(actor, admin, role, role) for role in roles}}


def test_a_restricted_administration_is_invisible_to_others(people: dict[str, Actor]) -> None:
    admin, named = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET, number="69599084", country="NL")
    other = administration_of(admin, "Bakkerij B.V.")
    Ledger(administration).account("1000", "Kas")
    with organisation_scope(admin.organisation_id):
        division = Division.objects.create(organisation_id=admin.organisation_id, name="Zuid")
        Administration.objects.update(division=division)
        for person in people.values():
            DivisionMember.objects.create(
                organisation_id=admin.organisation_id, division=division, membership_id=person.membership_id
            )
        raise_issue(
            admin.organisation_id, "made_up_by_a_test", Subject(SubjectKind.ADMINISTRATION, administration.pk)
        )
    for person in people.values():
        assign(person, administration)
    form = {
        "access": "restricted",
        "people": [named.membership_id],
        "client_number": "",
        "division": division.pk,
    }
    answer = browser_of(admin).post(f"/administrations/{administration.pk}/edit/", form)
    assert answer.headers["Location"] == "/administrations/", (
        "whoever does not name themselves sees it no more"
    )
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
            answer = browser.get(f"/administrations/{administration.pk}/{page}")
            answer.close()
            assert (answer.status_code == 200) == sees, (role, page)
        assert (browser.get(f"/api/v1/administrations/{administration.pk}").status_code == 200) == sees
        with organisation_scope(admin.organisation_id):
            draft = operations.preview(
                person, "add_favourite", {}, Selection(ids=[administration.pk, other.pk])
            )
            reason_codes = dict(
                BulkItem.objects.filter(operation=draft).values_list("administration_id", "reason_code")
            )
        assert (reason_codes[administration.pk] == "") == sees


def test_an_administrator_sees_that_it_exists_but_not_what_it_is(people: dict[str, Actor]) -> None:
    admin, named = people["administrator"], people["reader"]
    administration = administration_of(admin, SECRET)
    with organisation_scope(admin.organisation_id):
        restrict(admin, administration.pk, [named.membership_id])
    text = browser_of(admin).get("/administrations/?all=1").content.decode()
    assert "1 restricted administration hidden" in text
    page = browser_of(admin).get("/administrations/restricted/").content.decode()
    assert "reader" in page
    assert SECRET not in page
    assert (
        "restricted administration"
        not in browser_of(people["team_leader"]).get("/administrations/").content.decode()
    )
    assert names(named, "") == [SECRET]


def test_no_count_and_no_link_betrays_it(people: dict[str, Actor]) -> None:
    admin, named = people["administrator"], people["user"]
    hidden, other = administration_of(admin, SECRET), administration_of(admin, "Bakkerij B.V.")
    with organisation_scope(admin.organisation_id):
        Administration.objects.filter(pk=other.pk).update(
            connection_id=hidden.connection_id, predecessor=hidden
        )
        RemoteCompany.objects.update(connection_id=hidden.connection_id)
        assert preview_removal(admin, hidden.connection_id).administrations == 2
        restrict(admin, hidden.pk, [named.membership_id])
        assert preview_removal(admin, hidden.connection_id).administrations == 1
    assign(named, other)
    for role, person in people.items():
        client, sees = browser_of(person), person is named
        if role in ("administrator", "team_leader", "user_plus"):
            assert client.get(f"/api/v1/connections/{hidden.connection_id}").json()["administrations"] == 1
        if role in ("administrator", "user"):
            for path in (f"/api/v1/administrations/{other.pk}", "/api/v1/administrations"):
                body = client.get(path).json()
                rows = [one for one in body.get("items", [body]) if one["id"] == other.pk]
                assert [one["predecessor"] for one in rows] == [hidden.pk if sees else None], role


def test_a_restricted_administration_keeps_at_least_one_person(people: dict[str, Actor]) -> None:
    admin = people["administrator"]
    administration = administration_of(admin, SECRET)
    with organisation_scope(admin.organisation_id):
        with pytest.raises(Refused):
            restrict(admin, administration.pk, [])
        restrict(admin, administration.pk, [admin.membership_id])
        draft = operations.preview(
            admin, "change", {"remove": [admin.membership_id]}, Selection(ids=[administration.pk])
        )
        assert BulkItem.objects.get(operation=draft).reason_code == "last_member"
        with pytest.raises(Refused, match="Tick at least one"):
            operations.preview(
                people["team_leader"], "add_favourite", {}, Selection(query=parse_query_string(""))
            )


def test_an_administrator_takes_over_a_restricted_administration_without_people(
    people: dict[str, Actor],
) -> None:
    admin, named = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET)
    with organisation_scope(admin.organisation_id):
        restrict(admin, administration.pk, [named.membership_id])
        with pytest.raises(Refused):
            restriction.reassign_orphaned(admin, administration.pk, admin.membership_id)
        Membership.objects.filter(pk=named.membership_id).update(is_active=False)
    browser_of(admin).post(
        f"/administrations/restricted/{administration.pk}", {"member": admin.membership_id}
    )
    assert names(admin, "") == [SECRET]


def test_lifting_the_restriction_restores_access(people: dict[str, Actor]) -> None:
    admin = people["administrator"]
    administration = administration_of(admin, SECRET)
    with organisation_scope(admin.organisation_id):
        restrict(admin, administration.pk, [admin.membership_id])
    assert names(people["team_leader"], "") == []
    form = {"access": "open", "people": [admin.membership_id], "client_number": "K1"}
    browser_of(admin).post(f"/administrations/{administration.pk}/edit/", form)
    assert names(people["team_leader"], "q=k1") == [SECRET]
    with organisation_scope(admin.organisation_id):
        assert Assignment.objects.filter(administration=administration).count() == 1


def test_the_pages_of_its_connection_do_not_name_it_either(people: dict[str, Actor]) -> None:
    """Nor says the connection's reason whom it is about."""
    admin, named = people["administrator"], people["user_plus"]
    administration = administration_of(admin, SECRET, restricted=True)
    assign(named, administration)
    pages = (
        f"/connections/{administration.connection_id}/",
        "/connections/",
        f"/api/v1/connections/{administration.connection_id}/administrations",
    )
    for is_listed in (False, True):
        with organisation_scope(admin.organisation_id):
            RemoteCompany.objects.filter(pk=administration.remote_company_id).update(
                name=SECRET, is_listed=is_listed
            )
        for role in ("administrator", "team_leader"):
            for page in pages:
                assert SECRET not in browser_of(people[role]).get(page).content.decode(), (
                    role,
                    page,
                    is_listed,
                )
    assert SECRET in browser_of(named).get(pages[0]).content.decode()


def test_bulk_results_over_rest_hide_restricted_administrations(people: dict[str, Actor]) -> None:
    admin, named = people["administrator"], people["user_plus"]
    administration, other = (
        administration_of(admin, SECRET, country="NL"),
        administration_of(admin, "Bakkerij B.V.", country="NL"),
    )
    for administration_ in (administration, other):
        assign(named, administration_)
    with organisation_scope(admin.organisation_id):
        restrict(named, administration.pk, [named.membership_id])
        params = {"number": "69599084", "client_number": "K-SECRET", "add": [people["user"].membership_id]}
        draft = operations.preview(named, "change", params, Selection(ids=[administration.pk, other.pk]))
        operations.start_operation(named, draft.pk)
    items = {
        item["administration"]: (item["before"], item["after"])
        for item in browser_of(admin).get(f"/api/v1/administrations/bulk/{draft.pk}/items").json()
    }
    assert administration.pk not in items
    assert items[other.pk][1]["columns"]["number"] == "69599084"
    own_items = browser_of(named).get(f"/api/v1/administrations/bulk/{draft.pk}/items").json()
    assert all(item["after"]["columns"]["number"] == "69599084" for item in own_items)
    address, page = f"/api/v1/administrations/bulk/{draft.pk}", f"/administrations/bulk/{draft.pk}/"
    assert browser_of(named).get(address).json()["params"]["client_number"] == "K-SECRET"
    assert browser_of(admin).get(address).json()["params"] == {}, "they are the hidden one's too"
    assert f"/administrations/{administration.pk}/" in browser_of(named).get(page).content.decode()
    assert f"/administrations/{administration.pk}/" not in browser_of(admin).get(page).content.decode()
    browser_of(admin).post(f"{address}/undo")
    undone = browser_of(admin).get(address).json()
    assert (undone["state"], undone["params"]) == ("undone", {}), "who undoes it learns no more"


def test_the_last_named_person_must_be_able_to_sign_in(people: dict[str, Actor]) -> None:
    admin, gone = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET)
    with organisation_scope(admin.organisation_id):
        both = [admin.membership_id, gone.membership_id]
        restrict(admin, administration.pk, both)
        Membership.objects.filter(pk=gone.membership_id).update(is_active=False)
        draft = operations.preview(
            admin, "change", {"remove": [admin.membership_id]}, Selection(ids=[administration.pk])
        )
        assert BulkItem.objects.get(operation=draft).reason_code == "last_member"
        Assignment.objects.filter(membership_id=admin.membership_id).delete()
        with pytest.raises(Refused):
            restriction.reassign_orphaned(admin, administration.pk, gone.membership_id)


def test_undo_keeps_a_named_person_and_grants_no_access(people: dict[str, Actor]) -> None:
    """What was undone was done while everybody might see it; it was restricted since."""
    admin, other = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET)
    assign(other, administration)
    with organisation_scope(admin.organisation_id):
        params = {"add": [admin.membership_id], "remove": [other.membership_id]}
        draft = operations.preview(admin, "change", params, Selection(ids=[administration.pk]))
        operations.start_operation(admin, draft.pk)
        restrict(admin, administration.pk, [admin.membership_id])
        operations.undo(admin, draft.pk)
        item = BulkItem.objects.get(operation=draft)
        assert (item.state, item.reason_code) == ("kept", "changed_since")
        named = Assignment.objects.filter(administration=administration).values_list(
            "membership_id", flat=True
        )
        assert set(named) == {admin.membership_id}


def test_a_stale_page_does_not_lift_the_restriction(people: dict[str, Actor]) -> None:
    admin = people["administrator"]
    administration = administration_of(admin, SECRET)
    page = browser_of(admin).get(f"/administrations/{administration.pk}/edit/").content.decode()
    with organisation_scope(admin.organisation_id):
        restrict(admin, administration.pk, [admin.membership_id])
    form = {**form_of(page), "client_number": "K1"}
    browser_of(admin).post(f"/administrations/{administration.pk}/edit/", form)
    with organisation_scope(admin.organisation_id):
        administration.refresh_from_db()
    assert administration.restricted


def test_saving_an_unchanged_page_changes_nothing(people: dict[str, Actor]) -> None:
    """Neither what colleagues did since it was opened, nor a division and a template that are archived."""
    admin, named = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET)
    tenant = {"organisation_id": admin.organisation_id}
    with organisation_scope(admin.organisation_id):
        old = Division.objects.create(**tenant, name="Old", archived_at=timezone.now())
        template = Template.objects.create(**tenant, name="Old", archived_at=timezone.now())
        Administration.objects.update(division=old, template=template)
    page = browser_of(admin).get(f"/administrations/{administration.pk}/edit/").content.decode()
    assign(named, administration)
    form = {**form_of(page), "client_number": ["K1"]}
    browser_of(admin).post(f"/administrations/{administration.pk}/edit/", form)
    with organisation_scope(admin.organisation_id):
        administration.refresh_from_db()
        assert (administration.client_number, administration.division_id, administration.template_id) == (
            "K1",
            old.pk,
            template.pk,
        )
        assert Assignment.objects.filter(
            administration=administration, membership_id=named.membership_id
        ).exists()


def test_a_page_that_refers_to_a_deleted_object_is_not_saved(people: dict[str, Actor]) -> None:
    admin, named = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET)
    with organisation_scope(admin.organisation_id):
        division = Division.objects.create(
            organisation_id=admin.organisation_id, name="Zuid", archived_at=timezone.now()
        )
        restrict(admin, administration.pk, [admin.membership_id])
    form = {
        "access": "restricted",
        "people": [admin.membership_id, named.membership_id],
        "division": division.pk,
    }
    answer = browser_of(admin).post(f"/administrations/{administration.pk}/edit/", form)
    assert "No changes were made." in answer.content.decode()
    with organisation_scope(admin.organisation_id):
        assert list(Assignment.objects.values_list("membership_id", flat=True)) == [admin.membership_id]


def test_a_refused_page_keeps_the_typed_values(people: dict[str, Actor]) -> None:
    """And what the page first showed too: else the next save would take back what a colleague has done
    meanwhile.
    """
    admin, named = people["administrator"], people["user"]
    administration = administration_of(admin, SECRET)
    assign(named, administration)
    tenant = {"organisation_id": admin.organisation_id}
    with organisation_scope(admin.organisation_id):
        division, other = (Division.objects.create(**tenant, name=name) for name in ("Zuid", "Oost"))
        template = Template.objects.create(**tenant, name="Standard")
    browser, path = browser_of(admin), f"/administrations/{administration.pk}/edit/"
    typed = form_of(browser.get(path).content.decode()) | {
        "client_number": ["K1"],
        "division": [str(division.pk)],
        "template": [str(template.pk)],
        "access": ["restricted"],
    }
    assert typed.pop("people") == [str(named.membership_id)]
    with organisation_scope(admin.organisation_id):
        Administration.objects.update(division=other)
    page = browser.post(path, typed).content.decode()
    assert "Choose at least one active user" in page
    assert {name: value for name, value in form_of(page).items() if name != "csrfmiddlewaretoken"} == {
        name: value for name, value in typed.items() if name != "csrfmiddlewaretoken"
    }
    with organisation_scope(admin.organisation_id):
        administration.refresh_from_db()
    assert (administration.client_number, administration.division_id, administration.restricted) == (
        "",
        other.pk,
        False,
    )


def test_access_changed_by_another_user_is_shown_as_stored(people: dict[str, Actor]) -> None:
    admin = people["administrator"]
    administration = administration_of(admin, SECRET)
    browser, path = browser_of(admin), f"/administrations/{administration.pk}/edit/"
    typed = form_of(browser.get(path).content.decode()) | {"client_number": ["K1"]}
    with organisation_scope(admin.organisation_id):
        restrict(admin, administration.pk, [admin.membership_id])
    page = browser.post(path, typed).content.decode()
    assert "after you opened this page" in page
    fields = form_of(page)
    assert (fields["access"], fields["was_access"], fields["client_number"]) == (
        ["restricted"],
        ["restricted"],
        ["K1"],
    )
    assert fields["people"] == fields["was_people"] == [str(admin.membership_id)]
    browser.post(path, fields)
    with organisation_scope(admin.organisation_id):
        administration.refresh_from_db()
    assert (administration.restricted, administration.client_number) == (True, "K1")


def test_typed_settings_are_kept_when_one_is_refused(people: dict[str, Actor]) -> None:
    admin = people["administrator"]
    administration = administration_of(admin, SECRET)
    browser, path = browser_of(admin), f"/administrations/{administration.pk}/settings/"
    typed = form_of(browser.get(path).content.decode()) | {
        "fiscal_years_back": ["77"],
        "schedule": ["night"],
        "full_comparison_weekday": ["2"],
        "resources": ["accounts"],
        "notify-sync_failing": ["division"],
    }
    fields = form_of(browser.post(path, typed).content.decode())
    for name in (
        "fiscal_years_back",
        "schedule",
        "full_comparison_weekday",
        "resources",
        "notify-sync_failing",
    ):
        assert fields[name] == typed[name], name
    with organisation_scope(admin.organisation_id):
        administration.refresh_from_db()
    assert administration.settings == {}
