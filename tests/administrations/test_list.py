"""The administration list: filters, saved views and exports."""

import contextlib
import io
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from openpyxl import load_workbook

from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.list.queryset import PAGE_SIZE, apply_filters, get_page, search
from koppel.administrations.models import Administration, SavedView
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.kit.tenancy.installation_number import NUMBER_MAX, id_range
from koppel.kit.web.parameters import UnknownParameter
from koppel.organisations.models import Division, Organisation
from koppel.organisations.roles import Actor
from tests.administrations.factories import Firm, create_firm
from tests.books.factories import administration_of
from tests.fixtures.people import signed_in

_FIRST, LAST = id_range(NUMBER_MAX)


def browser_of(actor: Actor) -> Client:
    client = signed_in(actor)
    client.cookies["koppel_language"] = "en"
    return client


def content(answer: Any) -> bytes:
    """Return the body of a streamed file, which is closed."""
    with contextlib.closing(answer):
        return b"".join(answer.streaming_content)


def names(actor: Actor, query: str) -> list[str]:
    with organisation_scope(actor.organisation_id):
        return [one.name for one in search(actor, parse_query_string(query))]


def test_search_finds_names_numbers_client_numbers_and_codes_in_any_spelling(actor: Any) -> None:
    admin = actor("administrator")
    cafe = administration_of(admin, "Café Öberg B.V.", number="69599084", country="NL", client_number="K-100")
    administration_of(admin, "Holding Smit", number="923609016", country="NO")
    with organisation_scope(admin.organisation_id):
        type(cafe.remote_company).objects.filter(pk=cafe.remote_company_id).update(code="V7781")
    numbers = ("69599084", "6959", "695 990 84", "69.599.084", "NL69599084")
    for typed in ("cafe", "oberg", "ÖBERG café", "k-100", "v7781", *numbers):
        assert names(admin, f"q={typed}") == ["Café Öberg B.V."], typed
    assert names(admin, "q=923 609 016") == ["Holding Smit"]
    assert names(admin, "q=smit&status=active&status=failed") == ["Holding Smit"]
    assert names(admin, "q=100%25") == []


def test_filters_narrow_together_and_several_values_widen(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        organisation = Organisation.objects.get(pk=admin.organisation_id)
    user = actor("user", organisation=organisation)
    firm = create_firm(admin, 60, [user.membership_id, admin.membership_id])
    north, east = firm.divisions[:2]
    with organisation_scope(admin.organisation_id):
        administrations = Administration.objects.filter(organisation_id=admin.organisation_id)
        failed = administrations.filter(status__in=["failed", "blocked"], division_id__in=[north, east])
        assert failed.exists()
        assert set(names(admin, f"status=failed&status=blocked&division={north}&division={east}")) == {
            administration.name for administration in failed
        }
        assert len(names(admin, "division=none")) == administrations.filter(division=None).count() > 0
        assert len(names(admin, "user=me")) == 30
        assert len(names(admin, "user=none")) == 0
        assert len(names(admin, "number=missing")) == administrations.filter(number="").count()
        with_issue = len(names(admin, "issues=any"))
        assert with_issue == len(names(admin, "issues=sync_failed")) == 7
        assert len(names(admin, "issues=none")) == 60 - with_issue
        ages = [len(names(admin, f"freshness={age}")) for age in ("fresh", "stale", "old", "never")]
        assert sum(ages) == 60
        assert all(ages[place] for place in (0, 1, 3))
        twin = administrations.order_by("pk").exclude(number="").first()
        assert twin
        administrations.filter(pk=firm.ids[-1]).update(number=twin.number, number_scheme=twin.number_scheme)
    assert len(names(admin, "number=duplicate")) == 2


def test_a_filter_may_name_all_ids_of_a_long_page(actor: Any) -> None:
    """On the page, in a file, over REST and in a saved view; ids of the highest installation have sixteen
    digits.
    """
    admin, count = actor("administrator"), 250
    firm = create_firm(admin, 12)
    with organisation_scope(admin.organisation_id):
        divisions = Division.objects.bulk_create(
            Division(organisation_id=admin.organisation_id, name=f"Team {number}")
            for number in range(count - 4)
        )
    ids = [*firm.divisions, *(division.pk for division in divisions)]
    query, client = urlencode([("division", key) for key in ids]), browser_of(admin)
    assert {len(str(key)) for key in ids} == {16}
    with organisation_scope(admin.organisation_id):
        expected = len(names(admin, "division=" + "&division=".join(map(str, firm.divisions))))
    assert client.get(f"/api/v1/administrations?{query}").json()["total"] == expected > 0
    page = client.get(f"/administrations/?{query}")
    assert (
        page.status_code,
        f'<span class="chip-value">{count}</span>' in page.content.decode(),
        len(page.content) < 500_000,
    ) == (
        200,
        True,
        True,
    )
    assert content(client.get(f"/administrations/export.csv?{query}")).count(b"\n") == expected + 1
    assert client.post("/administrations/views", {"name": "All", "query": query}).status_code == 302
    connections = urlencode([("connection", LAST - number) for number in range(count)])
    assert len(parse_query_string(connections).multi_filters["connection"]) == count


def test_every_column_sorts_both_ways_and_pages_do_not_overlap(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, PAGE_SIZE + 20, [admin.membership_id])
    with organisation_scope(admin.organisation_id):
        for key in COLUMNS:
            for sort in (key, f"-{key}"):
                first = get_page(admin, parse_query_string(f"sort={sort}"))
                second = get_page(admin, parse_query_string(f"sort={sort}&page=2"))
                seen = [one.pk for one in (*first.rows, *second.rows)]
                assert sorted(seen) == sorted(firm.ids), sort
        ascending = [one.sort_name for one in search(admin, parse_query_string("sort=name"))]
        assert ascending == sorted(ascending)
        ages = [one.complete_as_of for one in search(admin, parse_query_string("sort=-complete"))]
        completed = [age for age in ages if age]
        assert completed == sorted(completed, reverse=True)
        assert ages[: len(completed)] == completed, "what was never complete comes last either way"


def test_the_page_reads_its_state_from_the_query_string(actor: Any) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, PAGE_SIZE + 5)
    client = browser_of(admin)
    text = client.get(
        f"/administrations/?division={firm.divisions[0]}&sort=-number&columns=name.client.sector"
    ).content.decode()
    assert '<span class="chip-value">Noord</span>' in text
    assert 'aria-sort="descending"' not in text, "the sorted column is not shown"
    assert "Client number" in text
    assert 'id="administrations"' in text
    assert "Last synced</a>" not in text
    assert (
        f"101–{PAGE_SIZE + 5} of {PAGE_SIZE + 5}" in client.get("/administrations/?page=99").content.decode()
    )
    assert 'aria-sort="ascending"' in client.get("/administrations/").content.decode()


def test_a_saved_view_is_personal_and_can_be_the_default(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        organisation = Organisation.objects.get(pk=admin.organisation_id)
    other = actor("team_leader", organisation=organisation)
    create_firm(admin, 10)
    client = browser_of(admin)
    form = {"name": "Failing", "query": "status=failed&page=3", "is_default": "1"}
    client.post("/administrations/views", form)
    answer = client.get("/administrations/")
    assert answer.headers["Location"] == "/administrations/?status=failed"
    assert (
        '<span class="tag">Failing</span>' in client.get("/administrations/?status=failed").content.decode()
    )
    assert client.get("/administrations/?all=1").status_code == 200
    assert browser_of(other).get("/administrations/").status_code == 200
    with organisation_scope(admin.organisation_id):
        view = SavedView.objects.get()
    browser_of(other).post("/administrations/views", {"action": "remove", "id": view.pk})
    client.post("/administrations/views", {"action": "no_default", "id": view.pk})
    assert client.get("/administrations/").status_code == 200
    client.post("/administrations/views", {"action": "remove", "id": view.pk})
    with organisation_scope(admin.organisation_id):
        assert not SavedView.objects.exists()


def test_the_shown_list_is_exported_escaped_and_audited(actor: Any) -> None:
    admin = actor("administrator")
    firm: Firm = create_firm(admin, PAGE_SIZE + 10)
    evil = administration_of(admin, "=HYPERLINK(1)", client_number="+31", status="failed")
    client = browser_of(admin)
    query = "status=failed&status=blocked&columns=name.client.issues&sort=name"
    answer = client.get(f"/administrations/export.csv?{query}")
    lines = content(answer).decode("utf-8-sig").splitlines()
    with organisation_scope(admin.organisation_id):
        names_ = [one.name for one in search(admin, parse_query_string(query))]
    assert lines[0] == "Name,Client number,Issues"
    assert len(lines) == 1 + len(names_) < len(firm.ids)
    assert any(line.startswith("'=HYPERLINK(1),'+31,") for line in lines)
    sheet = load_workbook(io.BytesIO(content(client.get(f"/administrations/export.xlsx?{query}")))).active
    cells = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert [row[0] for row in cells[1:]] == names_
    assert [cell.data_type for cell in sheet["A"]] == ["s"] * len(cells)
    with organisation_scope(admin.organisation_id):
        entry = AuditEntry.objects.filter(action="administrations.exported").latest("pk")
        assert entry.details["rows"] == len(names_)
        assert "status=failed" in entry.details["filter"]
    assert evil.name in names_


@pytest.mark.parametrize("role", ["user", "reader"])
def test_members_list_count_and_export_their_assigned_administrations(actor: Any, role: str) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        organisation = Organisation.objects.get(pk=admin.organisation_id)
    person = actor(role, organisation=organisation)
    create_firm(admin, 40, [person.membership_id, admin.membership_id])
    client = browser_of(person)
    assert 'id="list-total">20</span>' in client.get("/administrations/").content.decode()
    lines = content(client.get("/administrations/export.csv")).splitlines()
    assert len(lines) == 21


def test_a_filter_by_an_issue_code_and_one_by_its_absence(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    with organisation_scope(admin.organisation_id):
        raise_issue(admin.organisation_id, "made_up", Subject(SubjectKind.ADMINISTRATION, administration.pk))
        assert apply_filters(admin, parse_query_string("issues=made_up")).count() == 1
        with pytest.raises(UnknownParameter, match="other"):
            apply_filters(admin, parse_query_string("issues=other"))
        assert apply_filters(admin, parse_query_string("issues=none")).count() == 0
