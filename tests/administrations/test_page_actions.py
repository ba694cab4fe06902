"""What an administration's page offers: activate, deactivate and their undo; why it cannot sync now."""

from typing import Any

import pytest
from django.test import Client

from koppel.administrations.models import Administration, BulkOperation
from koppel.connections.models import Connection
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import NOW, administration_of
from tests.fixtures.people import signed_in


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def administration(admin: Actor) -> Administration:
    return administration_of(admin, activated_at=NOW)


def status(administration: Administration) -> str:
    with organisation_scope(administration.organisation_id):
        return str(Administration.objects.get(pk=administration.pk).status)


def press_action_button(browser: Client, administration: Administration, action: str) -> int:
    """The button of the page, then the one of the preview. The operation."""
    page = browser.get(f"/administrations/{administration.pk}/").content.decode()
    assert f'value="{action}"' in page
    answer = browser.post("/administrations/bulk/preview", {"action": action, "id": administration.pk})
    operation_id = int(answer.headers["Location"].rstrip("/").rsplit("/", 1)[1])
    browser.post(f"/administrations/bulk/{operation_id}/start")
    return operation_id


def test_deactivating_and_activating_from_the_page_can_be_undone(
    admin: Actor, administration: Administration
) -> None:
    browser = signed_in(admin)
    for action, then in (("deactivate", "deactivated"), ("activate", "active")):
        before = status(administration)
        operation_id = press_action_button(browser, administration, action)
        assert status(administration) == then
        browser.post(f"/administrations/bulk/{operation_id}/undo")
        with organisation_scope(admin.organisation_id):
            assert BulkOperation.objects.get(pk=operation_id).state == "undone"
        assert status(administration) == before
        press_action_button(browser, administration, action)
    assert status(administration) == "active"


def test_a_deactivated_administration_offers_to_activate_and_not_to_sync(
    admin: Actor, administration: Administration
) -> None:
    browser = signed_in(admin)
    press_action_button(browser, administration, "deactivate")
    page = browser.get(f"/administrations/{administration.pk}/").content.decode()
    assert 'value="activate"' in page
    assert "/sync/now" not in page


@pytest.mark.parametrize(
    ("state", "sentence", "listed"),
    [
        ("paused", "The connection is paused.", "Connection paused"),
        ("needs_reauth", "Sign in again to this connection first.", "Waits for sign-in"),
    ],
)
def test_a_dead_connection_is_named_and_sync_now_is_disabled(
    admin: Actor, administration: Administration, state: str, sentence: str, listed: str
) -> None:
    assert listed not in rows_of(signed_in(admin))
    with organisation_scope(admin.organisation_id):
        Connection.objects.update(state=state)
    page = signed_in(admin).get(f"/administrations/{administration.pk}/").content.decode()
    assert sentence in page
    assert "disabled title=" in page
    assert listed in rows_of(signed_in(admin))
    exported = b"".join(signed_in(admin).get("/administrations/export.csv?all=1").streaming_content)
    assert listed in exported.decode("utf-8-sig"), "the file says what the list says"
    rest = signed_in(admin).get(f"/api/v1/administrations?status={state}").json()
    assert [one["status"] for one in rest["items"]] == [state]
    assert signed_in(admin).get("/api/v1/administrations?status=active").json()["total"] == 0
    dashboard = signed_in(admin).get("/").content.decode()
    assert f'href="/administrations/?status={state}">1</a>' in dashboard
    assert "0 active" in dashboard


def test_a_column_of_figures_is_sorted_by_the_largest_first(
    admin: Actor, administration: Administration
) -> None:
    browser = signed_in(admin)
    assert "sort=-issues" in browser.get("/administrations/?all=1").content.decode()
    assert "sort=issues" in browser.get("/administrations/?sort=-issues").content.decode()


def rows_of(browser: Client) -> str:
    return str(browser.get("/administrations/?all=1").content.decode().partition("<tbody")[2])
