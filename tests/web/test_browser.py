"""The pages in a real browser: no findings of axe-core, no violations of the security policy."""

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from koppel.kit.tenancy import organisation_scope
from tests.books.factories import Ledger
from tests.web.browsing import NOWHERE, address, browser, listen, look_at_widths, opened, sign_in
from tests.web.factories import IMPORT, World, build_world

__all__ = ["address", "browser"]
pytestmark = pytest.mark.browser


@pytest.fixture
def world(actor: Any) -> World:
    """Its books have entries, and an account that differs from what the source states."""
    new_world = build_world(actor)
    ledger = Ledger(new_world.active)
    ledger.account("1000", "Bank")
    ledger.account("8000", "Omzet", "income")
    ledger.contact("10", "Bakkerij Vos")
    ledger.balance("1000", "202602", "0", "12.34")
    for number, period in enumerate(("202601", "202602"), start=1):
        lines = (("1000", "1234567.89", "0"), ("8000", "0", "1234567.89"))
        ledger.entry(str(number), period, *lines, contact="10")
    return new_world


def pages(world: World) -> dict[str, str]:
    administration_path = f"/administrations/{world.active.pk}"
    return {
        "dashboard": "/",
        "administrations": "/administrations/",
        "import": f"/administrations/?import={IMPORT}",
        "overview": f"{administration_path}/",
        "identity": f"{administration_path}/identity/",
        "settings-of-one": f"{administration_path}/settings/",
        "history": f"{administration_path}/history/",
        "books": f"{administration_path}/books/",
        "trial-balance": f"{administration_path}/books/trial-balance/",
        "trial-balance-periods": f"{administration_path}/books/trial-balance/?view=periods",
        "account": f"{administration_path}/books/account/1000/",
        "entry": f"{administration_path}/books/entry/GL1/?account=1000",
        "entries": f"{administration_path}/books/entries/",
        "contacts": f"{administration_path}/books/contacts/",
        "books-found-none": f"{administration_path}/books/contacts/?q=zz",
        "import-progress": f"/imports/{IMPORT}/",
        "sync": f"{administration_path}/sync/",
        "sync-run": f"{administration_path}/sync/runs/{world.run_id}/",
        "issues": "/issues/",
        "notices": "/notifications/",
        "notices-unread": "/notifications/?show=unread",
        "notices-preferences": "/notifications/preferences/",
        "people": "/organisation/people/",
        "divisions": "/organisation/divisions/",
        "division": f"/organisation/divisions/{world.division.pk}/",
        "templates": "/organisation/templates/",
        "template": f"/organisation/templates/{world.template.pk}/",
        "edit": f"{administration_path}/edit/",
        "ending": f"{administration_path}/offboarding/",
        "bulk-csv": "/administrations/bulk/csv/",
        "bulk-list": "/administrations/bulk/",
        "restricted": "/administrations/restricted/",
        "filtered": f"/administrations/?status=active&division={world.division.pk}"
        "&sort=-name&columns=name.client.people",
        "person": f"/organisation/people/{world.bystander.membership_id}/",
        "invite": "/organisation/people/invite/",
        "invite-many": "/organisation/people/invite/many/",
        "security": "/organisation/security/",
        "sessions": "/account/sessions/",
        "activity": "/organisation/activity/",
        "settings": "/organisation/settings/",
        "webhooks": "/organisation/webhooks/",
        "webhook": f"/organisation/webhooks/{world.webhook_id}/",
        "tokens": "/account/tokens/",
        "api": "/account/api/",
        "password": "/accounts/password/change/",
        "two-steps": "/accounts/2fa/",
        "styleguide": "/styleguide/",
        "not-found": NOWHERE,
    }


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("nl", "dark")])
def test_every_page_is_accessible(
    browser: Browser, world: World, address: str, language: str, scheme: Any, settings: Any
) -> None:
    settings.STYLEGUIDE = True
    page = opened(browser, color_scheme=scheme, locale=language)
    complaints = listen(page)
    for name in ("accounts/login", "accounts/password/reset", "sign-in"):
        page.goto(f"{address}/{name}/")
        look_at_widths(page, name.replace("/", "-"), language)
    sign_in(page, address, world.boss)
    for name, path in pages(world).items():
        page.goto(address + path)
        look_at_widths(page, name, language)
    page.context.close()
    assert complaints == []


def test_an_import_is_followed_without_losing_what_is_ticked(
    browser: Browser, world: World, address: str
) -> None:
    page = opened(browser)
    sign_in(page, address, world.boss)
    page.goto(f"{address}/administrations/?import={IMPORT}")
    page.check(f"#tick-{world.active.pk}")
    page.route("**/administrations/rows/**", lambda asked: asked.abort())
    page.wait_for_selector("text=Koppel cannot be reached.")
    page.unroute("**/administrations/rows/**")
    page.wait_for_selector("#unreachable", state="hidden")
    with organisation_scope(world.boss.organisation_id):
        type(world.configuring).objects.filter(pk=world.configuring.pk).update(status="active")
    page.wait_for_selector("text=Import complete: 2 administrations are active.")
    assert page.is_checked(f"#tick-{world.active.pk}")
    assert page.inner_text(".bulkbar strong[data-count-of]") == "1"
    assert page.get_attribute("#rows-poll", "hx-get") is None
    page.context.close()


def test_a_pressed_button_is_not_replaced(browser: Browser, world: World, address: str) -> None:
    page = opened(browser)
    sign_in(page, address, world.boss)
    page.goto(f"{address}/administrations/?import={IMPORT}")
    page.hover(f"#tick-{world.active.pk}")
    page.mouse.down()
    for _twice in range(2):  # when the next is asked for, the last was dealt with
        with page.expect_response("**/administrations/rows/**"):
            pass
    page.mouse.up()
    assert page.is_checked(f"#tick-{world.active.pk}")
    with organisation_scope(world.boss.organisation_id):
        type(world.configuring).objects.filter(pk=world.configuring.pk).update(status="active")
    page.wait_for_selector("text=Import complete: 2 administrations are active.")
    page.context.close()


def test_enter_in_the_settings_saves_and_never_resets(browser: Browser, world: World, address: str) -> None:
    with organisation_scope(world.boss.organisation_id):
        type(world.active).objects.filter(pk=world.active.pk).update(settings={"resources": ["accounts"]})
    page = opened(browser)
    sign_in(page, address, world.boss)
    page.goto(f"{address}/administrations/{world.active.pk}/settings/")
    page.fill("#years", "5")
    page.press("#years", "Enter")
    page.wait_for_selector(".toast")
    with organisation_scope(world.boss.organisation_id):
        world.active.refresh_from_db()
        assert world.active.settings == {"resources": ["accounts"], "fiscal_years_back": 5}
    page.context.close()


def test_a_field_that_was_refused_is_where_one_stands(browser: Browser, world: World, address: str) -> None:
    page = opened(browser)
    sign_in(page, address, world.boss)
    page.goto(f"{address}/administrations/{world.active.pk}/identity/")
    page.fill("#number", "")
    page.press("#number", "Enter")
    page.wait_for_selector("#number[aria-invalid=true]")
    expect(page.locator("#number")).to_be_focused()
    page.context.close()
