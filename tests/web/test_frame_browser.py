"""The frame with the keyboard alone, and pages for people who asked their system for less motion."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.browsing import HEIGHT, address, browser, open_browser_page, sign_in
from tests.web.factories import World, build_world

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser

MOVING = """() => {
  const isMoving = (element, part) => {
    const style = getComputedStyle(element, part);
    const seconds = `${style.transitionDuration}, ${style.animationDuration}`.split(", ").map(parseFloat);
    return Math.max(...seconds) > 0.01;
  };
  const parts = ["", "::before", "::after"];
  const elements = [...document.querySelectorAll("*")];
  const moving = elements.filter((element) => parts.some((part) => isMoving(element, part)));
  return moving.map((element) => `${element.tagName}.${element.className}`);
}"""


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


def test_the_frame_is_used_by_keyboard_alone(browser: Browser, world: World, address: str) -> None:
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    page.goto(f"{address}/issues/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.goto(f"{address}/issues/")
    tab_to(page, page.get_by_role("link", name="Administrations", exact=True))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/administrations/")
    tab_to(page, page.locator(".account > summary"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Keyboard shortcuts"))
    page.keyboard.press("Enter")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.set_viewport_size({"width": 390, "height": HEIGHT})
    page.goto(f"{address}/issues/")
    tab_to(page, page.get_by_role("button", name="Menu", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Dashboard"))
    page.keyboard.press("Escape")
    expect(page.locator("#sidebar")).to_be_hidden()
    expect(page.get_by_role("button", name="Menu", exact=True)).to_be_focused()
    page.context.close()


def tab_to(page: Page, target: Any, presses: int = 40) -> None:
    for _press in range(presses):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"{presses} times Tab do not lead to {target}")


def test_nothing_moves_for_people_who_asked_for_less_motion(
    browser: Browser, world: World, address: str, settings: Any
) -> None:
    settings.STYLEGUIDE = True
    page = open_browser_page(browser, reduced_motion="reduce")
    sign_in(page, address, world.admin)
    page.goto(f"{address}/styleguide/")
    assert page.evaluate(MOVING) == []
    page.context.close()
