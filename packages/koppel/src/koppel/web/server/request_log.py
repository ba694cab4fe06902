"""The access log of the web: one line per request in the common log format, for fail2ban and the like.

The address is the client's, also behind proxies. A line has no query, and no part of a path that is a secret.
"""

import logging
from collections.abc import Callable
from logging.handlers import WatchedFileHandler
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from koppel.kit.logging.secret_text import redacted_text
from koppel.kit.web.client_ip import client_ip

PATH_CHARACTERS_MAX = 300
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessLogMiddleware:
    """Writes to the file of `KOPPEL_ACCESS_LOG`, which may be rotated; without one it does nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._logger = _file_logger(settings.ACCESS_LOG)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if self._logger is not None:
            self._logger.info(access_line(request, response.status_code))
        return response


def access_line(request: HttpRequest, status: int) -> str:
    """Return the line of a request. What the caller chose freely is quoted: no blank, quote or line break."""
    address = client_ip(request)
    address = address if address and all(part.isalnum() or part in ".:%" for part in address) else "-"
    method = request.method if request.method in METHODS else "-"
    path = quote(redacted_text(request.path[:PATH_CHARACTERS_MAX], is_cut=True), safe="/[]")
    at = timezone.now().strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{address} - - [{at}] "{method} {path} HTTP/1.1" {status} -'


def _file_logger(path: str) -> logging.Logger | None:
    if not path:
        return None
    logger = logging.getLogger(f"koppel.access.{path}")
    if not logger.handlers:
        logger.addHandler(WatchedFileHandler(path, encoding="utf-8", delay=True))
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
