"""A picture of every page at every width, light and dark, with 900 companies; and what is wrong with them.

`make screenshots` takes them in both languages; they are kept in `test-output/pages/`.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page

from koppel.administrations.models import Administration
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Division, Template
from tests.administrations.factories import create_firm
from tests.fixtures.environment import REPOSITORY
from tests.web.browsing import collect_complaints, open_browser_page, resize, sign_in, wait_until_settled
from tests.web.factories import IMPORT, World
from tests.web.measures import WIDTHS, Scales, cut_text, hidden_cells, layout_shifts, opened_parts, overflow
from tests.web.page_table import PUBLIC, all_pages, pages_of_many
from tests.web.test_connections_browser import create_troubled_connections

ON_CI = "1440-en-light,1440-nl-dark,390-en-light,390-nl-dark"
"""Pictures that are kept where nobody looks at all of them; taking twenty of a page takes minutes."""
FOLDER = REPOSITORY / "test-output" / "pages"
COMPANIES = 900
HEIGHT = "() => document.documentElement.scrollHeight"
PICTURED_HEIGHT = 16_000
"""In pixels; of a higher page, only what the window shows is kept."""


def take_pictures(browser: Browser, world: World, address: str, language: str, capsys: Any) -> None:
    """Visit every page in the language and keep its pictures; fails with all that is wrong.

    In the environment, `PAGES=overview,sync` visits these only, and `PICTURES=1440-en-light,390-en-dark`
    keeps these pictures only; what is wrong is found at every width all the same.
    """
    camera = Camera(open_browser_page(browser, WIDTHS[0], locale=language), address, language)
    for name, path in chosen_pages(PUBLIC):
        camera.visit(name, path)
    sign_in(camera.page, address, world.admin)
    for name, path in chosen_pages(busy_pages(world)):
        camera.visit(name, path)
    camera.page.context.close()
    with capsys.disabled():
        heaviest, name = camera.scales.heaviest
        sys.stdout.write(
            f"\n{camera.count} pictures in {FOLDER}; the heaviest page, {name}, has {heaviest} bytes"
        )
        sys.stdout.write(f" and {camera.scales.fonts_max} of fonts\n")
    assert camera.findings + camera.complaints == [], "\n".join(camera.findings + camera.complaints)


def chosen_pages(addresses: dict[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, path) for name, path in addresses.items() if is_chosen("PAGES", name))


def is_chosen(variable: str, name: str) -> bool:
    names = os.environ.get(variable) or (ON_CI if variable == "PICTURES" and "CI" in os.environ else "")
    return not names or name in names.split(",")


def busy_pages(world: World) -> dict[str, str]:
    """The pages of a member, as they are on a bad day of a firm with many clients."""
    addresses = {**all_pages(world), **create_troubled_connections(world)}
    for name in PUBLIC:
        del addresses[name]
    with organisation_scope(world.admin.organisation_id):
        Division.objects.update(name="Klanten van vestiging Zuidoost-Brabant")
        Template.objects.update(name="Elke nacht")
    firm = create_firm(world.admin, COMPANIES, [world.bystander.membership_id])
    addresses |= pages_of_many(world, firm.ids)
    with organisation_scope(world.admin.organisation_id):
        Administration.objects.update(import_id=IMPORT)
    return addresses


class Camera:
    """Loads a page once for the widths of desks and once for those of phones, and takes its pictures."""

    def __init__(self, page: Page, address: str, language: str) -> None:
        self.page, self.address, self.language = page, address, language
        self.complaints = collect_complaints(page)
        self.findings: list[str] = []
        self.scales = Scales()
        self.count = 0

    def visit(self, name: str, path: str) -> None:
        for widths in (WIDTHS[:-1], WIDTHS[-1:]):
            resize(self.page, widths[0])
            response = self.page.goto(self.address + path)
            wait_until_settled(self.page)
            self._note(name, widths[0], layout_shifts(self.page))
            assert response
            self._note(name, widths[0], self.scales.weigh(self.page, response.body(), name))
            for width in widths:
                resize(self.page, width)
                self._measure(name, width)

    def _measure(self, name: str, width: int) -> None:
        for scheme in ("light", "dark"):
            folder = FOLDER / f"{width}-{self.language}-{scheme}"
            if not is_chosen("PICTURES", folder.name):
                continue
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{name}.png"
            self.page.screenshot(path=path, full_page=self.page.evaluate(HEIGHT) < PICTURED_HEIGHT)
            self.count += 1
        self.page.emulate_media(color_scheme="light")
        for measure in (overflow, cut_text, hidden_cells, opened_parts):
            self._note(name, width, measure(self.page))

    def _note(self, name: str, width: int, findings: list[str]) -> None:
        self.findings += [f"{name} at {width} ({self.language}): {finding}" for finding in findings]
