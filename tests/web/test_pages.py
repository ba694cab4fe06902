"""Every page, for every role, in both languages."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from koppel.administrations.models import Administration, Status
from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Division, Membership, Organisation, Template
from koppel.organisations.roles import PERMISSIONS, Permission, Role
from tests.books.factories import administration_of
from tests.fixtures.people import signed_in
from tests.web.factories import IMPORT, World, build_world

OF_THE_FRAME = {
    "/": Permission.VIEW,
    "/administrations/": Permission.VIEW,
    f"/administrations/?import={IMPORT}": Permission.VIEW,
    "/administrations/?q=bakkerij&status=active&sort=-complete&freshness=stale&favourites=1": Permission.VIEW,
    f"/administrations/rows/?import={IMPORT}": Permission.VIEW,
    "/issues/": Permission.VIEW,
    "/notifications/": Permission.VIEW,
    "/organisation/people/": Permission.MANAGE_PEOPLE,
    "/organisation/divisions/": Permission.MANAGE_PEOPLE,
    "/organisation/templates/": Permission.MANAGE_PEOPLE,
    "/organisation/activity/": Permission.MANAGE_ORGANISATION,
    "/organisation/settings/": Permission.MANAGE_ORGANISATION,
    "/connections/": Permission.IMPORT_ADMINISTRATIONS,
}
OF_ONE = ("administrations:detail", "administrations:settings", "administrations:history", "sync:overview")
FOR_ANYBODY = (
    "/accounts/login/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/done/",
    "/accounts/password/reset/key/x-y/",
)
WHEN_SIGNED_IN = (
    "/accounts/password/change/",
    "/accounts/logout/",
    "/accounts/2fa/",
    "/accounts/reauthenticate/",
)


WRONG_SENTENCE = re.compile(
    r"\w\.\.(?=\s|<)|\b1 (?:administraties|gebruikers|bedrijven|aandachtspunten|regels|koppelingen|vragen)\b"
)
"""A second full stop, and a plural after 1 in Dutch."""


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("role", Role.values)
def test_every_page_answers_every_role(world: World, role: str, language: str) -> None:
    client = world.client(role, language)
    for address, permission in OF_THE_FRAME.items():
        expected = 200 if Role(role) in PERMISSIONS[permission] else 403
        read_page(client, address, language, expected)
    for name in OF_ONE:
        read_page(client, reverse(name, args=[world.active.pk]), language)
        read_page(client, reverse(name, args=[world.configuring.pk]), language)
    for address in WHEN_SIGNED_IN:
        read_page(client, address, language)


@pytest.mark.parametrize("language", ["en", "nl"])
def test_public_pages(clean_database: None, language: str) -> None:
    client = Client()
    client.cookies["koppel_language"] = language
    for address in FOR_ANYBODY:
        read_page(client, address, language)
    read_page(client, "/nowhere/", language, 404)


def read_page(client: Client, address: str, language: str, status: int = 200) -> str:
    """The page has this status, says its language, and holds no code of its template and nothing that the
    content security policy would stop.
    """
    response = client.get(address, follow=address.startswith("/accounts/"))
    text = response.content.decode()
    assert response.status_code == status, f"{address}: {response.status_code}"
    assert f'<html lang="{language}"' in text or 'id="rows"' in text, address
    assert not re.search(r"{%|%}|{{|}}|{#", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)), (
        address
    )
    assert not re.search(
        r"<style|<script(?![^>]*(?:\ssrc=|application/json))|\sstyle=|\son[a-z]+=|javascript:|(?:src|action)=\"https?:",
        text,
    ), address
    assert not WRONG_SENTENCE.search(text), f"{address}: {WRONG_SENTENCE.search(text)}"
    return text


def test_the_rail_shows_only_what_the_role_may(world: World) -> None:
    assert 'href="/organisation/people/"' in read_page(world.client("team_leader"), "/", "en")
    assert 'href="/organisation/activity/"' not in read_page(world.client("team_leader"), "/", "en")
    assert 'href="/organisation/' not in read_page(world.client("reader"), "/", "en")


def test_a_stranger_is_asked_to_sign_in(clean_database: None) -> None:
    assert Client().get("/administrations/").headers["Location"] == "/accounts/login/?next=/administrations/"


def test_an_unassigned_administration_does_not_exist(world: World, actor: Any) -> None:
    hidden = administration_of(actor("administrator"))
    for name in OF_ONE:
        text = read_page(world.client("administrator"), reverse(name, args=[hidden.pk]), "en", 404)
        assert hidden.name not in text


def test_a_person_without_organisation_gets_an_explanation(world: World) -> None:
    with organisation_scope(world.admin.organisation_id):
        Membership.objects.filter(pk=world.people["reader"].membership_id).update(is_active=False)
    assert "No organisation" in read_page(world.client("reader"), "/", "en", 403)


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=9999999999",
        "page=x",
        "status=gone",
        "division=99999999999999999999",
        "user=%00",
        "import=99999999999999999999",
        "sort=;drop",
        "template=-1",
        "freshness=x",
        "connection=²",
        "q=%00a",
    ],
)
def test_rubbish_in_the_address_bar_is_refused_with_no_rows(world: World, query: str) -> None:
    text = read_page(world.client("administrator"), f"/administrations/?{query}", "en", 422)
    assert (world.active.name in text, 'name="action"' in text, "export." in text) == (False, False, False)


@pytest.mark.parametrize(("query", "is_found"), [("q=%25_", False), ("page=9999", True)])
def test_any_words_may_be_searched_and_a_page_past_the_end_is_the_last(
    world: World, query: str, is_found: bool
) -> None:
    text = read_page(world.client("administrator"), f"/administrations/?{query}", "en")
    assert (world.active.name in text) == is_found


def test_an_import_is_followed_in_the_list(world: World) -> None:
    text = read_page(world.client("user"), f"/administrations/?import={IMPORT}", "en")
    assert "Importing 2 administrations" in text
    assert 'hx-trigger="every 2s"' in text
    finish(world)
    text = read_page(world.client("user"), f"/administrations/rows/?import={IMPORT}", "en")
    assert "Import complete" in text
    assert "hx-trigger" not in text


def test_ids_of_four_digits_stay_ids(world: World) -> None:
    administration = administration_of(world.admin, "Noord B.V.", id=5001, import_id=IMPORT)
    text = read_page(world.client("administrator", "nl"), "/administrations/", "nl")
    assert 'value="5001"' in text
    assert "5.001" not in text
    assert "5.001" not in read_page(
        world.client("administrator", "nl"), f"/administrations/{administration.pk}/", "nl"
    )


def finish(world: World) -> None:
    with organisation_scope(world.admin.organisation_id):
        Administration.objects.update(status=Status.ACTIVE)


def run_bulk_operation(client: Client, form_data: dict[str, Any]) -> None:
    """Preview the operation, then start it."""
    draft = client.post("/administrations/bulk/preview", form_data).headers["Location"]
    assert "No changes yet" in client.get(draft).content.decode()
    client.post(f"{draft}start")


def test_the_bulk_bar_assigns_what_is_ticked_and_nothing_else(world: World) -> None:
    client = world.client("user_plus")
    run_bulk_operation(
        client, {"action": "change", "change-division": world.division.pk, "id": [world.active.pk]}
    )
    with organisation_scope(world.admin.organisation_id):
        assert set(Administration.objects.filter(division=world.division)) == {world.active}


def test_a_reader_changes_nothing(world: World) -> None:
    client = world.client("reader")
    assert (
        client.post(
            "/administrations/bulk/preview", {"action": "deactivate", "id": [world.active.pk]}
        ).status_code
        == 403
    )
    assert (
        client.post(f"/administrations/{world.active.pk}/settings/", {"schedule": "off"}).status_code == 403
    )
    for page in ("people/invite", "divisions", "templates", "settings"):
        assert client.post(f"/organisation/{page}/", {"name": "x"}).status_code == 403
    with organisation_scope(world.admin.organisation_id):
        assert Administration.objects.get(pk=world.active.pk).status == Status.ACTIVE
        assert not Division.objects.filter(name="x").exists()


def test_a_favourite_is_starred_in_the_list_and_unstarred(world: World) -> None:
    client = world.client("reader")
    client.post(f"/administrations/{world.active.pk}/favourite", {"is_favourite": "1"})
    text = read_page(client, "/administrations/?favourites=1", "en")
    assert "Bakkerij De Haan" in text
    assert "Fjordheim" not in text
    client.post(f"/administrations/{world.active.pk}/favourite", {"is_favourite": "0"})
    assert "Bakkerij De Haan" not in read_page(client, "/administrations/?favourites=1", "en")


def settings_form(**changed: Any) -> dict[str, Any]:
    from koppel.administrations.effective_settings import DEFAULTS

    values = {key: DEFAULTS[key] for key in ("resources", "schedule", "full_comparison_weekday")}
    return {**values, "fiscal_years_back": 3, **changed}


def test_saving_settings_keeps_what_was_not_changed_where_it_comes_from(world: World) -> None:
    client = world.client("user")
    address = f"/administrations/{world.active.pk}/settings/"
    client.post(address, settings_form(schedule="night"))
    with organisation_scope(world.admin.organisation_id):
        assert Administration.objects.get(pk=world.active.pk).settings == {"schedule": "night"}
    assert "from the template" in read_page(client, address, "en")
    client.post(address, {"reset": "schedule"})
    with organisation_scope(world.admin.organisation_id):
        assert Administration.objects.get(pk=world.active.pk).settings == {}


def test_settings_out_of_range_are_refused_with_a_sentence(world: World) -> None:
    address = f"/administrations/{world.active.pk}/settings/"
    response = world.client("user").post(address, settings_form(fiscal_years_back="99"))
    page = response.content.decode()
    assert '<span class="field-error" id="fiscal_years_back-error">' in page
    assert 'name="fiscal_years_back" value="99"' in page, "what was typed stays"


def test_the_history_describes_actions(world: World) -> None:
    client = world.client("administrator")
    run_bulk_operation(
        client, {"action": "change", "change-division": world.division.pk, "id": [world.active.pk]}
    )
    address = f"/administrations/{world.active.pk}/history/"
    assert "administrations.assigned" not in read_page(client, address, "en")
    assert "toegewezen" in read_page(world.client("administrator", "nl"), address, "nl")


def test_a_template_is_made_changed_and_archived(world: World) -> None:
    client = world.client("team_leader")
    form_data = {"name": "Nightly", "schedule": "hourly_2", "fiscal_years_back": "4", "resources_set": "1"}
    client.post("/organisation/templates/", {**form_data, "resources": ["accounts", "entries"]})
    with organisation_scope(world.admin.organisation_id):
        template = Template.objects.get(name="Nightly")
        expected = {"schedule": "hourly_2", "fiscal_years_back": 4, "resources": ["accounts", "entries"]}
        assert template.settings == expected
    client.post(
        f"/organisation/templates/{template.pk}/", {"name": "Nightly", "schedule": "", "archived": "1"}
    )
    with organisation_scope(world.admin.organisation_id):
        template.refresh_from_db()
        assert template.settings == {}
        assert template.archived_at


def test_the_organisation_sets_defaults_beneath_its_templates(world: World) -> None:
    client = world.client("administrator")
    refused = client.post(
        "/organisation/settings/", {"name": "Kantoor Oost", "schedule": "off", "fiscal_years_back": "77"}
    )
    assert 'value="77"' in refused.content.decode(), "what was typed stays to be put right"
    assert 'id="fiscal_years_back-error"' in refused.content.decode()
    assert 'value="77"' not in read_page(client, "/organisation/settings/", "en"), (
        "nor is what was refused kept"
    )
    client.post("/organisation/settings/", {"name": "Kantoor Oost", "schedule": "off"})
    with organisation_scope(world.admin.organisation_id):
        firm = Organisation.objects.get(pk=world.admin.organisation_id)
        assert (firm.name, firm.settings) == ("Kantoor Oost", {"schedule": "off"})
        assert AuditEntry.objects.filter(action="organisation.changed").count() == 1


def test_a_division_is_renamed_and_a_name_is_used_once(world: World) -> None:
    client = world.client("team_leader")
    client.post(f"/organisation/divisions/{world.division.pk}/", {"name": "Zuidwest"})
    response = client.post("/organisation/divisions/", {"name": "zuidwest"}, follow=True)
    assert "already exists" in response.content.decode()
    with organisation_scope(world.admin.organisation_id):
        assert [one.name for one in Division.objects.all()] == ["Zuidwest"]


def test_notices_are_counted_and_marked_as_read(world: World) -> None:
    client = world.client("user")
    assert 'class="count count-new">1<' in read_page(client, "/notifications/", "en")
    client.post("/notifications/read")
    assert 'class="count count-new"' not in read_page(client, "/notifications/", "en")


def test_the_language_follows_the_person(world: World) -> None:
    client = world.client("user")
    response = client.post("/language", {"language": "nl", "next": "/notifications/"})
    assert response.headers["Location"] == "/notifications/"
    assert "Meldingen" in read_page(client, "/notifications/", "nl")
    assert (
        client.post("/language", {"language": "en", "next": "https://elsewhere.test/"}).headers["Location"]
        == "/"
    )


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/administrations/{}/books/?q=%00", 422),
        ("/administrations/{}/books/contacts/?q=a%00b", 422),
        ("/api/v1/administrations/{}/books/contacts?q=%00", 422),
        ("/api/v1/administrations/{}/books/contacts/records?after=%00", 422),
    ],
)
def test_a_text_that_postgresql_cannot_hold_is_a_bad_request_and_no_fault_of_ours(
    actor: Any, path: str, status: int
) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    assert signed_in(admin).get(path.format(administration.pk)).status_code == status
