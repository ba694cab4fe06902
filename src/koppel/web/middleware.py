"""What every request passes: language, who acts in which organisation, and the one transaction in its scope."""

from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import translation
from django.utils.cache import patch_vary_headers

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import NotAllowed
from koppel.organisations.services import actor_of
from koppel.web.doors import is_public, runs_outside_transaction

Handler = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self' {forms}; frame-ancestors 'none'; base-uri 'none'"
)


class LanguageMiddleware:
    """The person's own choice, else the choice made in this browser, else what the browser asks for."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        chosen = getattr(request.user, "language", "") or translation.get_language_from_request(request)
        with translation.override(chosen):
            request.LANGUAGE_CODE = chosen
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", chosen)
        patch_vary_headers(response, ("Accept-Language",))
        return response


class ContentSecurityPolicyMiddleware:
    """Nothing is loaded from elsewhere and no inline script runs. `request.csp_forms` names hosts that a form may lead to."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        forms = " ".join(getattr(request, "csp_forms", ()))
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY.format(forms=forms))
        return response


class ActorMiddleware:
    """Closed by default: a view is for signed-in members unless `doors.public` says otherwise.

    The view runs in one transaction scoped to the actor's organisation, unless `doors.outside_transaction` says that it
    opens its own (it calls the vendor, or streams)."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        request.actor = None  # type: ignore[attr-defined]
        if not request.user.is_authenticated:
            return None if is_public(view) else _please_sign_in(request)
        actor = actor_of(request.user, request.session.get("organisation"), request.META.get("REMOTE_ADDR", ""))
        if is_public(view):
            return None
        if actor is None:
            return render(request, "web/no_organisation.html", status=403)
        request.actor = actor  # type: ignore[attr-defined]
        structlog.contextvars.bind_contextvars(organisation=actor.organisation_id, user=actor.user_id)
        try:
            if runs_outside_transaction(view):
                return view(request, *args, **kwargs)
            with organisation_scope(actor.organisation_id):
                return _rendered(view(request, *args, **kwargs))
        except NotAllowed as refusal:
            return _not_allowed(request, actor.organisation_id, refusal)
        finally:
            structlog.contextvars.clear_contextvars()


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """Template responses render late; render them while the scope is open."""
    render_now = getattr(response, "render", None)
    return render_now() if callable(render_now) else response


def _please_sign_in(request: HttpRequest) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        return HttpResponse('{"error": "sign_in_needed"}', status=401, content_type="application/json")
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": f"{settings.LOGIN_REDIRECT_URL}"})
    return redirect_to_login(request.get_full_path())


def _not_allowed(request: HttpRequest, organisation_id: int, refusal: NotAllowed) -> HttpResponseBase:
    if request.path.startswith("/api/"):
        return HttpResponse('{"error": "not_allowed"}', status=403, content_type="application/json")
    with organisation_scope(organisation_id):
        return render(request, "web/not_allowed.html", {"permission": refusal.permission}, status=403)
