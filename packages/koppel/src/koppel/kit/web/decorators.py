"""Decorators of views: who may call them, and who opens the transaction."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.http import HttpRequest

from koppel.kit.web.parameters import Parameter, UnknownParameter, unknown_parts, values_of

View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Let anybody call this view. It has no scope; `request.actor` is None."""
    view.koppel_public = True  # type: ignore[attr-defined]
    return view


def outside_transaction(view: View) -> View:
    """Let this view open its own scopes, because it calls the vendor or streams between them."""
    view.koppel_outside_transaction = True  # type: ignore[attr-defined]
    return view


def takes(**parameters: Parameter) -> Callable[[View], View]:
    """Declare the query parameters of a page. Any other parameter, or an impossible value, is refused by name
    instead of being ignored; the page is not rendered.
    """

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


def is_public(view: Callable[..., Any]) -> bool:
    return getattr(view, "koppel_public", False) or getattr(view, "__module__", "").startswith("allauth.")


def runs_outside_transaction(view: Callable[..., Any]) -> bool:
    return getattr(view, "koppel_outside_transaction", False)
