"""Every page in a real browser: no findings of axe-core, no violations of the security policy, nothing that
moves, sticks out or is cut off, no page too heavy.
"""

from typing import Any

from playwright.sync_api import Browser

from tests.web.browsing import check_pages, collect_complaints, open_browser_page, sign_in
from tests.web.factories import World
from tests.web.page_table import PUBLIC, pages, pages_of_work_in_progress

PARTS = (0, 1, 2)
"""Each test takes every third page, so that none of them comes near its time-out."""


def check_part_of_all_pages(
    browser: Browser, world: World, address: str, part: int, *, language: str, scheme: Any, width: int
) -> None:
    """Look at a part of all pages; axe-core looks at them at one width, in another language at the other."""
    page = open_browser_page(browser, color_scheme=scheme, locale=language)
    complaints = collect_complaints(page)
    if part == PARTS[0]:
        check_pages(page, address, PUBLIC, language, [width])
    sign_in(page, address, world.admin)
    addresses = list({**pages(world), **pages_of_work_in_progress(world)}.items())
    check_pages(page, address, dict(addresses[part :: len(PARTS)]), language, [width])
    page.context.close()
    assert complaints == []
