"""Throttling of sign-ins that an attacker cannot turn against the account's owner.

Wrong passwords are counted per network and account, so that an attacker's guesses slow down the attacker. A
browser in which the person signed in before has a signed cookie and is counted apart. All other browsers
together have a limit per account as well, because guesses can be spread over many addresses.
"""

import ipaddress
import secrets
from collections.abc import Callable

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from koppel.kit.web import paths
from koppel.kit.web.client_ip import client_ip
from koppel.organisations.models import User

COOKIE = "koppel_browser"
SALT = "koppel.known_browser"
KEPT_FOR_SECONDS = 365 * 24 * 3600
OTHER_BROWSERS_RATE = "100/h/key"
NETWORK_BITS_V6 = 64
"""A household or office has this much of IPv6 to itself."""


class KnownBrowserMiddleware:
    """Sets the cookie after a sign-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        user_id = getattr(request, "known_user_id", None)
        if user_id is not None:
            response.set_cookie(
                COOKIE,
                signing.dumps([user_id, secrets.token_urlsafe(12)], salt=SALT),
                max_age=KEPT_FOR_SECONDS,
                path=paths.ACCOUNTS,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response


def remember(request: HttpRequest, user_id: int) -> None:
    """Record that this person has just signed in here."""
    if _read_cookie(request)[0] != user_id:
        request.known_user_id = user_id  # type: ignore[attr-defined]


def is_known(request: HttpRequest, login: str) -> bool:
    user_id = _read_cookie(request)[0]
    return user_id is not None and User.objects.filter(pk=user_id, email__iexact=login).exists()


def throttle_key(request: HttpRequest, login: str) -> str:
    """Return the key under which wrong passwords are counted."""
    if is_known(request, login):
        return f"browser {_read_cookie(request)[1]} {login}"
    return f"{_network(client_ip(request))} {login}"


def _read_cookie(request: HttpRequest) -> tuple[int | None, str]:
    """Return (person, random id of the browser) of a cookie that Koppel signed."""
    try:
        user_id, browser_id = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=KEPT_FOR_SECONDS
        )
    except (signing.BadSignature, ValueError, TypeError):
        return None, ""
    return int(user_id), str(browser_id)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return (
        address
        if parsed.version == 4
        else str(ipaddress.ip_network((address, NETWORK_BITS_V6), strict=False))
    )
