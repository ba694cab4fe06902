"""The pages in a real browser: what scripts do while one works with them."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from koppel.kit.tenancy import organisation_scope
from tests.web.browsing import address, browser, open_browser_page, sign_in
from tests.web.factories import IMPORT, World, build_world
from tests.web.page_table import add_books

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser


@pytest.fixture
def world(actor: Any) -> World:
    new_world = build_world(actor)
    add_books(new_world)
    return new_world


def test_an_import_is_followed_without_losing_what_is_ticked(
    browser: Browser, world: World, address: str
) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/?import={IMPORT}")
    page.check(f"#tick-{world.active.pk}")
    page.route("**/administrations/rows/**", lambda asked: asked.abort())
    page.wait_for_selector("text=Koppel cannot be reached.")
    page.unroute("**/administrations/rows/**")
    page.wait_for_selector("#unreachable", state="hidden")
    with organisation_scope(world.admin.organisation_id):
        type(world.configuring).objects.filter(pk=world.configuring.pk).update(status="active")
    page.wait_for_selector("text=Import complete: 2 active, 1 needs attention.")
    expect(page.locator("#administrations > tbody > tr")).to_have_count(2)
    assert page.is_checked(f"#tick-{world.active.pk}")
    assert page.inner_text(".bulkbar strong[data-count-of]") == "1"
    assert page.get_attribute("#rows-poll", "hx-get") is None
    page.context.close()


def test_a_pressed_button_is_not_replaced(browser: Browser, world: World, address: str) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/?import={IMPORT}")
    page.hover(f"#tick-{world.active.pk}")
    page.mouse.down()
    for _twice in range(2):  # when the next is asked for, the last was dealt with
        with page.expect_response("**/administrations/rows/**"):
            pass
    page.mouse.up()
    assert page.is_checked(f"#tick-{world.active.pk}")
    with organisation_scope(world.admin.organisation_id):
        type(world.configuring).objects.filter(pk=world.configuring.pk).update(status="active")
    page.wait_for_selector("text=Import complete: 2 active, 1 needs attention.")
    page.context.close()


def test_enter_in_the_settings_saves_and_never_resets(browser: Browser, world: World, address: str) -> None:
    with organisation_scope(world.admin.organisation_id):
        type(world.active).objects.filter(pk=world.active.pk).update(settings={"resources": ["accounts"]})
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/{world.active.pk}/settings/")
    page.fill("#years", "5")
    page.press("#years", "Enter")
    page.wait_for_selector(".toast")
    with organisation_scope(world.admin.organisation_id):
        world.active.refresh_from_db()
        assert world.active.settings == {"resources": ["accounts"], "fiscal_years_back": 5}
    page.context.close()


def test_a_field_that_was_refused_is_where_one_stands(browser: Browser, world: World, address: str) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/{world.active.pk}/identity/")
    page.fill("#number", "")
    page.press("#number", "Enter")
    page.wait_for_selector("#number[aria-invalid=true]")
    expect(page.locator("#number")).to_be_focused()
    page.context.close()
