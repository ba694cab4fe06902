"""Responses of the server itself, to requests that never reach Django."""

import json
import math
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus

import structlog
from django.template import loader
from django.template.defaultfilters import filesizeformat
from django.utils import translation
from django.utils.translation import get_supported_language_variant
from django.utils.translation import gettext as _
from django.utils.translation.trans_real import parse_accept_lang_header

from koppel.kit.web import paths

RETRY_AFTER_SECONDS = 5
LOG_PAUSE_SECONDS = 1.0
CODES = {
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "headers_too_large",
    HTTPStatus.SERVICE_UNAVAILABLE: "busy",
    HTTPStatus.BAD_REQUEST: "bad_request",
}

log = structlog.get_logger(__name__)


class RequestRefused(Exception):
    """The server does not process the request. `size_max` in bytes, for a body that is too large."""

    def __init__(self, status: HTTPStatus, *, size_max: int = 0) -> None:
        super().__init__(CODES[status])
        self.status, self.size_max = status, size_max


def refusal_content(refusal: RequestRefused, path: str, accept_language: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body: JSON for REST, otherwise a page that needs no database."""
    headers = {"Cache-Control": "no-store", "Connection": "close"}
    if refusal.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if path.startswith(paths.API):
        body = json.dumps({"error": CODES[refusal.status]}).encode()
        return {**headers, "Content-Type": "application/json"}, body
    page = _page(refusal.status, refusal.size_max, _language(accept_language))
    return {**headers, "Content-Type": "text/html; charset=utf-8"}, page


class RefusalLog:
    """Logs refusals: of one reason at most a line each second, with the number since the last line."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counts: Counter[HTTPStatus] = Counter()
        self._logged_at: dict[HTTPStatus, float] = {}

    def add(self, refusal: RequestRefused) -> None:
        status = refusal.status
        self._counts[status] += 1
        if self._now() - self._logged_at.get(status, -math.inf) < LOG_PAUSE_SECONDS:
            return
        self._logged_at[status] = self._now()
        log.warning(
            "request_refused", reason=str(refusal), status=int(status), count=self._counts.pop(status)
        )


@lru_cache(maxsize=100)
def _page(status: HTTPStatus, size_max: int, language: str) -> bytes:
    """Render a page once: refusals come by the thousand, and in the event loop."""
    with translation.override(language):
        context = {"message": _message(status, size_max), "language": language}
        return loader.get_template("web/request_refused.html").render(context).encode()


def _message(status: HTTPStatus, size_max: int) -> str:
    match status:
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            size = filesizeformat(size_max)
            return _("This is too large: up to %s can be sent at once.") % size
        case HTTPStatus.REQUEST_TIMEOUT:
            return _("Your connection was too slow to send this. Try again.")
        case HTTPStatus.SERVICE_UNAVAILABLE:
            return _("Koppel is busy. Try again in a few seconds.")
        case _:
            return _("Koppel cannot read this request.")


@lru_cache(maxsize=1000)
def _language(accept_language: str) -> str:
    """Return the first language of the header that Koppel has."""
    for name, _quality in parse_accept_lang_header(accept_language[:200]):
        try:
            return get_supported_language_variant(name)
        except LookupError:
            continue
    return "en"
