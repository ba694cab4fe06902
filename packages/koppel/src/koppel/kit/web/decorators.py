"""Decorators of views: access, transactions, refusals and query parameters."""

from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast

from django.http import HttpRequest
from django.urls import reverse
from django.views.decorators.http import require_POST

from koppel.kit.web.parameters import Parameter, UnknownParameter, unknown_parts, values_of

View = TypeVar("View", bound=Callable[..., Any])


def public(view: View) -> View:
    """Allow calls without sign-in. The view has no scope; `request.actor` is None."""
    view.koppel_public = True  # type: ignore[attr-defined]
    return view


def outside_transaction(view: View) -> View:
    """Let this view open its own scopes, because it calls the vendor or streams between them."""
    view.koppel_outside_transaction = True  # type: ignore[attr-defined]
    return view


def action_of(url_name: str, *parameters: str) -> Callable[[View], View]:
    """Decorate the view of a button: it takes POST only, and is an action of the page `url_name`.

    The page's URL has the view's own `parameters`. A refusal (`KoppelError`) is shown on that page.
    """

    def mark(view: View) -> View:
        view.koppel_page = (url_name, parameters)  # type: ignore[attr-defined]
        return require_POST(view)

    return mark


def shows_refusals_on(template: str, status: HTTPStatus) -> Callable[[View], View]:
    """Decorate a view that shows refusals on a page of its own: `template` with the `message`.

    For visitors who have no page to return to.
    """

    def mark(view: View) -> View:
        view.koppel_refusal_page = (template, status)  # type: ignore[attr-defined]
        return view

    return mark


def refusal_page(view: Callable[..., Any]) -> tuple[str, HTTPStatus] | None:
    """Return the template and status with which a view shows refusals; None if it returns to a page."""
    return getattr(view, "koppel_refusal_page", None)


def page_url(view: Callable[..., Any], path: str, values: Mapping[str, Any]) -> str:
    """Return the URL of the page that a view is an action of; `path` when it is a page itself."""
    url_name, parameters = getattr(view, "koppel_page", ("", ()))
    return reverse(url_name, args=[values[name] for name in parameters]) if url_name else path


def query_parameters(**parameters: Parameter) -> Callable[[View], View]:
    """Declare the query parameters of a page.

    Unknown parameters and invalid values are refused by name instead of ignored; the page is then not
    rendered.
    """

    def mark(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **values: Any) -> Any:
            if parts := unknown_parts(request.GET, parameters):
                raise UnknownParameter(parts)
            request.parameters = values_of(request.GET, parameters)  # type: ignore[attr-defined]
            return view(request, *args, **values)

        wrapper.koppel_parameters = parameters  # type: ignore[attr-defined]
        return cast("View", wrapper)

    return mark


def is_public(view: Callable[..., Any]) -> bool:
    return getattr(view, "koppel_public", False) or getattr(view, "__module__", "").startswith("allauth.")


def runs_outside_transaction(view: Callable[..., Any]) -> bool:
    return getattr(view, "koppel_outside_transaction", False)
