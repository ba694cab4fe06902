"""Bulk actions in a real browser: selection, all matching, preview, progress, results, undo, and a file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from koppel.administrations.models import Administration, BulkItem, BulkOperation
from koppel.administrations.tasks import process_bulk
from koppel.kit.tenancy import organisation_scope
from tests.administrations.factories import Firm, create_firm
from tests.web.browsing import address, browser, check_page, collect_complaints, open_browser_page, sign_in

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser
COUNT = 380
"""More than a page of the list, and more than is done at once."""


@pytest.fixture
def firm(actor: Any) -> Firm:
    return create_firm(actor("administrator"), COUNT, status="active")


@pytest.fixture
def page(browser: Browser, address: str, firm: Firm) -> Iterator[Page]:
    page = open_browser_page(browser)
    sign_in(page, address, firm.admin)
    yield page
    page.context.close()


def divisions(firm: Firm) -> dict[int, int | None]:
    with organisation_scope(firm.admin.organisation_id):
        return dict(Administration.objects.values_list("pk", "division_id"))


def results(page: Page) -> list[str]:
    return page.locator("#bulk-state tbody td:nth-child(2)").all_inner_texts()


def names_by_keyboard(page: Page) -> list[str]:
    """Return the names on every page of the results, turned with the Enter key."""
    names = page.locator("#bulk-state tbody a").all_inner_texts()
    while page.locator("#bulk-state a[rel=next]").count():
        page.focus("#bulk-state a[rel=next]")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        names += page.locator("#bulk-state tbody a").all_inner_texts()
    return names


def test_a_few_are_ticked_previewed_changed_and_set_back(page: Page, address: str, firm: Firm) -> None:
    complaints, before = collect_complaints(page), divisions(firm)
    page.goto(f"{address}/administrations/?sort=name")
    assert not page.is_visible(".bulkbar"), "Nothing is ticked yet."
    page.locator("#rows-body input[name=id]").nth(0).check()
    page.locator("#rows-body input[name=id]").nth(3).click(modifiers=["Shift"])
    ticked = page.locator("#rows-body input[name=id]:checked").count()
    assert (ticked, page.inner_text(".bulkbar strong[data-count-of]")) == (4, "4")
    page.click(".bulkbar [popovertarget=bulk-assign]")
    page.select_option("#change-division", label="Oost")
    page.click(".bulkbar button[value=change]:visible")
    page.wait_for_url(re.compile(r"/bulk/\d+/$"))
    check_page(page, "bulk-preview-wide-en")
    assert divisions(firm) == before, "A preview changes nothing."
    changing = sum("Changes" in one for one in results(page))
    same = sum("Already set." in one for one in results(page))
    assert (changing > 0, changing + same) == (True, ticked)
    page.click("#bulk-state button.button-primary")
    page.wait_for_url(re.compile(r"/administrations/\?"))
    after = divisions(firm)
    assert sum(after[one] != before[one] for one in before) == changing
    page.click(".toast form button")
    page.wait_for_selector(f"text={changing} administration")
    check_page(page, "bulk-undone-wide-en")
    assert divisions(firm) == before
    assert complaints == []


def test_all_matching_become_a_job_with_visible_progress(page: Page, address: str, firm: Firm) -> None:
    """The filter counts, not the page: what is on other pages changes too, and nothing that the filter leaves
    out.
    """
    complaints, before = collect_complaints(page), divisions(firm)
    north = sum(one == firm.divisions[0] for one in before.values())
    page.goto(
        f"{address}/administrations/?division={firm.divisions[1]}&division={firm.divisions[2]}&division=none"
    )
    page.check("[data-check-all=id]")
    page.check("[data-all-matching]")
    page.click(".bulkbar [popovertarget=bulk-assign]")
    page.select_option("#change-division", label="Noord")
    page.click(".bulkbar button[value=change]:visible")
    page.wait_for_url(re.compile(r"/bulk/\d+/$"))
    expected = sum(one in (firm.divisions[1], firm.divisions[2], None) for one in before.values())
    assert f"{expected} administrations will change" in page.inner_text("#bulk-state")
    page.click("#bulk-state button.button-primary")
    page.wait_for_selector("#bulk-state progress")
    run_bulk_worker(firm)
    page.wait_for_selector(f"text={expected} administrations were changed")
    after = divisions(firm)
    assert sum(one == firm.divisions[0] for one in after.values()) == north + expected
    page.click("nav.subtabs >> text=Changed")
    assert expected > len(results(page)), "There is more than a page of them."
    page.set_viewport_size({"width": 390, "height": 844})
    check_page(page, "bulk-pages-narrow-en")
    assert len(set(names_by_keyboard(page))) == expected
    page.set_viewport_size({"width": 1280, "height": 800})
    page.click("text=Undo")
    page.wait_for_selector("#bulk-state progress")
    run_bulk_worker(firm)
    page.wait_for_selector(f"text={expected} administrations restored")
    assert divisions(firm) == before
    assert complaints == []


def test_a_file_is_previewed_line_by_line(page: Page, address: str, firm: Firm, tmp_path: Path) -> None:
    complaints = collect_complaints(page)
    file = tmp_path / "klanten.csv"
    file.write_text(
        "code;klantnummer;afdeling\nV00000;N-1;West\nV00001;N-2;Nergens\nV99999;N-3;\n", encoding="utf-16"
    )
    page.goto(f"{address}/administrations/")
    page.click("[popovertarget=list-menu]")
    page.click("text=Bulk edit with CSV")
    page.set_input_files("#file", file)
    page.click("button:has-text('Preview')")
    page.wait_for_url(re.compile(r"/bulk/\d+/$"))
    check_page(page, "bulk-file-wide-en")
    assert "2 lines could not be processed" in page.inner_text("main")
    page.click("#bulk-state button.button-primary")
    page.wait_for_selector("text=1 administration was changed")
    with organisation_scope(firm.admin.organisation_id):
        assert list(
            Administration.objects.filter(client_number__startswith="N-").values_list("client_number")
        ) == [("N-1",)]
        assert BulkItem.objects.filter(state="changed").count() == 1
    assert complaints == []


def run_bulk_worker(firm: Firm) -> None:
    with organisation_scope(firm.admin.organisation_id):
        operation = BulkOperation.objects.latest("pk").pk
    process_bulk(firm.admin.organisation_id, operation)
