"""The command palette, the peek panel, single keys and the layout of the list, in a real browser."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Membership
from tests.web.browsing import address, browser, check_page, collect_complaints, open_browser_page, sign_in
from tests.web.factories import World, build_world

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser
LANGUAGES = pytest.mark.parametrize("language", ["en", "nl"])


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def open_palette(page: Page, text: str = "") -> None:
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-input")).to_be_focused()
    page.wait_for_selector("#palette-results [role=option]")
    if text:
        with page.expect_response(lambda answer: "/search/?q=" in answer.url):
            page.keyboard.type(text)


def options(page: Page) -> Any:
    return page.locator("#palette-results").get_by_role("option")


@LANGUAGES
def test_a_page_an_administration_and_an_action_are_reached_by_keyboard(
    browser: Browser, world: World, address: str, language: str
) -> None:
    page = open_browser_page(browser, locale=language)
    complaints = collect_complaints(page)
    sign_in(page, address, world.admin)
    open_palette(page)
    check_page(page, f"palette-{language}")
    page.keyboard.type("bakk")
    expect(options(page).filter(has_text="Bakkerij De Haan B.V.").first).to_have_attribute(
        "aria-selected", "true"
    )
    check_page(page, f"palette-found-{language}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/administrations/{world.active.pk}/")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette-results [role=option]")
    expect(options(page).first).to_contain_text("Bakkerij De Haan B.V.")  # chosen last
    page.keyboard.type("verbinding")
    expect(options(page).first).to_contain_text({"en": "Connections", "nl": "Koppelingen"}[language])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/connections/")
    page.keyboard.press("Control+k")
    page.wait_for_selector("#palette-results [role=option]")
    page.keyboard.type("no such thing")
    expect(page.locator("#palette-status")).to_have_text(
        {"en": "No results", "nl": "Geen resultaten"}[language]
    )
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    page.context.close()
    assert complaints == []


def test_a_sync_is_started_from_anywhere(browser: Browser, world: World, address: str) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    open_palette(page)
    page.keyboard.type("sync bakkerij")
    expect(options(page).first).to_contain_text("Bakkerij De Haan B.V.")
    page.keyboard.press("Enter")
    expect(page.locator("[data-toast]")).to_contain_text("Bakkerij De Haan B.V.")
    page.context.close()


def test_an_answer_that_comes_late_opens_nothing(browser: Browser, world: World, address: str) -> None:
    page, routes = open_browser_page(browser), list[Route]()
    sign_in(page, address, world.admin)
    page.route("**/search/?q=verbinding*", lambda route: routes.append(route))  # noqa: PLW0108 - it wants a Python function
    open_palette(page)
    page.keyboard.type("verbinding")
    while not routes:
        page.wait_for_timeout(50)
    page.keyboard.press("Escape")
    with page.expect_response("**/search/?q=verbinding*"):
        routes[-1].continue_()
    page.wait_for_timeout(300)
    expect(page.locator("#palette")).to_be_hidden()
    assert options(page).count() == 0
    page.context.close()


@LANGUAGES
def test_rows_are_walked_ticked_and_previewed_by_keyboard(
    browser: Browser, world: World, address: str, language: str
) -> None:
    page = open_browser_page(browser, locale=language)
    complaints = collect_complaints(page)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    row = page.locator("#rows-body tr").first
    expect(row).to_be_focused()
    page.keyboard.press("x")
    expect(row.locator("input[type=checkbox]")).to_be_checked()
    page.keyboard.press("o")
    expect(page.locator("#peek")).to_be_focused()
    expect(page.locator("#peek").get_by_role("heading", name="Bakkerij De Haan B.V.")).to_be_visible()
    check_page(page, f"peek-{language}")
    assert f"peek={world.active.pk}" in page.url
    page.keyboard.press("Escape")
    expect(page.locator("#peek")).to_be_hidden()
    expect(row).to_be_focused()
    assert "peek" not in page.url
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    check_page(page, f"shortcuts-{language}")
    page.keyboard.press("Escape")
    page.fill("[data-filters] input[name=q]", "")
    page.locator("[data-filters] input[name=q]").press_sequentially("jxe?")
    assert page.input_value("[data-filters] input[name=q]") == "jxe?"
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.context.close()
    assert complaints == []


def test_an_address_with_a_preview_opens_it_and_a_row_is_previewed_by_a_click(
    browser: Browser, world: World, address: str
) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/?peek={world.active.pk}")
    expect(page.locator("#peek h2")).to_have_text("Bakkerij De Haan B.V.")
    page.keyboard.press("Escape")
    page.locator(f"#administration-{world.configuring.pk} td").nth(5).click()
    expect(page.locator("#peek h2")).to_have_text(world.configuring.name)
    page.context.close()


def test_single_keys_can_be_switched_off(browser: Browser, world: World, address: str) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/")
    page.keyboard.press("?")
    with page.expect_response("**/account/preferences"):
        page.uncheck("#shortcuts-on")
    page.reload()
    page.keyboard.press("?")
    page.keyboard.press("j")
    expect(page.locator("#shortcuts")).to_be_hidden()
    expect(page.locator("#rows-body tr:focus")).to_have_count(0)
    page.context.close()


def test_columns_their_order_and_width_are_remembered(browser: Browser, world: World, address: str) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/")
    page.click("[popovertarget=columns-menu]")
    page.check("#columns-menu [value=client]")
    handle = page.locator("#columns-menu li", has=page.locator("[value=issues]")).locator(
        "[data-sort-handle]"
    )
    handle.focus()
    for _step in range(6):
        page.keyboard.press("ArrowUp")
    check_page(page, "columns-menu")
    page.locator("#columns-menu button[form=columns-form]").first.click()
    page.wait_for_load_state()
    heads = page.locator("#administrations th[data-column]")
    keys = [head.get_attribute("data-column") for head in heads.all()]
    assert keys[:2] == ["name", "issues"]
    assert "client" in keys
    resize = page.locator("th[data-column=name] .column-resize")
    resize.focus()
    with page.expect_response("**/account/preferences"):
        page.keyboard.press("ArrowRight")
    page.goto(f"{address}/administrations/?status=active")
    assert [head.get_attribute("data-column") for head in heads.all()] == keys
    assert page.locator("col[data-column=name]").get_attribute("width")
    page.click("[popovertarget=columns-menu]")
    page.click("#columns-menu [name=reset]")
    page.wait_for_load_state()
    assert "client" not in [head.get_attribute("data-column") for head in heads.all()]
    with organisation_scope(world.admin.organisation_id):
        layout = Membership.objects.get(pk=world.admin.membership_id).preferences.layout("administrations")
    assert (layout.columns, list(layout.widths)) == ([], ["name"])
    page.context.close()
