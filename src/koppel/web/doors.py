"""What views share with the frame: marks (who may come in, who opens transactions), and where a request acts."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from koppel.kit.parameters import Parameter, UnknownParameter, unknown_parts, values_of
from koppel.organisations.policy import Actor, Permission

View = TypeVar("View", bound=Callable[..., Any])


class MemberRequest(HttpRequest):
    """The request of a signed-in member, as every view that is not public gets it."""

    actor: Actor
    parameters: Mapping[str, Any]
    """Values of the parameters that the page takes, each read once; None for what is not asked for."""


def public(view: View) -> View:
    """This view answers anybody. It gets no scope; `request.actor` is None."""
    view.koppel_public = True  # type: ignore[attr-defined]
    return view


def outside_transaction(view: View) -> View:
    """This view opens its own scopes, because it calls the vendor or streams between them."""
    view.koppel_outside_transaction = True  # type: ignore[attr-defined]
    return view


def takes(**parameters: Parameter) -> Callable[[View], View]:
    """The query parameters of a page. Another one, or a value that one of these cannot have, is refused by name instead of
    being ignored: the frame says so, with nothing of the page (`middleware`)."""

    def mark(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **values: Any) -> Any:
            if parts := unknown_parts(request.GET, parameters):
                raise UnknownParameter(parts)
            request.parameters = values_of(request.GET, parameters)  # type: ignore[attr-defined]
            return view(request, *args, **values)

        checked.koppel_parameters = parameters  # type: ignore[attr-defined]
        return cast("View", checked)

    return mark


def needs(permission: Permission) -> Callable[[View], View]:
    """An operation of REST for those with this permission, which is asked before anything of the request is read
    (`api.unknown`)."""

    def mark(view: View) -> View:
        @wraps(view)
        def checked(request: MemberRequest, *args: Any, **values: Any) -> Any:
            request.actor.require(permission)
            return view(request, *args, **values)

        checked.koppel_permission = permission  # type: ignore[attr-defined]
        return cast("View", checked)

    return mark


def is_public(view: Callable[..., Any]) -> bool:
    return getattr(view, "koppel_public", False) or getattr(view, "__module__", "").startswith("allauth.")


def runs_outside_transaction(view: Callable[..., Any]) -> bool:
    return getattr(view, "koppel_outside_transaction", False)


def moved_to(request: HttpRequest, organisation_id: int) -> bool:
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
