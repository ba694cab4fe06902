"""A real browser on pages that this process serves: errors, axe-core, measures.

Screenshots are stored in `test-output/`; those of all pages by `make screenshots`.
"""

import shutil
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from django.core.handlers.wsgi import WSGIHandler
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from playwright.sync_api import Browser, Page, expect, sync_playwright

from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from tests.fixtures.environment import REPOSITORY
from tests.fixtures.people import PASSWORD
from tests.fixtures.requirements import CHROMIUM, skip_without
from tests.fixtures.stack import PATIENCE_SECONDS, wait_until
from tests.web.measures import (
    TWO_FRAMES,
    WIDTHS,
    ZOOMED_WIDTH,
    Scales,
    cut_text,
    hidden_cells,
    layout_shifts,
    observe,
    opened_parts,
    overflow,
)
from tests.web.page_table import NOWHERE

SCREENSHOTS = REPOSITORY / "test-output" / "screenshots"
LOADED_WIDTH = 1280
ACCESSIBILITY_WIDTHS = (1280, 390)
HEIGHT = 900


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Playwright's loop runs in this thread, which Django would refuse to read the database from."""
    with pytest.MonkeyPatch.context() as surroundings, sync_playwright() as playwright:
        surroundings.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        expect.set_options(timeout=PATIENCE_SECONDS * 1000)
        started = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        yield started
        started.close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Requests are not what the test tells."""


class _Pages(WSGIHandler):
    """The pages in threads, each request with a database connection that an earlier one has given back, as
    threads of the real web server keep theirs. Tests wait for `busy_threads` before they empty tables.
    """

    def __init__(self) -> None:
        super().__init__()
        self.busy_threads: set[threading.Thread] = set()
        self._idle: deque[BaseDatabaseWrapper] = deque()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.busy_threads.add(threading.current_thread())
        self._lend()
        try:
            return super().__call__(environ, start_response)
        finally:
            self._take_back()
            self.busy_threads.discard(threading.current_thread())

    def close(self) -> None:
        """Close the connections; call when no thread is busy."""
        for connection in self._idle:
            connection.close()

    def _lend(self) -> None:
        try:
            connections[DEFAULT_DB_ALIAS] = self._idle.pop()
        except IndexError:
            connections[DEFAULT_DB_ALIAS].inc_thread_sharing()

    def _take_back(self) -> None:
        self._idle.append(connections[DEFAULT_DB_ALIAS])
        del connections[DEFAULT_DB_ALIAS]


def _chromium() -> str:
    return shutil.which("chromium") or skip_without(CHROMIUM)


@pytest.fixture
def address(clean_database: None) -> Iterator[str]:
    """Where the pages are served, by this process."""
    pages = _Pages()
    server = make_server("127.0.0.1", 0, pages, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()
    wait_until(lambda: not pages.busy_threads)
    pages.close()


def collect_complaints(page: Page) -> list[str]:
    """What the browser complains about: scripts that fail, what the policy stops, addresses that answer with
    an error.
    """
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    page.on(
        "console", lambda one: complaints.append(f"{page.url}: {one.text}") if is_complaint(one) else None
    )
    page.on("response", lambda one: complaints.append(f"{one.status} {one.url}") if is_failure(one) else None)
    return complaints


def is_complaint(message: Any) -> bool:
    return message.type in ("error", "warning") and "404" not in message.text


def is_failure(response: Any) -> bool:
    return response.status >= HTTPStatus.BAD_REQUEST and NOWHERE not in response.url


def open_browser_page(browser: Browser, width: int = LOADED_WIDTH, **how: Any) -> Page:
    """A page of a person who has visited nothing yet. Close its context when the test is over."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, **how)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    observe(context)
    return context.new_page()


def sign_in(page: Page, address: str, person: Actor) -> None:
    page.goto(f"{address}/accounts/login/")
    page.fill("#id_login", User.objects.get(pk=person.user_id).email)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_url(f"{address}/")


def click_twice(page: Page, selector: str) -> None:
    """A double click of which both halves meet this page, however quickly the next one comes: `dblclick` of a
    machine that pauses in between presses whatever lies there on the next page.
    """
    page.locator(selector).first.evaluate("button => { button.click(); setTimeout(() => button.click()); }")


SETTLED = "() => !document.querySelector('.htmx-request, [hx-trigger=load]')"
"""Scripts have run and what a page asks for by itself has come."""


def check_page(page: Page, name: str) -> None:
    """Keep a picture; nothing sticks out sideways; axe-core finds nothing."""
    wait_until_settled(page)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.jpg", type="jpeg", quality=90, full_page=True)
    check_accessibility(page, name)


def wait_until_settled(page: Page) -> None:
    page.wait_for_load_state("load")
    page.wait_for_function(SETTLED)


def check_accessibility(page: Page, name: str) -> None:
    assert overflow(page) == [], name
    _load_axe(page)
    report = Axe("").run(page, options=AXE_OPTIONS)
    assert report.violations_count == 0, f"{name}: {report.generate_report()}"


def resize(page: Page, width: int) -> None:
    """Return when the page's scripts have seen the new width, which they do a frame later."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.evaluate(TWO_FRAMES)


def check_pages(
    page: Page,
    address: str,
    addresses: Mapping[str, str],
    language: str,
    accessibility_widths: Collection[int] = ACCESSIBILITY_WIDTHS,
) -> None:
    """Load each page once, and look at it on desks and phones. Needs the page of `open_browser_page`.

    Menus are opened and axe-core is run at `accessibility_widths`; all else is looked at at every width.
    """
    scales, findings = Scales(), list[str]()
    for name, path in addresses.items():
        page.set_viewport_size({"width": LOADED_WIDTH, "height": HEIGHT})
        response = page.goto(address + path)
        wait_until_settled(page)
        assert response
        page_findings = layout_shifts(page) + scales.weigh(page, response.body(), name)
        for width in (*WIDTHS, ZOOMED_WIDTH):
            resize(page, width)
            layout_findings = overflow(page) + cut_text(page) + hidden_cells(page)
            page_findings += [f"at {width}: {finding}" for finding in layout_findings]
            if width in accessibility_widths:
                page_findings += opened_parts(page)
                check_accessibility(page, f"{name} at {width} ({language})")
        findings += [f"{name} ({language}): {finding}" for finding in page_findings]
    assert findings == [], "\n".join(findings)


AXE_OPTIONS = {"preload": False, "resultTypes": ["violations"]}
"""Preloading makes axe write the page's styles into a document of its own; the browser reports each as an
inline style that the Content-Security-Policy stops. Only rules about sounds and locked screens need it. To
describe all that passed takes as long as to check it.
"""


def _load_axe(page: Page) -> None:
    """Half a megabyte: sent once, and run by the browser in each page that follows."""
    if not page.evaluate("'axe' in window"):
        page.context.add_init_script(AXE_SCRIPT)
        page.evaluate(AXE_SCRIPT)
