"""Bind a sign-in at a vendor to the browser in which it began: a random cookie that outlives signing out of
Koppel.

The session is not suitable: it ends with a sign-out in the middle, after which the person may still continue.
"""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

COOKIE = "koppel_consent"
LIFETIME_SECONDS = 24 * 3600


def browser_key(request: HttpRequest) -> str:
    """Return this browser's key, a new one when it has none yet."""
    return request.COOKIES.get(COOKIE, "") or secrets.token_urlsafe(32)


def set_cookie(response: HttpResponseBase, key: str) -> None:
    """Set the cookie by which the browser is recognised after the sign-in."""
    response.set_cookie(
        COOKIE,
        key,
        max_age=LIFETIME_SECONDS,
        path=reverse("connections:list"),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
