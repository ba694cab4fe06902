"""Pages about one's own account have the organisation's navigation around them, and nothing else of it."""

from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Membership, Organisation
from tests.fixtures.people import signed_in
from tests.web.factories import World, build_world

PAGES = ("/accounts/password/change/", "/accounts/2fa/")


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def read(client: Client, address: str) -> str:
    response = client.get(address, follow=True)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("address", PAGES)
def test_a_member_keeps_navigation_and_tabs(world: World, address: str) -> None:
    page = read(signed_in(world.admin), address)
    assert 'href="/organisation/people/"' in page
    assert 'href="/account/tokens/"' in page
    assert f'<a href="{address}" aria-current="page">' in page
    assert page.count("<h1>") == 1
    reader = read(world.client("reader"), address)
    assert 'href="/administrations/"' in reader
    assert 'href="/organisation/people/"' not in reader


@pytest.mark.parametrize("address", PAGES)
def test_who_was_removed_sees_nothing_of_the_organisation(world: World, address: str) -> None:
    client = signed_in(world.admin)
    with organisation_scope(world.admin.organisation_id):
        name = Organisation.objects.get(pk=world.admin.organisation_id).name
    assert name in read(client, address)
    with organisation_scope(world.admin.organisation_id):
        Membership.objects.filter(pk=world.admin.membership_id).update(is_active=False)
    page = read(client, address)
    assert (name in page, 'class="sidebar"' in page) == (False, False)


@pytest.mark.parametrize("address", PAGES)
def test_before_a_required_second_step_there_is_no_navigation(world: World, address: str) -> None:
    with organisation_scope(world.admin.organisation_id):
        Organisation.objects.filter(pk=world.admin.organisation_id).update(requires_mfa=True)
    page = read(signed_in(world.admin), address)
    assert 'class="sidebar"' not in page
    assert page.count("<h1>") == 1


def test_who_is_signed_out_is_asked_to_sign_in(world: World) -> None:
    for address in PAGES:
        assert Client().get(address).headers["Location"].startswith("/accounts/login/")


def test_a_theme_holds_at_once_and_on_the_sign_in_page_of_this_browser(world: World) -> None:
    client = signed_in(world.admin)
    assert 'data-theme="system"' in read(client, "/")
    client.post("/account/preferences", {"theme": "dark", "density": "compact"})
    page = read(client, "/issues/")
    assert 'data-theme="dark" data-density="compact"' in page
    assert 'data-theme="dark"' in read(client, PAGES[0])
    client.post("/accounts/logout/")
    assert 'data-theme="dark"' in read(client, "/accounts/login/")
    client.cookies["koppel_theme"] = 'x" onload="'
    assert 'data-theme="system"' in read(client, "/accounts/login/")
    assert 'data-theme="system"' in read(Client(), "/accounts/login/")


def test_the_menu_of_the_account_has_the_shortcuts_and_the_notification_settings(world: World) -> None:
    page = read(signed_in(world.admin), "/issues/")
    assert 'data-dialog="shortcuts"' in page
    assert 'class="menu-item" href="/notifications/preferences/"' in page
