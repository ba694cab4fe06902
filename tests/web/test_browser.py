"""The pages in a real browser: no findings of axe-core, no violations of the security policy, nothing that
moves, sticks out or is cut off, no page too heavy.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from koppel.kit.tenancy import organisation_scope
from tests.web.browsing import address, browser, check_pages, collect_complaints, open_browser_page, sign_in
from tests.web.factories import IMPORT, World, build_world, lengthen_names
from tests.web.page_table import PUBLIC, add_books, pages, pages_of_work_in_progress

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser


@pytest.fixture
def world(actor: Any) -> World:
    new_world = build_world(actor)
    add_books(new_world)
    return new_world


@pytest.fixture
def long_world(actor: Any) -> World:
    """With the longest names and amounts of 12 digits."""
    new_world = build_world(actor)
    add_books(new_world, amount="123456789012.34")
    lengthen_names(new_world)
    return new_world


@pytest.mark.parametrize(
    ("language", "scheme", "fixture"), [("en", "light", "world"), ("nl", "dark", "long_world")]
)
def test_every_page_is_accessible(
    browser: Browser,
    request: pytest.FixtureRequest,
    address: str,
    language: str,
    scheme: Any,
    fixture: str,
    settings: Any,
) -> None:
    world = request.getfixturevalue(fixture)
    settings.STYLEGUIDE = True
    page = open_browser_page(browser, color_scheme=scheme, locale=language)
    complaints = collect_complaints(page)
    check_pages(page, address, PUBLIC, language)
    sign_in(page, address, world.admin)
    check_pages(page, address, {**pages(world), **pages_of_work_in_progress(world)}, language)
    page.context.close()
    assert complaints == []


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
