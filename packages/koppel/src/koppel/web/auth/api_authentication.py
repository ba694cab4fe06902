"""API authentication: bearer tokens, and sessions with CSRF and origin checks."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from ninja.utils import check_csrf

from koppel.kit.web import paths

Handler = Callable[[HttpRequest], HttpResponseBase]
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class BearerMiddleware:
    """Reads the token from `Authorization`. A browser never sends it by itself, so such a request needs no
    CSRF token.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
        is_bearer = scheme.lower() == "bearer" and is_api(request)
        request.bearer = text.strip() if is_bearer else None  # type: ignore[attr-defined]
        return self.get_response(request)


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith(paths.API)


def get_bearer(request: HttpRequest) -> str | None:
    """Return the token's text; None without one. A token takes precedence over a session."""
    return getattr(request, "bearer", None)


def csrf_failure(request: HttpRequest) -> HttpResponseBase | None:
    """Return the refusal of a changing request with a session alone: the API's views are exempt from Django's
    check.
    """
    if request.method in SAFE or check_csrf(request) is None:
        return None
    return JsonResponse({"error": "csrf"}, status=403)
