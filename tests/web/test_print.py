"""Printed pages contain every row and column within the sheet's width, and a heading."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from koppel.administrations.models import Administration
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of, assign
from tests.web.browsing import address, browser, open_browser_page, sign_in
from tests.web.factories import World, build_world

__all__ = ["address", "browser"]
SHEET_WIDTH, SHEET_HEIGHT = 1046, 695
"""A4 lying, without its margins, in CSS pixels."""
CODES = [str(code) for code in range(1000, 8000, 150)]

MEASURES = """
() => {
  const shown = (element) => element.getClientRects().length > 0;
  const cells = [...document.querySelectorAll("main td, main th, main p, main h1, main h2")].filter(shown);
  const cuts = (element) => {
    const style = getComputedStyle(element);
    const isTooHigh = element.scrollHeight > element.clientHeight + 2;
    const isCut = isTooHigh || element.scrollWidth > element.clientWidth + 2;
    return shown(element) && style.overflow !== "visible" && element.clientHeight > 1 && isCut;
  };
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    right: Math.max(...cells.map((cell) => cell.getBoundingClientRect().right)),
    cut: all("main, main *").filter(cuts).map((one) => one.outerHTML.slice(0, 120)),
    sticky: cells.filter((cell) => getComputedStyle(cell).position === "sticky").length,
    pressed: all("nav, header.top, button").filter(shown).map((one) => one.outerHTML.slice(0, 120)),
    heads: all("main thead").filter(shown).map((one) => getComputedStyle(one).display),
    halved: all("main tr").filter((row) => getComputedStyle(row).breakInside !== "avoid").length,
    text: document.querySelector("main").innerText,
  };
}
"""


@pytest.fixture
def books(actor: Any) -> tuple[Actor, Administration]:
    """An administration with more accounts than a screen holds, and long amounts in every period."""
    admin = actor("administrator", name="Ada Beheer")
    administration = administration_of(admin, "Bakkerij De Haan B.V.")
    assign(admin, administration)
    ledger = Ledger(administration)
    for code in CODES:
        ledger.account(code, f"Rekening met een lange naam {code}")
        for month in range(1, 13):
            ledger.balance(code, f"2026{month:02}", "-1234567.89", "-1234567.89")
    for month in range(1, 13):
        ledger.entry(f"2026{month:02}", f"2026{month:02}", *[(code, "1234567.89", "0.01") for code in CODES])
    return admin, administration


def measure_print(page: Page) -> dict[str, Any]:
    page.emulate_media(media="print")
    page.set_viewport_size({"width": SHEET_WIDTH, "height": SHEET_HEIGHT})
    measured: dict[str, Any] = page.evaluate(MEASURES)
    return measured


def assert_nothing_is_lost(measured: dict[str, Any], where: str) -> None:
    assert measured["right"] <= SHEET_WIDTH, where
    assert measured["cut"] == [], where
    assert measured["sticky"] == 0, where
    assert measured["pressed"] == [], where
    assert set(measured["heads"]) <= {"table-header-group"}, where
    assert measured["halved"] == 0, where


def test_a_printed_trial_balance_holds_every_account_and_the_closing_balance(
    browser: Browser, books: tuple[Actor, Administration], address: str
) -> None:
    admin, administration = books
    for language, closing, printed in (
        ("en", "Closing balance", "Printed"),
        ("nl", "Eindsaldo", "Afgedrukt"),
    ):
        page = open_browser_page(browser, color_scheme="dark")
        sign_in(page, address, admin)
        page.context.add_cookies([{"name": "koppel_language", "value": language, "url": address}])
        page.goto(f"{address}/administrations/{administration.pk}/books/trial-balance/")
        measured = measure_print(page)
        assert_nothing_is_lost(measured, language)
        for code in CODES:
            assert code in measured["text"]
        for said in (closing, "Bakkerij De Haan B.V.", "2026", printed):
            assert said in measured["text"], said
        total = page.locator("tfoot")
        assert total.evaluate("foot => getComputedStyle(foot).display") == "table-row-group", (
            "once, at the end"
        )
        last = page.locator("tbody tr").last
        assert total.bounding_box()["y"] >= last.bounding_box()["y"]  # type: ignore[index]
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
        page.context.close()


def test_twelve_periods_fit_on_a_sheet(
    browser: Browser, books: tuple[Actor, Administration], address: str
) -> None:
    admin, administration = books
    page = open_browser_page(browser)
    sign_in(page, address, admin)
    for path in (
        "trial-balance/?view=periods",
        "account/1000/?year=2026",
        "entry/GL202601/",
        "entries/",
        "",
        "balances/",
    ):
        page.goto(f"{address}/administrations/{administration.pk}/books/{path}")
        assert_nothing_is_lost(measure_print(page), path)
        page.emulate_media(media="screen")
    page.context.close()


def test_lists_changes_and_activity_print_all_that_is_on_the_page(
    browser: Browser, actor: Any, address: str
) -> None:
    world: World = build_world(actor)
    page = open_browser_page(browser)
    sign_in(page, address, world.admin)
    for path in (
        "/",
        "/administrations/",
        "/organisation/activity/",
        "/issues/",
        "/organisation/people/",
        f"/administrations/{world.active.pk}/",
        f"/administrations/{world.active.pk}/history/",
        f"/administrations/{world.active.pk}/sync/runs/{world.run_id}/",
    ):
        page.goto(f"{address}{path}")
        assert page.locator("main h1").count() == 1, path
        assert_nothing_is_lost(measure_print(page), path)
        page.emulate_media(media="screen")
    page.context.close()
