"""The first hour of an organisation in a real browser, up to two active administrations.

It starts at the sign-in page of an empty installation. Screenshots of each page are stored in `test-output/`;
axe-core checks each.
"""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
import typer
from playwright.sync_api import Browser, Page, expect

from koppel.administrations.models import Administration
from koppel.kit.tenancy import installation_scope
from koppel.organisations.commands import organisations
from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, SANDBOX_PASSWORD, SANDBOX_USER, Sandbox
from tests.onboarding.test_browser import koppel_url
from tests.web.browsing import address, browser, check_page, collect_complaints, open_browser_page

__all__ = ["address", "browser", "koppel_url"]
pytestmark = pytest.mark.browser


@pytest.fixture
def sandbox_named(sandbox: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs Koppel said where the sandbox listens, to the worker too."""
    settings.SANDBOX_URL = sandbox.url
    monkeypatch.setenv("KOPPEL_SANDBOX_URL", sandbox.url)


@pytest.mark.usefixtures("sandbox_named", "worker")
def test_from_an_empty_installation_to_two_active_administrations(browser: Browser, koppel_url: str) -> None:
    page = open_browser_page(browser, locale="en")
    complaints = collect_complaints(page)
    page.goto(koppel_url)
    expect(page.locator("#command")).to_contain_text("koppel organisations create")
    check_page(page, "first-1-empty")
    accept_invitation(page, make_organisation())
    check_page(page, "first-2-dashboard")
    page.goto(f"{koppel_url}/connections/new/")
    check_page(page, "first-3-system")
    page.click("main >> text=Add an app registration")
    check_page(page, "first-4-apps")
    register(page)
    check_page(page, "first-5-tested")
    page.click(".banner-ok >> text=New connection")
    connect(page)
    page.wait_for_selector("text=Import complete")
    check_page(page, "first-6-active")
    page.context.close()
    assert [one for one in complaints if koppel_url in one] == []
    with installation_scope("test"):
        assert Administration.objects.filter(status="active").count() == 2


def make_organisation() -> Any:
    with redirect_stdout(io.StringIO()) as printed:
        words = ["create", "--name", "Kantoor Noord", "--email", "anna@noord.example", "--json"]
        typer.main.get_command(organisations.app).main(args=words, prog_name="koppel", standalone_mode=False)
    return json.loads(printed.getvalue().splitlines()[-1])["link"]


def accept_invitation(page: Page, link: str) -> None:
    page.goto(link)
    page.fill("#name", "Anna de Vries")
    page.fill("#password", "seven green herons walk")
    page.click("main button.button-primary")
    page.wait_for_selector("text=Add an app registration")


def register(page: Page) -> None:
    """First with a mistyped secret, which the test names."""
    page.select_option("#consent-mode", "visma_net/sandbox/company_list")
    page.fill("#client-id-new", CLIENTS["company_list"])
    page.fill("#client-secret-new", "mistyped")
    page.click("section#new button.button-primary")
    page.click("form[action$='/test'] button")
    expect(page.locator(".banner-bad")).to_be_visible()
    page.click("tr[id^=app-] button[popovertarget]")
    page.click("tr[id^=app-] a.menu-item:has-text('Change')")
    page.fill("section#change input[name=client_secret]", CLIENT_SECRET)
    page.click("section#change button.button-primary")
    page.click("form[action$='/test'] button")
    expect(page.locator(".banner-ok >> text=The app registration works")).to_be_visible()


def connect(page: Page) -> None:
    """Sign in, Allow, tick two, Next, Next, Finish."""
    page.click("button[name=connector]")
    page.click("main .card button.button-primary")
    page.fill("#username", SANDBOX_USER)
    page.fill("#password", SANDBOX_PASSWORD)
    page.click("button")
    page.click("button[value=allow]")
    page.wait_for_url("**/choose")
    page.wait_for_selector("[data-poll]", state="hidden")
    page.uncheck("[data-check-all]")
    boxes = page.locator("tbody input[type=checkbox]")
    for number in range(2):
        boxes.nth(number).check()
    page.click(".bulkbar .button-primary")
    page.wait_for_url("**/identify")
    page.click(".bulkbar button[value=next]")
    page.wait_for_url("**/assign")
    page.click("button[value=finish]")
    page.wait_for_url("**/administrations/?import=*")
