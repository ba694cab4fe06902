"""Every page is looked at in a browser."""

from typing import Any

import pytest

from koppel.web.permission_matrix import routes
from tests.web.factories import build_world
from tests.web.page_table import NOT_PAGES, all_pages, unlisted


@pytest.mark.slow
def test_every_page_is_in_the_table_of_pages(actor: Any) -> None:
    world = build_world(actor)
    paths = {route.path for route in routes() if route.method == "GET" and not route.path.startswith("/api/")}
    addresses = all_pages(world)
    assert unlisted(paths, addresses.values()) == set(), "Add it to tests/web/page_table.py."
    assert NOT_PAGES.keys() - paths == set()
    client = world.client("administrator")
    wrong = {path: client.get(path, follow=True).status_code for path in addresses.values()}
    assert {path: status for path, status in wrong.items() if status not in (200, 404)} == {}
