"""Choosing a sector by typing, with the keyboard alone."""

from typing import Any

import pytest
from playwright.sync_api import Route

from koppel.administrations.models import Administration
from koppel.kit.tenancy import organisation_scope
from tests.web.browsing import address, browser, check_page, open_browser_page, sign_in
from tests.web.factories import World
from tests.web.test_browser import world

__all__ = ["address", "browser", "world"]
pytestmark = pytest.mark.browser

A_WHILE = "() => new Promise((done) => setTimeout(done, 300))"
"""So long that the page has done whatever it does with a response."""


def test_a_sector_is_found_by_its_trade_and_chosen_with_the_keyboard(
    browser: Any, world: World, address: str
) -> None:
    page = open_browser_page(browser, 390, locale="nl")
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/{world.active.pk}/identity/")
    page.fill("#number", "")
    page.select_option("#reason", "not_a_company")
    page.focus("#sector")
    page.keyboard.type("bakker")
    page.wait_for_selector("[role=option] >> nth=0 >> text=C – Industrie")
    assert page.get_attribute("#sector", "aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#sector", "aria-activedescendant")
    check_page(page, "sector-type-ahead-narrow-nl")
    page.keyboard.press("Enter")
    assert page.input_value("#sector") == "C – Industrie"
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast")
    with organisation_scope(world.admin.organisation_id):
        administration = Administration.objects.get(pk=world.active.pk)
    assert (administration.number, administration.no_number_reason, administration.sector) == (
        "",
        "not_a_company",
        "C",
    )
    page.context.close()


def test_an_answer_that_comes_late_does_not_take_away_what_was_marked(
    browser: Any, world: World, address: str
) -> None:
    page, routes = open_browser_page(browser, locale="nl"), list[Route]()
    sign_in(page, address, world.admin)
    page.goto(f"{address}/administrations/{world.active.pk}/identity/")
    page.select_option("#reason", "not_a_company")
    page.focus("#sector")
    page.route("**q=bakker", lambda route: routes.append(route))  # noqa: PLW0108 - it wants a Python function
    page.keyboard.insert_text("bakke")
    page.wait_for_selector("[role=option] >> nth=0 >> text=C – Industrie")
    page.keyboard.insert_text("r")
    while not routes:
        page.wait_for_timeout(50)
    page.keyboard.press("ArrowDown")
    with page.expect_response("**q=bakker"):
        routes[0].continue_()
    page.evaluate(A_WHILE)
    page.keyboard.press("Enter")
    assert page.input_value("#sector") == "C – Industrie"
    page.context.close()
