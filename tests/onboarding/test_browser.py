"""The nine steps of the wizard in a real browser, with the simulated vendor and a real worker.

Screenshots of every step are stored in `test-output/`; axe-core checks each.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, CDPSession, Page, Route, expect

from koppel.administrations.models import Administration
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.groups.divisions import create_division
from koppel.organisations.groups.inputs import DivisionInput, TemplateInput
from koppel.organisations.groups.settings_templates import create_template
from koppel.organisations.models import Organisation
from tests.fixtures.stack import SANDBOX_PASSWORD, SANDBOX_USER, Sandbox, register_app
from tests.web.browsing import (
    address,
    browser,
    check_page,
    click_twice,
    collect_complaints,
    open_browser_page,
    sign_in,
)
from tests.web.components import open_component

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser
WORDS = {
    "en": {
        "next": "Next",
        "paste": "Paste a list",
        "fill": "Fill in",
        "apply": "Apply to",
        "finish": "Finish import",
        "complete": "Import complete",
        "only": "only rows that need attention",
    },
    "nl": {
        "next": "Volgende",
        "paste": "Lijst plakken",
        "fill": "Invullen",
        "apply": "Toepassen op",
        "finish": "Import afronden",
        "complete": "Import voltooid",
        "only": "alleen rijen die actie vragen",
    },
}


@pytest.fixture
def koppel_url(address: str, settings: Any) -> str:
    """Where Koppel says that it is: the vendor sends people back there."""
    settings.PUBLIC_URL = address
    return address


@pytest.fixture
def admin(actor: Any) -> Any:
    administrator = actor("administrator")
    with organisation_scope(administrator.organisation_id):
        create_division(administrator, DivisionInput(name="Zuid"))
        create_template(administrator, TemplateInput(name="Standaard", settings={"fiscal_years_back": 1}))
    return administrator


def open_page(
    browser: Browser, koppel_url: str, admin: Any, width: int, language: str, scheme: Any
) -> Iterator[Page]:
    page = open_browser_page(browser, width, color_scheme=scheme, locale=language)
    sign_in(page, koppel_url, admin)
    yield page
    page.context.close()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(("width", "language", "scheme"), [(1280, "en", "light"), (390, "nl", "dark")])
def test_the_nine_steps(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox, width: int, language: str, scheme: Any
) -> None:
    register_app(sandbox)
    words, mark = WORDS[language], f"wizard-{width}-{language}"
    for page in open_page(browser, koppel_url, admin, width, language, scheme):
        complaints = collect_complaints(page)
        page.goto(f"{koppel_url}/connections/new/")
        check_page(page, f"{mark}-1-system")
        page.click("button[name=connector]")
        check_page(page, f"{mark}-2-sign-in")
        page.click("main .card button.button-primary")
        page.fill("#username", SANDBOX_USER)
        page.fill("#password", SANDBOX_PASSWORD)
        page.click("button")
        page.click("button[value=allow]")
        page.wait_for_url("**/choose")
        page.wait_for_selector("[data-poll]", state="hidden")
        check_page(page, f"{mark}-3-choose")
        names = [one["name"] for one in sandbox.companies()]
        expect(page.locator(".bulkbar [data-count-of]")).to_have_text("0")
        page.check("[data-check-all]")
        page.fill("[data-filter-rows]", names[0])
        page.uncheck("[data-check-all]")
        page.fill("[data-filter-rows]", "")
        expect(page.locator(".bulkbar [data-count-of]")).to_have_text("7")
        page.check("[data-check-all]")
        expect(page.locator(".bulkbar [data-count-of]")).to_have_text("8")
        page.click(".bulkbar .button-primary")
        page.wait_for_url("**/identify")
        check_page(page, f"{mark}-4-identify")
        identify(page, admin, words, mark)
        page.wait_for_url("**/assign")
        check_page(page, f"{mark}-5-assign")
        page.select_option("select[name=division]", label="Zuid")
        page.click("button[value=apply]")
        page.wait_for_selector(".toast")
        expect(page.locator("#assign tbody tr").first).to_contain_text("Zuid")
        check_page(page, f"{mark}-5-assigned")
        click_twice(page, "button[value=finish]")
        page.wait_for_url("**/administrations/?import=*")
        check_page(page, f"{mark}-6-import")
        page.wait_for_selector(f"text={words['complete']}")
        check_page(page, f"{mark}-7-active")
        assert [one for one in complaints if koppel_url in one] == []
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.filter(status="active").count() == len(sandbox.companies())


@pytest.mark.usefixtures("worker")
def test_companies_are_collected_with_cancel_back_doubled_clicks_and_two_tabs(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox
) -> None:
    """One company per sign-in: whatever the person does on the way, what was allowed stays and nothing is
    there twice.
    """
    register_app(sandbox, "company_per_sign_in")
    names = [one["name"] for one in sandbox.companies()]
    for page in open_page(browser, koppel_url, admin, 390, "en", "light"):
        page.goto(f"{koppel_url}/connections/new/")
        page.click("button[name=connector]")
        expect(page.locator(".banner:visible")).to_contain_text("Use a service account of your firm")
        check_page(page, "collect-2-sign-in")
        click_twice(page, "main .card button.button-primary")
        allow_company(page, names[0])
        page.wait_for_url("**/choose")
        expect(page.locator("#companies tbody tr")).to_have_count(1)
        click_twice(page, "text=Add another company")
        allow_company(page, names[1])
        page.wait_for_url("**/choose")
        expect(page.locator("#companies tbody tr")).to_have_count(2)
        page.click("text=Add another company")
        allow_company(page, names[2], answer="cancel")
        page.wait_for_url("**/choose")
        expect(page.locator("main")).to_contain_text("You did not allow access")
        expect(page.locator("#companies tbody tr")).to_have_count(2)
        page.goto(f"{koppel_url}/connections/new/")
        page.click("text=Continue")
        page.wait_for_url("**/choose")
        page.click(".bulkbar .button-primary")
        page.wait_for_url("**/identify")
        page.go_back()
        expect(page.locator("#companies tbody tr")).to_have_count(2)
        other = page.context.new_page()
        other.goto(page.url)
        for tab in (page, other):
            tab.click("text=Add another company")
        allow_company(other, names[3])
        other.wait_for_url("**/choose")
        expect(other.locator("#companies tbody tr")).to_have_count(3)
        allow_company(page, names[4])
        page.wait_for_url("**/choose")
        expect(page.locator("#companies tbody tr")).to_have_count(4)
        check_page(page, "collect-3-choose")
        expect(page.locator(".bulkbar [data-count-of]")).to_have_text("4")
    with organisation_scope(admin.organisation_id):
        assert set(RemoteCompany.objects.values_list("name", flat=True)) == {*names[:2], *names[3:5]}


def test_a_button_does_not_move_while_it_is_pressed(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox
) -> None:
    """The notice that numbers are still being asked for goes away between pressing and letting go."""
    register_app(sandbox, "company_per_sign_in")
    routes: list[Any] = []
    for page in open_page(browser, koppel_url, admin, 390, "en", "light"):
        page.route("**/companies.json", lambda route: routes.append(route))  # noqa: PLW0108 - it wants a Python function
        page.goto(f"{koppel_url}/connections/new/")
        page.click("button[name=connector]")
        page.click("main .card button.button-primary")
        allow_company(page, sandbox.companies()[0]["name"])
        page.wait_for_selector("[data-poll]:visible")
        while not routes:
            page.wait_for_timeout(50)
        page.hover("text=Add another company")
        page.mouse.down()
        routes[0].fulfill(json={"left": 0, "companies": []})
        page.wait_for_selector("[data-poll]", state="hidden")
        page.mouse.up()
        page.wait_for_selector("#username")


def test_the_last_input_wins_over_a_late_earlier_one(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox
) -> None:
    register_app(sandbox, "company_per_sign_in")
    sent: list[Route] = []
    for page in open_page(browser, koppel_url, admin, 1280, "en", "light"):
        page.goto(f"{koppel_url}/connections/new/")
        page.click("button[name=connector]")
        page.click("main .card button.button-primary")
        allow_company(page, sandbox.companies()[0]["name"])
        page.wait_for_url("**/choose")
        page.click(".bulkbar .button-primary")
        page.wait_for_url("**/identify")
        with organisation_scope(admin.organisation_id):
            RemoteCompany.objects.update(country="NL")
        page.route("**/row", lambda route: route.continue_() if sent else sent.append(route))
        type_number(page, "12")
        while not sent:
            page.wait_for_timeout(50)
        type_number(page, "69599084")
        page.evaluate(
            "() => new Promise((done) => setTimeout(done, 300))"
        )  # a second one is on its way, if it goes at once
        sent[0].continue_()
        page.wait_for_selector('tr[data-marks="complete"]')
        page.reload()
        expect(page.locator("input[data-column]")).to_have_value("69599084")


def test_the_page_polls_again_after_a_failed_response(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox
) -> None:
    """The server restarts while a list is open: the page asks again, and stores what it could not store."""
    register_app(sandbox, "company_per_sign_in")
    routes: list[Any] = []

    def answer(route: Route) -> None:
        routes.append(route)
        if len(routes) == 1:
            route.abort()
        elif len(routes) == 2:
            route.fulfill(status=503)
        else:
            route.fulfill(json={"left": 0, "companies": []})

    for page in open_page(browser, koppel_url, admin, 390, "en", "light"):
        page.route("**/companies.json*", answer)
        page.goto(f"{koppel_url}/connections/new/")
        page.click("button[name=connector]")
        page.click("main .card button.button-primary")
        allow_company(page, sandbox.companies()[0]["name"])
        page.wait_for_selector("[data-poll]", state="visible")
        page.wait_for_selector("[data-poll]", state="hidden")
        page.click(".bulkbar .button-primary")
        page.wait_for_url("**/identify")
        with organisation_scope(admin.organisation_id):
            RemoteCompany.objects.update(country="NL")
        page.route("**/row", lambda route: route.abort(), times=1)
        type_number(page, "69599084")
        page.wait_for_selector('tr[data-marks="complete"]')
        page.reload()
        expect(page.locator("input[data-column]")).to_have_value("69599084")


def test_the_page_does_not_select_companies_itself(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox
) -> None:
    """Companies named by their ids: the list is shown anew when each has been asked about."""
    register_app(sandbox, "service")
    routes: list[Route] = []
    for page in open_page(browser, koppel_url, admin, 1280, "en", "light"):
        page.route("**/companies.json*", lambda route: routes.append(route))  # noqa: PLW0108 - it wants a Python function
        page.goto(f"{koppel_url}/connections/new/")
        page.click("button[name=connector]")
        page.fill("textarea", "\n".join(one["tenant_id"] for one in sandbox.companies()[:3]))
        page.click("main .card button.button-primary")
        page.wait_for_url("**/choose")
        for at in (0, 2):
            page.locator("input[name=company]").nth(at).check()
        while not routes:
            page.wait_for_timeout(50)
        with page.expect_navigation():
            routes[0].fulfill(json={"left": 0, "companies": []})
        expect(page.locator("input[name=company]:checked")).to_have_count(2)
        expect(page.locator("input[name=company]").nth(1)).not_to_be_checked()
        expect(page.locator(".bulkbar [data-count-of]")).to_have_text("2")


def type_number(page: Page, number: str) -> None:
    page.fill("input[data-column]", number)
    page.locator("input[data-column]").blur()


def allow_company(page: Page, company: str, *, answer: str = "allow") -> None:
    """The vendor's pages: sign in, choose the company, allow."""
    page.fill("#username", SANDBOX_USER)
    page.fill("#password", SANDBOX_PASSWORD)
    page.click("button")
    page.select_option("#tenant", label=company)
    page.click("button")
    page.click(f"button[value={answer}]")


EMPTY = (
    "all => all.forEach(field => { field.value = ''; field.dispatchEvent(new Event('change', { bubbles: "
    "true })); })"
)


def identify(page: Page, admin: Any, words: dict[str, str], mark: str) -> None:
    """By keyboard down the column, by a pasted column, and by a reason where there is no number."""
    fields = page.locator("input[data-column]")
    with page.expect_response("**/row"):  # stored before the whole form goes
        fields.evaluate_all(EMPTY)
    page.click(".bulkbar button[value=next]")
    page.wait_for_selector("[role=alert]")
    expect(fields.first).to_be_focused()
    check_page(page, f"{mark}-4-missing")
    with organisation_scope(admin.organisation_id):
        RemoteCompany.objects.update(country="NL")
    first = fields.first
    first.focus()
    page.keyboard.type("69599084")
    page.keyboard.press("Tab")
    expect(fields.nth(1)).to_be_focused()
    expect(page.locator('tr[data-marks="complete"]')).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    expect(first).to_be_focused()
    page.keyboard.press("Enter")
    expect(fields.nth(1)).to_be_focused()
    column = "\n".join(str(69599085 + at) for at in range(fields.count() - 2))
    paste(page, fields.nth(1), column)
    expect(page.locator('tr[data-marks="complete"]')).to_have_count(fields.count() - 1)
    expect(page.locator('[data-tally="incomplete"]')).to_have_text("1")
    last = page.locator('tr[data-marks="incomplete"]')
    last.locator("[data-reason-for]").select_option("not_a_company")
    sector = last.locator("[data-sector]")
    sector.fill("softw")
    expect(page.locator('#sectors option[value^="A"]')).to_have_count(0)
    expect(page.locator('#sectors option[value^="K"]').first).to_be_attached()
    sector.fill("K – Telecom en IT" if "nl" in mark else "K – Telecom and IT")
    sector.blur()
    expect(page.locator('[data-tally="incomplete"]')).to_have_text("0")
    page.reload()
    expect(page.locator('[data-tally="incomplete"]')).to_have_text("0")
    check_page(page, f"{mark}-4-complete")
    page.click(".bulkbar button[value=next]")


def test_an_empty_cell_of_a_pasted_column_keeps_its_place(browser: Browser) -> None:
    """Or the number of the next company would be given to this one."""
    rows = "".join(f'<tr><td><input data-column value="{old}"></td></tr>' for old in ("", "guess", "", ""))
    page, _complaints, _posted = open_component(browser, f"<table>{rows}</table>")
    fields = page.locator("input")
    paste(page, fields.first, "69599084\r\n\r\n17052456\r\n")
    assert [one.input_value() for one in fields.all()] == ["69599084", "guess", "17052456", ""]
    page.close()


def test_rows_are_found_by_their_values_and_not_by_their_options(browser: Browser) -> None:
    """Every row offers the same reasons; and how many are shown is said, also when it is none."""
    reasons = "<select><option value=''>–</option><option value='t'>Test / demo</option></select>"
    rows = "".join(
        f"<tr><td>{name}</td><td><input value='{number}'>{reasons}</td></tr>"
        for name, number in (("Bakkerij", "69599084"), ("Smëderij", "17052456"))
    )
    page, _complaints, _posted = open_component(
        browser,
        "<input id=search data-filter-rows='#t'>"
        "<span id=told data-shown-rows='#t' data-of=of data-none='Nothing matches.'></span>"
        f"<table id=t><tbody>{rows}</tbody></table>",
    )
    for words, visible_count, announcement in (
        ("bakker", 1, "1 of 2"),
        ("1705", 1, "1 of 2"),
        ("170 524 56", 1, "1 of 2"),
        ("17.052.456", 1, "1 of 2"),
        ("NL17052456", 1, "1 of 2"),
        ("smederij", 1, "1 of 2"),
        ("demo", 0, "Nothing matches."),
        ("", 2, ""),
    ):
        page.fill("#search", words)
        assert (page.locator("tr:visible").count(), page.inner_text("#told")) == (
            visible_count,
            announcement,
        ), words
    page.select_option("tr:first-child select", "t")
    page.fill("#search", "demo")
    assert page.inner_text("#told") == "1 of 2"
    page.close()


def paste(page: Page, field: Any, text: str) -> None:
    field.evaluate(
        """(field, text) => {
          const data = new DataTransfer();
          data.setData("text", text);
          const options = { clipboardData: data, bubbles: true, cancelable: true };
          field.dispatchEvent(new ClipboardEvent("paste", options));
        }""",
        text,
    )


def test_three_thousand_rows_are_searched_and_ticked_at_once(
    browser: Browser, koppel_url: str, admin: Any, sandbox: Sandbox, connected: Any
) -> None:
    with ThreadPoolExecutor(1) as elsewhere:  # Playwright's loop runs in this thread
        administrator = elsewhere.submit(connected, actor=admin).result()
        elsewhere.submit(connections.close_all).result()
    for page in open_page(browser, koppel_url, admin, 1280, "en", "light"):
        page.goto(f"{koppel_url}/connections/new/import?connection={administrator.connection.pk}")
        page.locator("#import button, main form button").first.click()
        add_companies(admin, administrator.connection, 3000)
        page.reload()
        metrics = page.context.new_cdp_session(page)
        metrics.send("Performance.enable")
        before = layouts(metrics)
        page.evaluate(
            """() => {
              const search = document.querySelector("[data-filter-rows]");
              search.value = "Company 1";
              search.dispatchEvent(new Event("input", { bubbles: true }));
              document.querySelector("[data-check-all]").click();
              document.body.offsetHeight;
            }"""
        )
        expect(page.locator(".bulkbar [data-count-of]")).to_have_text("1,000")
        assert 0 < layouts(metrics) - before < 1000, "a layout for each row"


def layouts(metrics: CDPSession) -> int:
    """How often the browser worked out where everything stands."""
    return int(
        {one["name"]: one["value"] for one in metrics.send("Performance.getMetrics")["metrics"]}[
            "LayoutCount"
        ]
    )


def add_companies(admin: Any, connection: Any, count: int) -> None:
    """As if the vendor had listed these too."""
    with organisation_scope(admin.organisation_id):
        firm, candidate = Organisation.objects.get(), RemoteCompany.objects.first()
        assert candidate is not None
        RemoteCompany.objects.bulk_create(
            RemoteCompany(
                organisation=firm,
                connection=connection,
                grant_id=candidate.grant_id,
                external_id=f"x{number}",
                name=f"Company {number:04d}",
                is_listed=True,
                last_listed_at=candidate.last_listed_at,
                described_at=candidate.last_listed_at,
            )
            for number in range(count)
        )
        RemoteCompany.objects.update(described_at=candidate.last_listed_at)
