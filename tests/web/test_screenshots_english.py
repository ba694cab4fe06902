"""Pictures of all pages in English, and what is wrong with them. Each language has a file of its own, so that
they are taken side by side.
"""

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.web.browsing import address, browser
from tests.web.factories import World, build_world
from tests.web.page_table import add_books
from tests.web.screenshots import take_pictures

__all__ = ["address", "browser"]
pytestmark = [pytest.mark.browser, pytest.mark.drill, pytest.mark.timeout(3000)]


def test_pictures_of_all_pages(
    browser: Browser, actor: Any, address: str, settings: Any, capsys: Any
) -> None:
    settings.STYLEGUIDE = True
    world: World = build_world(actor)
    add_books(world)
    take_pictures(browser, world, address, "en", capsys)
