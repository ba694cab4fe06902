"""Throttling of sign-ins that an attacker cannot turn against the account's owner.

Wrong passwords are counted per network and account, so that an attacker's guesses slow down the attacker. A
browser in which the person signed in before has a signed cookie and is counted apart, until the person signs
out everywhere or chooses a new password (`forget_known_browsers`). All other browsers
together have a limit per account as well, because guesses can be spread over many addresses.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from koppel.kit.web import paths
from koppel.kit.web.client_ip import client_ip, network_of
from koppel.organisations.models import User

COOKIE = "koppel_browser"
SALT = "koppel.known_browser"
KEPT_FOR_SECONDS = 365 * 24 * 3600
OTHER_BROWSERS_RATE = "100/h/key"


@dataclass(frozen=True, kw_only=True)
class _KnownBrowserCookie:
    user_id: int
    version: int
    browser_id: str


class KnownBrowserMiddleware:
    """Sets the cookie after a sign-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        identity = getattr(request, "known_browser_of", None)
        if identity is not None:
            response.set_cookie(
                COOKIE,
                signing.dumps([*identity, secrets.token_urlsafe(12)], salt=SALT),
                max_age=KEPT_FOR_SECONDS,
                path=paths.ACCOUNTS,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def remember_browser(request: HttpRequest, user: User) -> None:
    """Record that this person has just signed in here."""
    cookie, identity = _read_cookie(request), (user.pk, user.known_browsers_version)
    if cookie is None or (cookie.user_id, cookie.version) != identity:
        request.known_browser_of = identity  # type: ignore[attr-defined]


def is_known_browser(request: HttpRequest, login: str) -> bool:
    return _known_cookie(request, login) is not None


def throttle_key(request: HttpRequest, login: str) -> str:
    """Return the key under which wrong passwords are counted."""
    cookie = _known_cookie(request, login)
    return f"browser {cookie.browser_id} {login}" if cookie else f"{network_of(client_ip(request))} {login}"


def _known_cookie(request: HttpRequest, login: str) -> _KnownBrowserCookie | None:
    cookie = _read_cookie(request)
    if cookie is None:
        return None
    users = User.objects.filter(pk=cookie.user_id, email__iexact=login, known_browsers_version=cookie.version)
    return cookie if users.exists() else None


def _read_cookie(request: HttpRequest) -> _KnownBrowserCookie | None:
    """Return the content of the signed cookie."""
    try:
        user_id, version, browser_id = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=KEPT_FOR_SECONDS
        )
        return _KnownBrowserCookie(user_id=int(user_id), version=int(version), browser_id=str(browser_id))
    except (signing.BadSignature, ValueError, TypeError):
        return None
