"""An unknown filter never means everything: over REST, on the command line, on pages and in saved views."""

import json
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from koppel.administrations.commands import app
from koppel.administrations.models import (
    Administration,
    Assignment,
    BulkOperation,
    Favourite,
    SavedView,
    Status,
)
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.models import Connection, ConnectionState
from koppel.kit.errors import KoppelError, refusal_text
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.groups import divisions
from koppel.organisations.groups.inputs import DivisionInput
from koppel.organisations.models import Division, Membership, Organisation, User
from koppel.organisations.roles import Actor
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_bulk import colleague
from tests.administrations.test_list import browser_of
from tests.books.factories import administration_of
from tests.fixtures.people import signed_in

ROOT = "/api/v1/administrations"
UNKNOWN = [
    ("stauts=failed", "stauts"),
    ("Status=failed", "Status"),
    ("country=XX", "country"),
    ("status=faild", "faild"),
    ("status=Failed", "Failed"),
    ("status=", "status"),
    ("division=abc", "abc"),
    ("division=987654", "987654"),
    ("division=-1", "-1"),
    ("template=987654", "987654"),
    ("user=987654", "987654"),
    ("user=Me", "Me"),
    ("connection=987654", "987654"),
    ("connection=none", "none"),
    ("sector=ZZ", "ZZ"),
    ("sector=c", "c"),
    ("freshness=stale%20", ""),
    ("freshness=rotten", "rotten"),
    ("issues=sync_faild", "sync_faild"),
    ("number=odd", "odd"),
    ("lifecycle=soon", "soon"),
    ("sort=colour", "colour"),
    ("sort=--name", "--name"),
    ("status=failed&status=faild", "faild"),
    ("q=a&q=b", "q"),
    ("favourites=maybe", "maybe"),
]
"""Query, and the word of it that is refused; '' for what is let through after all: blanks around a value."""
REFUSED = [pair for pair in UNKNOWN if pair[1]]


@pytest.fixture
def firm(actor: Any) -> Firm:
    return create_firm(actor("administrator"), 12)


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    return client.generic(method, path, "" if body is None else json.dumps(body), "application/json")


def count_favourites(firm: Firm) -> int:
    with organisation_scope(firm.admin.organisation_id):
        return Favourite.objects.count()


def test_rest_names_the_unknown_filter_or_value(firm: Firm) -> None:
    client = browser_of(firm.admin)
    for query, word in REFUSED:
        answer = client.get(f"{ROOT}?{query}")
        assert answer.status_code == 422, query
        assert word in json.dumps(answer.json()["detail"]), query
    assert client.get(f"{ROOT}?freshness=stale%20").status_code == 200
    for query in (
        "import_id=987654",
        "import_id=x",
        "import=1",
        "limit=0",
        "limit=5000",
        "offset=-1",
        "page=2",
    ):
        assert client.get(f"{ROOT}?{query}").status_code == 422, query


def test_an_id_of_another_organisation_is_refused_like_an_unknown_one(firm: Firm, actor: Any) -> None:
    other = create_firm(actor("administrator"), 3)
    client = browser_of(firm.admin)
    for name, ids in (
        ("division", other.divisions),
        ("template", other.templates),
        ("connection", other.connections),
    ):
        foreign, unknown = (client.get(f"{ROOT}?{name}={key}").json() for key in (ids[0], 987654))
        assert json.dumps(foreign).replace(str(ids[0]), "987654") == json.dumps(unknown)
        assert unknown["detail"][0]["loc"] == ["query", name]


def test_a_bulk_action_with_an_unknown_filter_changes_nothing(firm: Firm) -> None:
    client = browser_of(firm.admin)
    for query, word in REFUSED:
        answer = send(
            client, "POST", f"{ROOT}/bulk", {"action": "add_favourite", "filter": query, "start": True}
        )
        assert (answer.status_code, word in answer.content.decode()) == (422, True), query
    assert count_favourites(firm) == 0
    with organisation_scope(firm.admin.organisation_id):
        assert not BulkOperation.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"action": "explode", "filter": "", "start": True},
        {"action": "Star", "filter": "", "start": True},
        {"action": "add_favourite", "filters": "status=failed", "ids": [], "start": True},
        {"action": "add_favourite", "filter": "status=failed", "stat": True},
        {"action": "add_favourite", "ids": [], "start": True},
        {"action": "add_favourite", "params": {"colour": "red"}, "filter": "", "start": True},
        {"action": "change", "params": {"devision": None, "sector": "Q"}, "filter": "", "start": True},
        {"action": "change", "params": {"per_item": True}, "filter": "", "start": True},
        {"action": "deactivate", "params": {"when": "2099-01-01"}, "filter": "", "start": True},
    ],
)
def test_a_bulk_action_with_an_unknown_field_changes_nothing(firm: Firm, body: dict[str, Any]) -> None:
    answer = send(browser_of(firm.admin), "POST", f"{ROOT}/bulk", body)
    assert answer.status_code in (409, 422), answer.content
    assert count_favourites(firm) == 0
    with organisation_scope(firm.admin.organisation_id):
        assert not BulkOperation.objects.exists()


def test_ids_and_a_filter_together_are_refused(firm: Firm) -> None:
    body = {"action": "add_favourite", "ids": [firm.ids[0]], "filter": "", "start": True}
    assert send(browser_of(firm.admin), "POST", f"{ROOT}/bulk", body).status_code == 409
    assert count_favourites(firm) == 0


def run(actor: Actor, *words: str) -> Any:
    with organisation_scope(actor.organisation_id):
        email = User.objects.get(pk=actor.user_id).email
    return CliRunner().invoke(app, [*words, "--as", email, "--json"])


def test_the_command_line_names_unknown_and_valid_values(firm: Firm) -> None:
    before = statuses(firm)
    for query, word in REFUSED:
        for words in (
            ("deactivate", "--filter", query),
            ("list", "--filter", query),
            ("export", "--filter", query),
        ):
            outcome = run(firm.admin, *words)
            assert isinstance(outcome.exception, KoppelError), f"{words}: {outcome.output}"
            assert word in refusal_text(outcome.exception), words
    assert "Possible: queued, configuring, active" in str(
        run(firm.admin, "list", "--filter", "status=faild").exception
    )
    assert statuses(firm) == before


def statuses(firm: Firm) -> list[str]:
    with organisation_scope(firm.admin.organisation_id):
        return list(Administration.objects.order_by("pk").values_list("status", flat=True))


def test_assigning_what_does_not_exist_is_refused_by_name(firm: Firm) -> None:
    for option in ("--division", "--template", "--add"):
        refusal = run(firm.admin, "assign", str(firm.ids[0]), option, "987654").exception
        assert (isinstance(refusal, KoppelError), "987654" in str(refusal)) == (True, True), option
    refusal = run(firm.admin, "assign", str(firm.ids[0]), "--sector", "ZZ").exception
    assert "“ZZ” is not a value of “sector”. Possible: A, B" in str(refusal)


def test_the_page_shows_the_refused_part_no_rows_and_how_to_remove_it(firm: Firm) -> None:
    client = browser_of(firm.admin)
    for query, _word in REFUSED:
        page = client.get(f"/administrations/?{query}").content.decode()
        assert 'class="banner banner-bad' in page, query
        assert ("<tbody" in page, 'name="id"' in page, "/administrations/export." in page) == (
            False,
            False,
            False,
        ), query
    page = client.get("/administrations/?status=faild&division=none").content.decode()
    assert "“faild” is not a value of “status”" in page
    assert 'href="?division=none"' in page
    assert "<tbody" in client.get("/administrations/?status=active").content.decode()


def test_export_and_rows_refuse_an_unknown_filter(firm: Firm) -> None:
    client = browser_of(firm.admin)
    for address in ("export.csv", "export.xlsx", "rows/"):
        answer = client.get(f"/administrations/{address}?stauts=failed")
        assert (answer.status_code, "stauts" in answer.content.decode()) == (422, True), address


@pytest.mark.parametrize("query", ["stauts=failed", "status=faild", "division=987654"])
@pytest.mark.parametrize("selection", ["all", "ticked"])
def test_a_form_with_an_unknown_filter_changes_nothing(firm: Firm, query: str, selection: str) -> None:
    chosen = {"all": "1"} if selection == "all" else {"id": [str(key) for key in firm.ids]}
    client = browser_of(firm.admin)
    form = {"action": "add_favourite", "query": query, "next": "/administrations/?all=1", **chosen}
    page = client.post("/administrations/bulk/preview", form, follow=True).content.decode()
    assert query.partition("=")[0] in page
    assert count_favourites(firm) == 0


@pytest.mark.parametrize(
    "strange",
    [{"all": "yes"}, {"id": "x"}, {"action": "explode"}, {"action": "change", "change-division": "abc"}],
)
def test_a_form_with_an_unknown_value_changes_nothing(firm: Firm, strange: dict[str, str]) -> None:
    form = {"action": "add_favourite", "query": "", "id": [str(firm.ids[0])], **strange}
    browser_of(firm.admin).post("/administrations/bulk/preview", form)
    assert count_favourites(firm) == 0
    with organisation_scope(firm.admin.organisation_id):
        assert not BulkOperation.objects.exists()


def test_a_view_by_an_unknown_filter_is_not_saved(firm: Firm) -> None:
    client = browser_of(firm.admin)
    for query in ("stauts=failed", "division=987654", "sort=colour"):
        form = {"name": "Mine", "query": query, "is_default": "1"}
        assert "is not a" in client.post("/administrations/views", form, follow=True).content.decode()
    with organisation_scope(firm.admin.organisation_id):
        assert not SavedView.objects.exists()


def test_a_default_view_by_an_archived_division_shows_nothing_and_its_name(firm: Firm) -> None:
    admin, client = firm.admin, browser_of(firm.admin)
    form = {"name": "Mine", "query": f"division={firm.divisions[0]}&status=active", "is_default": "1"}
    client.post("/administrations/views", form)
    with organisation_scope(admin.organisation_id):
        name = Division.objects.get(pk=firm.divisions[0]).name
        divisions.change_division(admin, firm.divisions[0], DivisionInput(name=name, archived=True))
        view = SavedView.objects.get()
    page = client.get("/administrations/", follow=True).content.decode()
    assert (f"The division “{name}” is archived." in page, "Your saved view “Mine”" in page) == (True, True)
    assert ("<tbody" in page, 'href="?status=active"' in page) == (False, True)
    client.post("/administrations/views", {"action": "remove", "id": view.pk})
    assert "<tbody" in client.get("/administrations/", follow=True).content.decode()


def test_a_view_of_a_deleted_object_matches_nothing_over_rest(firm: Firm) -> None:
    admin, client = firm.admin, browser_of(firm.admin)
    connection, template, division = firm.connections[0], firm.templates[0], firm.divisions[3]
    with organisation_scope(admin.organisation_id):
        Connection.objects.filter(pk=connection).update(state=ConnectionState.REMOVED)
        Administration.objects.filter(division_id=division).update(division=None)
        Division.objects.filter(pk=division).delete()
        divisions.merge(admin, firm.divisions[1], firm.divisions[2])
    for query in (f"connection={connection}", f"division={division}", f"division={firm.divisions[1]}"):
        assert client.get(f"{ROOT}?{query}").status_code == 422
        answer = send(
            client, "POST", f"{ROOT}/bulk", {"action": "add_favourite", "filter": query, "start": True}
        )
        assert answer.status_code == 422
    assert "kantoor0@example.test" in client.get(f"{ROOT}?connection={connection}").content.decode()
    assert client.get(f"{ROOT}?template={template}").status_code == 200
    assert count_favourites(firm) == 0


def test_a_filter_by_a_former_member_names_the_person(firm: Firm, actor: Any) -> None:
    anna = colleague(actor, firm.admin, "user")
    with organisation_scope(firm.admin.organisation_id):
        subject = Subject(kind=SubjectKind.PERSON, id=anna.membership_id, name="Anna de Vries")
        add_audit_entry(firm.admin.organisation_id, firm.admin.audit, PersonAction.CHANGED, subject=subject)
        Membership.objects.filter(pk=anna.membership_id).delete()
    page = browser_of(firm.admin).get(f"{ROOT}?user={anna.membership_id}")
    assert page.status_code == 422
    assert page.json()["detail"][0]["msg"] == "The user “Anna de Vries” is no longer a member."


def test_an_import_of_invisible_administrations_does_not_exist(firm: Firm, actor: Any) -> None:
    with organisation_scope(firm.admin.organisation_id):
        Administration.objects.filter(pk=firm.ids[0]).update(import_id=7, status=Status.ACTIVE)
    anna = colleague(actor, firm.admin, "user")
    hidden, nowhere = (browser_of(anna).get(f"{ROOT}?import_id={key}").content.decode() for key in (7, 8))
    assert hidden.replace("7", "8") == nowhere
    assert browser_of(firm.admin).get(f"{ROOT}?import_id=7").json()["total"] == 1


NARROWING_NOTHING = [
    "q=",
    "q",
    "q=%00",
    "q=%20%20",
    "q=%C2%A0",
    "&",
    "&&&",
    "page=2",
    "done=77",
    "sort=name",
    "sort=-name",
    "columns=name",
    "columns=",
    "page=1&sort=name",
    "q=&sort=name",
    "status=active&page=2",
    "all=1&status=active",
    "all=1&q=",
    " ",
    "?",
]


def test_a_filter_that_narrows_nothing_down_does_not_mean_all(firm: Firm) -> None:
    """By REST, on the page and in the shell."""
    client, before = browser_of(firm.admin), statuses(firm)
    for query in NARROWING_NOTHING:
        answer = send(
            client, "POST", f"{ROOT}/bulk", {"action": "add_favourite", "filter": query, "start": True}
        )
        assert answer.status_code == 422, query
        form = {"action": "add_favourite", "query": query, "all": "1", "next": "/administrations/?all=1"}
        client.post("/administrations/bulk/preview", form)
        assert isinstance(run(firm.admin, "deactivate", "--filter", query).exception, KoppelError), query
    assert (count_favourites(firm), statuses(firm)) == (0, before)


def test_all_administrations_are_changed_on_explicit_request(firm: Firm) -> None:
    client = browser_of(firm.admin)
    for query in ("", "all=1"):
        send(client, "POST", f"{ROOT}/bulk", {"action": "add_favourite", "filter": query, "start": True})
        assert count_favourites(firm) == 12, query
        send(client, "POST", f"{ROOT}/bulk", {"action": "remove_favourite", "filter": query, "start": True})
        assert count_favourites(firm) == 0, query
    client.post("/administrations/bulk/preview", {"action": "add_favourite", "query": "", "all": "1"})
    assert count_favourites(firm) == 12
    assert isinstance(run(firm.admin, "deactivate", "--filter", "").exception, KoppelError)
    assert isinstance(
        run(firm.admin, "deactivate", "--all", "--filter", "status=active").exception, KoppelError
    )
    assert run(firm.admin, "deactivate", "--all").exit_code == 0
    assert set(statuses(firm)) == {"deactivated"}


def test_a_bulk_action_on_a_sorted_list_uses_its_filter_and_keeps_the_sorting(firm: Firm) -> None:
    client = browser_of(firm.admin)
    page = client.get("/administrations/?status=active&sort=-name").content.decode()
    assert 'name="query" value="status=active"' in page
    assert 'name="display" value="sort=-name"' in page
    form = {"action": "add_favourite", "query": "status=active", "display": "sort=-name", "all": "1"}
    answer = client.post("/administrations/bulk/preview", form)
    assert answer["Location"].endswith("/administrations/?status=active&sort=-name")
    assert count_favourites(firm) == statuses(firm).count("active")


def test_accounts_of_connections_are_listed_for_those_who_see_connections(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    administration = administration_of(admin)
    for role, is_listed in (("administrator", True), ("user_plus", True), ("user", False), ("reader", False)):
        member = admin if role == "administrator" else actor(role, organisation=firm)
        with organisation_scope(admin.organisation_id):
            Assignment.objects.create(
                organisation_id=admin.organisation_id,
                administration=administration,
                membership_id=member.membership_id,
            )
        page = signed_in(member).get("/administrations/?all=1").content.decode()
        assert administration.name in page, role
        assert ("a@example.test" in page) is is_listed, role
