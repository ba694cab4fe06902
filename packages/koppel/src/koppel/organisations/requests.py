"""The request of a signed-in member, its required permission, and the organisation of its session."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django_htmx.middleware import HtmxDetails

from koppel.organisations.errors import RecentSignInRequired
from koppel.organisations.roles import Actor, Permission, Role

SIGNED_IN_AT = "signed_in_at"
"""The session key of the time of the last sign-in or re-authentication, in seconds since the epoch."""
RECENT_SECONDS = 15 * 60
REAUTHENTICATION = "reauthentication"
"""The session key that says that the next sign-in through the identity provider must be a fresh one."""
View = TypeVar("View", bound=Callable[..., Any])


class AuthenticatedRequest(HttpRequest):
    """The request of a signed-in member, which every view that is not public receives."""

    actor: Actor
    parameters: Mapping[str, Any]
    """The values of the page's parameters, each read once; None for absent ones."""
    htmx: HtmxDetails
    csp_forms: Sequence[str]
    """Other origins that a form of the page may lead to; set by views that have such a form."""


def permission_required(permission: Permission) -> Callable[[View], View]:
    """Require this permission for a REST operation, before the request is parsed
    (`api.unknown_parameters`).
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: AuthenticatedRequest, *args: Any, **values: Any) -> Any:
            request.actor.require(permission)
            return view(request, *args, **values)

        wrapper.koppel_permission = permission  # type: ignore[attr-defined]
        return cast("View", wrapper)

    return decorate


def record_sign_in_time(request: HttpRequest) -> None:
    """Record that the person has just signed in or re-authenticated in this session."""
    request.session[SIGNED_IN_AT] = time.time()


def recent_sign_in_required(view: View) -> View:
    """Require a sign-in or re-authentication of the last 15 minutes for each POST to the view, so that a
    borrowed session cannot make its changes. The view raises `RecentSignInRequired` otherwise.
    """

    @wraps(view)
    def wrapper(request: AuthenticatedRequest, *args: Any, **values: Any) -> Any:
        if request.method == "POST":
            require_recent_sign_in(request)
        return view(request, *args, **values)

    return cast("View", wrapper)


def require_recent_sign_in(request: AuthenticatedRequest) -> None:
    """Raise `RecentSignInRequired` unless the person signed in or re-authenticated in the last 15 minutes.

    A request with an API token passes: creating the token required it.
    """
    if getattr(request, "bearer", None):
        return
    age = time.time() - request.session.get(SIGNED_IN_AT, 0)
    if not 0 <= age <= RECENT_SECONDS:
        raise RecentSignInRequired


def require_recent_sign_in_for_roles(request: AuthenticatedRequest, *roles: str) -> None:
    """As `require_recent_sign_in`, when one of the roles is given, changed or taken away is Administrator: a
    borrowed session could otherwise make itself permanent.
    """
    if Role.ADMINISTRATOR in roles:
        require_recent_sign_in(request)


def switch_organisation(request: HttpRequest, organisation_id: int) -> bool:
    """Switch the session to this organisation. Return True when it was in another one before.

    Forms of pages that were opened there are refused afterwards, because their token is no longer valid.
    """
    before = request.session.get("organisation")
    if before == organisation_id:
        return False
    request.session["organisation"] = organisation_id
    if before is None:
        return False
    rotate_token(request)
    return True
