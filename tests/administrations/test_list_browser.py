"""The list of administrations and its menus in a real browser: search, filters, deactivation, widths."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from koppel.administrations.models import Administration
from koppel.kit.tenancy import organisation_scope
from tests.administrations.factories import Firm, create_firm
from tests.web.browsing import address, browser, check_page, collect_complaints, open_browser_page, sign_in

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser
MENUS = ("add-filter", "columns-menu", "views-menu", "list-menu")
TABLET = 820
COUNT = 120
"""More than a page."""


@pytest.fixture
def firm(actor: Any) -> Firm:
    return create_firm(actor("administrator"), COUNT, status="active")


@pytest.fixture
def page(browser: Browser, address: str, firm: Firm) -> Iterator[Page]:
    page = open_browser_page(browser)
    sign_in(page, address, firm.admin)
    yield page
    page.context.close()


def test_the_list_narrows_while_one_types_and_bulk_work_is_on_what_is_shown(
    page: Page, address: str, firm: Firm
) -> None:
    complaints = collect_complaints(page)
    with organisation_scope(firm.admin.organisation_id):
        administration = Administration.objects.exclude(number="").order_by("pk")[0]
    page.goto(f"{address}/administrations/")
    page.locator("[data-filters] input[name=q]").press_sequentially(administration.number)
    expect(page.locator("#rows-body tr")).to_have_count(1)
    expect(page.locator("#list-total")).to_have_text("1")
    expect(page.locator("[data-filters] input[name=q]")).to_be_focused()
    assert f"q={administration.number}" in page.url
    assert page.get_attribute("#list input[name=query]", "value") == f"q={administration.number}"
    assert f"q={administration.number}" in str(page.get_attribute("#list-menu-items a", "href"))
    page.fill("[data-filters] input[name=q]", "")
    expect(page.locator("#list-total")).to_have_text(str(COUNT))
    assert complaints == []


def test_a_filter_becomes_a_chip_and_is_removed(page: Page, address: str) -> None:
    page.goto(f"{address}/administrations/")
    page.click("[popovertarget=add-filter]")
    page.click(".filter-groups summary:has-text('Division')")
    page.check(".filter-groups label:has-text('Noord') input")
    check_page(page, "list-filter-menu")
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("division="))
    chip = page.locator(".chip")
    expect(chip).to_contain_text("Noord")
    chip.locator("a").click()
    expect(page.locator("#list-total")).to_have_text(str(COUNT))


def test_an_administration_is_deactivated_with_a_reason_and_the_undo_restores_it(
    page: Page, address: str, firm: Firm
) -> None:
    complaints = collect_complaints(page)
    with organisation_scope(firm.admin.organisation_id):
        administration = Administration.objects.order_by("pk")[0]
    page.goto(f"{address}/administrations/{administration.pk}/")
    page.click("[popovertarget=administration-menu]")
    page.click("[data-dialog=deactivate]")
    page.fill("#deactivate-reason", "Contract ended")
    check_page(page, "deactivate-dialog")
    page.click("#deactivate .button-danger")
    expect(page.locator("main")).to_contain_text("Contract ended")
    expect(page.locator(".page-bar button[value=activate]")).to_be_visible()
    page.click(".toast form button")
    page.wait_for_selector("text=1 administration restored")
    with organisation_scope(firm.admin.organisation_id):
        administration.refresh_from_db()
    assert (administration.status, administration.deactivation_reason) == ("active", "")
    assert complaints == []


@pytest.mark.parametrize("language", ["en", "nl"])
def test_menus_stay_inside_the_window(browser: Browser, address: str, firm: Firm, language: str) -> None:
    page = open_browser_page(browser, locale=language)
    sign_in(page, address, firm.admin)
    page.goto(f"{address}/administrations/")
    for width in (1366, 1280, TABLET, 390):
        page.set_viewport_size({"width": width, "height": 800})
        for menu in MENUS:
            page.click(f"[popovertarget={menu}]")
            expect(page.locator(f"#{menu}")).to_be_visible()
            box = page.locator(f"#{menu}").bounding_box()
            page.keyboard.press("Escape")
            assert box, menu
            assert box["x"] >= 0, (menu, width)
            assert box["x"] + box["width"] <= width, (menu, width)
        if width == TABLET:
            continue  # its table scrolls in its box, beside the names
        table = page.evaluate(
            "() => { const box = document.querySelector('.table-scroll');"
            " return box.scrollWidth - box.clientWidth; }"
        )
        assert table <= 0, f"The table is {table} pixels too wide at {width}."
    page.context.close()
