"""Markup with the scripts of pages, without a server: one page of one component, under the security policy of
the real pages.
"""

import json
import mimetypes
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.utils import translation
from playwright.sync_api import Browser, Page, Route

from koppel.web.auth.middleware import CONTENT_SECURITY_POLICY
from koppel.web.build.built import STATIC_SOURCE
from koppel.web.templatetags.frame import script_texts
from tests.fixtures.stack import PATIENCE_SECONDS
from tests.web.browsing import HEIGHT, collect_complaints

ORIGIN = "http://components.test"
PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>Component</title>
<link rel="stylesheet" href="/static/vendor/uplot/uPlot.min.css">
<link rel="stylesheet" href="/static/koppel/behaviour.css">
<link rel="stylesheet" href="/static/koppel/koppel.css">
{texts}<script src="/static/koppel/js/app.js" type="module"></script></head>
<body><main id="main" tabindex="-1"><h1>Component</h1>{body}</main></body></html>"""


def open_component(
    browser: Browser,
    body: str,
    language: str = "en",
    answers: dict[str, Any] | None = None,
    width: int = 1280,
    has_clock: bool = False,
    **options: Any,
) -> tuple[Page, list[str], list[str]]:
    """Return the page, what the browser complains about, and the bodies of what the page posts.

    `answers`: by path, what a GET is answered with: JSON, or markup as text. `has_clock`: time passes only as
    the test lets it.
    """
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, **options)
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    page = context.new_page()
    if has_clock:
        page.clock.install()
    complaints, posted = collect_complaints(page), list[str]()
    with translation.override(language):
        html = PAGE.format(language=language, texts=script_texts(), body=body)

    def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        if route.request.method == "POST":
            posted.append(f"{path} {route.request.post_data or ''}")
        if path.startswith("/static/"):
            content = (STATIC_SOURCE / path.removeprefix("/static/")).read_bytes()
            route.fulfill(body=content, content_type=mimetypes.guess_type(path)[0] or "text/plain")
        elif answers and path in answers:
            value = answers[path]
            is_text = isinstance(value, str)
            route.fulfill(
                body=value if is_text else json.dumps(value),
                content_type="text/html" if is_text else "application/json",
            )
        elif path == "/favicon.ico":
            route.fulfill(status=HTTPStatus.NO_CONTENT)
        else:
            policy = CONTENT_SECURITY_POLICY.format(forms="")
            route.fulfill(body=html, content_type="text/html", headers={"Content-Security-Policy": policy})

    page.route(f"{ORIGIN}/**", answer)
    page.goto(f"{ORIGIN}/")
    return page, complaints, posted
