"""Every page in Dutch, dark, as on a phone, with the longest names and amounts of 12 digits."""

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.web.accessibility import PARTS, check_part_of_all_pages
from tests.web.browsing import address, browser
from tests.web.factories import World, build_world, lengthen_names
from tests.web.page_table import add_books

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser


@pytest.fixture
def long_world(actor: Any) -> World:
    new_world = build_world(actor)
    add_books(new_world, amount="123456789012.34")
    lengthen_names(new_world)
    return new_world


@pytest.mark.parametrize("part", PARTS)
def test_every_page_is_accessible(
    browser: Browser, long_world: World, address: str, settings: Any, part: int
) -> None:
    settings.STYLEGUIDE = True
    check_part_of_all_pages(browser, long_world, address, part, language="nl", scheme="dark", width=390)
