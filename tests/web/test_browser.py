"""The frame's pages in a real browser: nothing for axe-core to find, nothing that the security policy stops.

Screenshots of the pages stay in `test-output/`.
"""

import shutil
import threading
from collections.abc import Iterator
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from playwright.sync_api import Browser, Page, sync_playwright

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from tests.fixtures.people import PASSWORD
from tests.fixtures.surroundings import REPOSITORY
from tests.web.world import IMPORT, World, world_of

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed"),
]
SCREENSHOTS = REPOSITORY / "test-output" / "screenshots"
NOWHERE = "/administrations/987654/"
WIDTHS = {"wide": 1280, "narrow": 390}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Playwright's loop runs in this thread, which Django would refuse to read the database from."""
    with pytest.MonkeyPatch.context() as surroundings, sync_playwright() as playwright:
        surroundings.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield started
        started.close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Requests are not what the test tells."""


class _Closing(StaticFilesHandler):
    """Gives the thread's database connection back: tests empty tables behind it."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        try:
            return super().__call__(environ, start_response)
        finally:
            connections.close_all()


@pytest.fixture
def world(actor: Any) -> World:
    return world_of(actor)


@pytest.fixture
def address(clean_database: None) -> Iterator[str]:
    """Where the pages are served, by this process."""
    server = make_server("127.0.0.1", 0, _Closing(WSGIHandler()), server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def pages(world: World) -> dict[str, str]:
    one = f"/administrations/{world.active.pk}"
    return {
        "dashboard": "/",
        "administrations": "/administrations/",
        "import": f"/administrations/?import={IMPORT}",
        "overview": f"{one}/",
        "identity": f"{one}/identity/",
        "settings-of-one": f"{one}/settings/",
        "history": f"{one}/history/",
        "books": f"{one}/books/",
        "sync": f"{one}/sync/",
        "sync-run": f"{one}/sync/runs/{world.run_id}/",
        "issues": "/issues/",
        "notices": "/notices/",
        "notices-unread": "/notices/?show=unread",
        "notices-preferences": "/notices/preferences/",
        "people": "/organisation/people/",
        "divisions": "/organisation/divisions/",
        "division": f"/organisation/divisions/{world.division.pk}/",
        "templates": "/organisation/templates/",
        "template": f"/organisation/templates/{world.template.pk}/",
        "edit": f"{one}/edit/",
        "ending": f"{one}/ending/",
        "bulk-csv": "/administrations/bulk/csv/",
        "bulk-list": "/administrations/bulk/",
        "restricted": "/administrations/restricted/",
        "filtered": f"/administrations/?status=active&division={world.division.pk}&sort=-name&columns=name.client.people",
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
        "password": "/accounts/password/change/",
        "two-steps": "/accounts/2fa/",
        "not-found": NOWHERE,
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("nl", "dark")])
def test_no_page_shuts_anybody_out(
    browser: Browser, world: World, address: str, width: str, language: str, scheme: Any
) -> None:
    context = browser.new_context(
        viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme, locale=language
    )
    page = context.new_page()
    complaints = listen(page)
    for name in ("accounts/login", "accounts/password/reset", "sign-in"):
        page.goto(f"{address}/{name}/")
        look(page, f"{name.replace('/', '-')}-{width}-{language}")
    sign_in(page, address, world)
    for name, path in pages(world).items():
        page.goto(address + path)
        look(page, f"{name}-{width}-{language}")
    context.close()
    assert complaints == []


def listen(page: Page) -> list[str]:
    """What the browser complains about: scripts that fail, what the policy stops, addresses that answer with an error."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on("console", lambda one: complaints.append(f"{page.url}: {one.text}") if is_complaint(one) else None)
    page.on("response", lambda one: complaints.append(f"{one.status} {one.url}") if is_failure(one) else None)
    return complaints


def is_complaint(message: Any) -> bool:
    return message.type in ("error", "warning") and "404" not in message.text


def is_failure(response: Any) -> bool:
    return response.status >= HTTPStatus.BAD_REQUEST and NOWHERE not in response.url


def sign_in(page: Page, address: str, world: World) -> None:
    page.goto(f"{address}/accounts/login/")
    page.fill("#id_login", User.objects.get(pk=world.boss.user_id).email)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url(f"{address}/")


SETTLED = "() => !document.querySelector('.htmx-request, [hx-trigger=load]')"
"""Scripts have run and what a page asks for by itself has come."""


def look(page: Page, name: str) -> None:
    """Keep a picture; nothing sticks out sideways; axe-core finds nothing."""
    page.wait_for_load_state("load")
    page.wait_for_function(SETTLED)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{name} is {wider} pixels too wide"
    found = Axe().run(page)
    assert found.violations_count == 0, f"{name}: {found.generate_report()}"


def test_an_import_is_followed_without_losing_what_is_ticked(browser: Browser, world: World, address: str) -> None:
    page = browser.new_page()
    sign_in(page, address, world)
    page.goto(f"{address}/administrations/?import={IMPORT}")
    page.check(f"#tick-{world.active.pk}")
    page.route("**/administrations/rows/**", lambda asked: asked.abort())
    page.wait_for_selector("text=Koppel cannot be reached at the moment.")
    page.unroute("**/administrations/rows/**")
    page.wait_for_selector("#unreachable", state="hidden")
    with organisation_scope(world.boss.organisation_id):
        type(world.configuring).objects.filter(pk=world.configuring.pk).update(status="active")
    page.wait_for_selector("text=The import is complete: 2 administrations are active.")
    assert page.is_checked(f"#tick-{world.active.pk}")
    assert page.inner_text(".bulkbar strong[data-count-of]") == "1"
    assert page.get_attribute("#rows-poll", "hx-get") is None
    page.close()


def test_the_search_is_one_keystroke_away(browser: Browser, world: World, address: str) -> None:
    page = browser.new_page()
    sign_in(page, address, world)
    page.keyboard.press("Control+k")
    page.keyboard.type("bakkerij")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/administrations/?q=bakkerij")
    assert page.locator("#rows-body tr").count() == 1
    page.close()


def test_the_search_finds_administrations_people_and_pages_by_keyboard(
    browser: Browser, world: World, address: str
) -> None:
    page = browser.new_page()
    sign_in(page, address, world)
    page.keyboard.press("Control+k")
    page.keyboard.type("bakk")
    page.wait_for_selector("#hits >> text=Bakkerij De Haan B.V.")
    look(page, "search-wide-en")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/administrations/{world.active.pk}/")
    page.keyboard.press("Control+k")
    page.keyboard.type("verbinding")
    page.wait_for_selector("#hits >> text=Connections")
    page.keyboard.press("Escape")
    assert page.locator("#hits a").count() == 0
    page.keyboard.press("Control+a")
    page.keyboard.type("no such thing")
    page.wait_for_selector("#hits >> text=Nothing is called “no such thing”.")
    page.close()


def test_enter_in_the_settings_saves_and_never_resets(browser: Browser, world: World, address: str) -> None:
    with organisation_scope(world.boss.organisation_id):
        type(world.active).objects.filter(pk=world.active.pk).update(settings={"resources": ["accounts"]})
    page = browser.new_page()
    sign_in(page, address, world)
    page.goto(f"{address}/administrations/{world.active.pk}/settings/")
    page.fill("#years", "5")
    page.press("#years", "Enter")
    page.wait_for_selector(".toast")
    with organisation_scope(world.boss.organisation_id):
        world.active.refresh_from_db()
        assert world.active.settings == {"resources": ["accounts"], "fiscal_years_back": 5}
    page.close()
