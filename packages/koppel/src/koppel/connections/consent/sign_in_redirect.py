"""Redirect a page to the vendor's sign-in."""

from typing import Any

from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import get_language

from koppel.connections.consent import browser_binding
from koppel.connections.consent.attempts import begin_attempt
from koppel.connections.models import ConsentPurpose
from koppel.organisations.roles import Actor


def sign_in_at_vendor(
    request: HttpRequest, actor: Actor, app_id: int, purpose: ConsentPurpose, return_path: str, **options: Any
) -> HttpResponseRedirect:
    """Redirect to the vendor's sign-in page, bound to this browser. Raises `NoSuchConnection` and
    `ConsentRefused`.
    """
    key = browser_binding.browser_key(request)
    url = begin_attempt(
        actor, app_id, purpose, return_path, language=get_language() or "en", browser=key, **options
    )
    response = HttpResponseRedirect(url)
    browser_binding.set_cookie(response, key)
    return response
