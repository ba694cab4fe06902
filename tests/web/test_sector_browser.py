"""Choosing a sector by typing, with the keyboard alone."""

from typing import Any

import pytest

from koppel.administrations.models import Administration
from koppel.kit.tenancy import organisation_scope
from tests.web.browsing import WIDTHS, address, browser, look, opened, sign_in
from tests.web.test_browser import world
from tests.web.world import World

__all__ = ["address", "browser", "world"]
pytestmark = pytest.mark.browser


def test_a_sector_is_found_by_its_trade_and_chosen_with_the_keyboard(browser: Any, world: World, address: str) -> None:
    page = opened(browser, WIDTHS["narrow"], locale="nl")
    sign_in(page, address, world.boss)
    page.goto(f"{address}/administrations/{world.active.pk}/identity/")
    page.fill("#number", "")
    page.select_option("#reason", "not_a_company")
    page.focus("#sector")
    page.keyboard.type("bakker")
    page.wait_for_selector("[role=option]")
    assert page.get_attribute("#sector", "aria-expanded") == "true"
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#sector", "aria-activedescendant")
    look(page, "sector-type-ahead-narrow-nl")
    page.keyboard.press("Enter")
    assert page.input_value("#sector") == "C – Industrie"
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast")
    with organisation_scope(world.boss.organisation_id):
        one = Administration.objects.get(pk=world.active.pk)
    assert (one.number, one.no_number_reason, one.sector) == ("", "not_a_company", "C")
    page.context.close()
