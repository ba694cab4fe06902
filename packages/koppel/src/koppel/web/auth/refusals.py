"""The response to a refused request: the one place for all pages, and for refusals of REST before an
operation begins.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.kit.errors import KoppelError
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.decorators import page_url, refusal_page
from koppel.kit.web.parameters import UnknownParameter, removal_links
from koppel.organisations.errors import NotAllowed, RecentSignInRequired
from koppel.organisations.requests import REAUTHENTICATION
from koppel.organisations.sso.services import provider_of
from koppel.web.auth.api_authentication import SAFE, is_api


def refusal_response(
    request: HttpRequest,
    error: KoppelError,
    organisation_id: int | None,
    view: Callable[..., Any],
    values: Mapping[str, Any],
) -> HttpResponseBase:
    """Return the response to a refused request, after its transaction was rolled back.

    A refused form or button leads back to its page, which shows the message; a page that cannot be shown says
    why. A view that belongs to no organisation (`organisation_id` is None) shows the refusal itself. Raises
    `Http404`.
    """
    if is_api(request):
        return json_refusal(error)
    if error.status == HTTPStatus.NOT_FOUND and not (error.is_about_input and request.method not in SAFE):
        raise Http404
    if isinstance(error, Quarantined):
        return render(request, "web/quarantined.html", {"message": error.message}, status=error.status)
    if error.is_about_input and (page := refusal_page(view)):
        template, status = page
        return render(request, template, {"message": error.message}, status=status)
    if organisation_id is None:
        return _refused_page(request, error)
    with organisation_scope(organisation_id):
        return _refusal_page(request, error, organisation_id, view, values)


def too_many_requests_page(request: HttpRequest, error: KoppelError) -> HttpResponse:
    """Return a page that says when to try again, without a query."""
    context = {"message": error.message, "language": getattr(request, "LANGUAGE_CODE", "en")}
    return _with_headers(render(request, "web/request_refused.html", context, status=error.status), error)


def json_refusal(error: KoppelError) -> JsonResponse:
    """Return the refusal in the form of REST."""
    return JsonResponse(
        {"error": error.code, **error.details}, status=error.status, headers=dict(error.headers)
    )


def _refusal_page(
    request: HttpRequest,
    error: KoppelError,
    organisation_id: int,
    view: Callable[..., Any],
    values: Mapping[str, Any],
) -> HttpResponseBase:
    if isinstance(error, RecentSignInRequired):
        return _redirect_to_sign_in(request, organisation_id, page_url(view, request.get_full_path(), values))
    if isinstance(error, NotAllowed):
        return render(request, "web/not_allowed.html", {"permission": error.permission}, status=error.status)
    if isinstance(error, UnknownParameter):
        return _unknown_parameter_page(request, error)
    if request.method in SAFE:
        return _refused_page(request, error)
    messages.error(request, error.message or _("This is not possible."))
    return HttpResponseRedirect(page_url(view, request.get_full_path(), values))


def _redirect_to_sign_in(request: HttpRequest, organisation_id: int, return_url: str) -> HttpResponseRedirect:
    """Redirect to the identity provider that opened the session, or to the page of re-authentication."""
    messages.info(request, _("Sign in again to continue, then repeat the last step."))
    provider = provider_of(organisation_id) if "sso_organisation_id" in request.session else None
    if provider is not None:
        request.session[REAUTHENTICATION] = True
        return HttpResponseRedirect(reverse("sign_in_through", args=[provider.pk]))
    return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': return_url})}")


def _unknown_parameter_page(request: HttpRequest, error: UnknownParameter) -> HttpResponse:
    """Return a page that names the refused parameters, without rows: ignoring a filter would show
    everything.
    """
    links = removal_links(request, error.parts)
    parts = [(message, "" if query is None else f"?{query}") for message, query in links]
    return render(request, "web/unknown_parameter.html", {"parts": parts}, status=error.status)


def _refused_page(request: HttpRequest, error: KoppelError) -> HttpResponse:
    page = render(request, "web/refused.html", {"message": error.message}, status=error.status)
    return _with_headers(page, error)


def _with_headers(page: HttpResponse, error: KoppelError) -> HttpResponse:
    for name, value in error.headers.items():
        page.headers[name] = value
    return page
