"""The request of a signed-in member, what it needs to be allowed, and the organisation in which its session acts."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from koppel.organisations.roles import Actor, Permission

View = TypeVar("View", bound=Callable[..., Any])


class AuthenticatedRequest(HttpRequest):
    """The request of a signed-in member, as every view that is not public gets it."""

    actor: Actor
    parameters: Mapping[str, Any]
    """Values of the parameters that the page takes, each read once; None for what is not asked for."""


def needs(permission: Permission) -> Callable[[View], View]:
    """An operation of REST for those with this permission, which is asked before anything of the request is read
    (`api.unknown_parameters`)."""

    def mark(view: View) -> View:
        @wraps(view)
        def checked(request: AuthenticatedRequest, *args: Any, **values: Any) -> Any:
            request.actor.require(permission)
            return view(request, *args, **values)

        checked.koppel_permission = permission  # type: ignore[attr-defined]
        return cast("View", checked)

    return mark


def switch_organisation(request: HttpRequest, organisation_id: int) -> bool:
    """The session acts in this organisation from now on. True when it acted in another one before: pages that were opened there
    carry a mark that holds no longer, so that none of their forms is sent into this one."""
    before = request.session.get("organisation")
    if before == organisation_id:
        return False
    request.session["organisation"] = organisation_id
    if before is None:
        return False
    rotate_token(request)
    return True
