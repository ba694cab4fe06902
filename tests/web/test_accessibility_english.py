"""Every page in English, light, as on a desk."""

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.web.accessibility import PARTS, check_part_of_all_pages
from tests.web.browsing import address, browser
from tests.web.factories import World
from tests.web.test_browser import world

__all__ = ["address", "browser", "world"]
pytestmark = pytest.mark.browser


@pytest.mark.parametrize("part", PARTS)
def test_every_page_is_accessible(
    browser: Browser, world: World, address: str, settings: Any, part: int
) -> None:
    settings.STYLEGUIDE = True
    check_part_of_all_pages(browser, world, address, part, language="en", scheme="light", width=1280)
