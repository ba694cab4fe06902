"""Middleware of every request: language, actor, organisation, and one transaction in its scope."""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.db import DataError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _

from koppel.audit.models import Interface
from koppel.audit.services import actor_scope
from koppel.kit import quarantine
from koppel.kit.database.outage import sqlstate_of
from koppel.kit.errors import KoppelError
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.client_ip import client_ip
from koppel.kit.web.decorators import is_public, runs_outside_transaction
from koppel.kit.web.token_buckets import TokenBuckets
from koppel.organisations.access.actors import list_organisations, resolve_actor
from koppel.organisations.access.api_tokens import resolve_token_actor
from koppel.organisations.access.sessions import touch_session
from koppel.organisations.audit_actions import SignInAction
from koppel.organisations.errors import NotAllowed
from koppel.organisations.people.operators import operator_actor
from koppel.organisations.requests import switch_organisation
from koppel.organisations.roles import Actor
from koppel.organisations.sso.services import provider_of
from koppel.web.auth.api_authentication import SAFE, csrf_failure, get_bearer, is_api
from koppel.web.auth.refusals import json_refusal, refusal_response, too_many_requests_page
from koppel.web.auth.security_log import record_refused_permission, record_request_refused
from koppel.web.server.wsgi_environ import ORGANISATION_ID

Handler = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self';"
    " form-action 'self' {forms}; frame-ancestors 'none'; base-uri 'none'"
)


SENDS_LINK = "account_reset_password"
SIGN_OUT_URL_NAME = "account_logout"
TIME_OUT_STATES = ("55P03", "57014")
"""A lock that was not free in time; a statement that took too long."""
log = structlog.get_logger(__name__)
LINK_URL_NAME = "sign_in_link"
"""A member links the identity provider's sign-in in a session of their own."""
SWITCH_URL_NAME = "account:organisations"
"""A person who must first set up a second step for one organisation may switch to another."""


class DatabaseBusy(KoppelError):
    """A statement or a wait for a lock took longer than a request may."""

    code = "database_busy"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self) -> None:
        super().__init__(_("This took too long and was stopped; nothing was changed. Try again later."))

    @property
    def headers(self) -> Mapping[str, str]:
        return {"Retry-After": "30"}


class _SessionRateLimit:
    """The limit on requests of a session, and of all sessions of an organisation."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        per_minute = settings.SESSION_REQUESTS_PER_MINUTE
        self._sessions = TokenBuckets(per_minute=per_minute, burst=per_minute // 2, monotonic=monotonic)
        self._organisations = TokenBuckets(
            per_minute=5 * per_minute, burst=2 * per_minute, monotonic=monotonic
        )

    def count_request(self, session_key: str, organisation_id: int) -> None:
        """Count a request. Raises `TooManyRequests`."""
        self._sessions.spend(session_key)
        self._organisations.spend(organisation_id)


_requests = _SessionRateLimit()


class LanguageMiddleware:
    """Uses the person's choice, else this browser's, else the browser's preference."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        preferred = request.session.get("language", "") or getattr(request.user, "language", "")
        language = preferred or translation.get_language_from_request(request)
        with translation.override(language):
            request.LANGUAGE_CODE = language
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ("Accept-Language",))
        return response


class ContentSecurityPolicyMiddleware:
    """Forbids content from other hosts and inline scripts. `request.csp_forms` names hosts that a form may
    lead to.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        forms = " ".join(getattr(request, "csp_forms", ()))
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY.format(forms=forms))
        return response


class NoStoreMiddleware:
    """Keeps pages out of the caches of browsers and proxies, unless a view says otherwise. Static files do
    not pass this middleware.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        directives = response.headers.get("Cache-Control", "").replace(" ", "").split(",")
        if "no-store" not in directives and "private" not in directives:
            response.headers["Cache-Control"] = "no-store, private"
        return response


class ActorMiddleware:
    """Closed by default: a view is for signed-in members unless it is `public`.

    The view runs in one transaction scoped to the actor's organisation, unless it is `outside_transaction`
    and opens its own (it calls the vendor, or streams).
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            record_request_refused(request, SignInAction.THROTTLED)
        return response

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        request.actor = None  # type: ignore[attr-defined]
        if is_public(view):
            refusal = _refuse_sso_session(request, view) or _refuse_reset_in_quarantine(request)
            if refusal is None and _is_allauth_view(view):
                request.frame_actor = _navigation_actor(request)  # type: ignore[attr-defined]
            return refusal
        try:
            actor_or_response = _authenticate(request)
        except KoppelError as error:  # an API token that may not come in, or too many requests
            if error.status == HTTPStatus.UNAUTHORIZED:
                record_request_refused(request, SignInAction.TOKEN_REFUSED)
            return json_refusal(error) if is_api(request) else too_many_requests_page(request, error)
        if not isinstance(actor_or_response, Actor):
            return actor_or_response
        request.actor = actor_or_response  # type: ignore[attr-defined]
        return _check_restrictions(request, actor_or_response, view, kwargs) or _call_view(
            request, actor_or_response, view, args, kwargs
        )

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Handle exceptions of public views, which this middleware does not call."""
        match = request.resolver_match
        if not isinstance(exception, KoppelError) or match is None:
            return None
        return refusal_response(request, exception, None, match.func, match.kwargs)


def _authenticate(request: HttpRequest) -> Actor | HttpResponseBase:
    """Return the member of a token or session, or a response for anybody else."""
    address = client_ip(request)
    token = get_bearer(request)
    if token is not None:
        return resolve_token_actor(token, address)
    if not request.user.is_authenticated:
        return _sign_in_required(request)
    interface = Interface.API if is_api(request) else Interface.WEB
    session = request.session
    sso_organisation_id, entered = session.get("sso_organisation_id"), session.get("operator_in")
    actor = operator_actor(request.user.pk, entered, address) if entered and not sso_organisation_id else None
    if entered and actor is None and _end_operator_access(request):
        return _organisation_changed(request)
    actor = actor or resolve_actor(
        request.user.pk,
        session.get("organisation"),
        address,
        interface,
        sso_organisation_id=sso_organisation_id,
    )
    if actor is None:
        return _no_organisation(request)
    if (
        not actor.is_operator
        and switch_organisation(request, actor.organisation_id)
        and request.method not in SAFE
    ):
        return _organisation_changed(request)
    _requests.count_request(str(request.session.session_key), actor.organisation_id)
    touch_session(str(request.session.session_key), actor.organisation_id, address)
    return (csrf_failure(request) if is_api(request) else None) or actor


def _view_name(request: HttpRequest) -> str:
    """Return the name of the page's route. Its path may hold text of the client, so it proves nothing."""
    return request.resolver_match.view_name if request.resolver_match is not None else ""


def _is_allauth_view(view: Callable[..., HttpResponseBase]) -> bool:
    return getattr(view, "__module__", "").startswith("allauth.")


def _navigation_actor(request: HttpRequest) -> Actor | None:
    """Return the member whose navigation allauth's pages about one's own account show.

    These pages act on the account and not in an organisation: `request.actor` stays None and they have no
    scope. Returns None without a member, before a required second factor, for an operator inside an
    organisation, and when the person is no longer a member of the session's organisation.
    """
    session = request.session
    if not request.user.is_authenticated or session.get("operator_in"):
        return None
    organisation_id = session.get("organisation")
    actor = resolve_actor(
        request.user.pk,
        organisation_id,
        client_ip(request),
        Interface.WEB,
        sso_organisation_id=session.get("sso_organisation_id"),
    )
    is_barred = actor is not None and _is_barred(actor)
    if actor is None or is_barred or organisation_id not in (None, actor.organisation_id):
        return None
    return actor


def _end_operator_access(request: HttpRequest) -> bool:
    """End an operator's access that the organisation no longer grants. Return whether to refuse the request:
    a form of that organisation must not act in the operator's own.
    """
    del request.session["operator_in"]
    rotate_token(request)
    return request.method not in SAFE


def _refuse_sso_session(
    request: HttpRequest, view: Callable[..., HttpResponseBase]
) -> HttpResponseBase | None:
    """Refuse pages of credentials in a session that an identity provider opened: the credentials protect
    other organisations too.
    """
    is_account_page = _is_allauth_view(view) and _view_name(request) != SIGN_OUT_URL_NAME
    if (
        not is_account_page
        or "sso_organisation_id" not in request.session
        or not request.user.is_authenticated
    ):
        return None
    return render(request, "web/managed_by_identity_provider.html", status=403)


def _check_restrictions(
    request: HttpRequest, actor: Actor, view: Callable[..., HttpResponseBase], values: dict[str, Any]
) -> HttpResponseBase | None:
    """Refuse everything from a network that is not allowed, everything before a required second step is set
    up, or in a session that a required identity provider did not open, and every changing request of a
    read-only actor.
    """
    view_name = _view_name(request)
    if _is_barred(actor):
        is_switching = view_name == SWITCH_URL_NAME and request.method == "POST"
        is_linking = view_name == LINK_URL_NAME and not actor.is_outside_networks and not actor.must_enrol_mfa
        return None if is_switching or is_linking else _refuse_access(request, actor)
    if not actor.read_only or request.method in SAFE:
        return None
    if is_api(request):
        return JsonResponse({"error": "read_only"}, status=403)
    return refusal_response(request, NotAllowed("read_only"), actor.organisation_id, view, values)


def _is_barred(actor: Actor) -> bool:
    """Return whether the organisation does not let this session in."""
    return actor.must_enrol_mfa or actor.is_outside_networks or actor.must_use_sso


def _refuse_access(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Refuse a member outside the organisation's networks or without the second step that it requires; other
    organisations may admit them.
    """
    if is_api(request):
        return JsonResponse({"error": _refusal_code(actor)}, status=403)
    if not actor.is_outside_networks and not actor.must_use_sso:
        return HttpResponseRedirect(reverse("account:second_step_needed"))
    choices = list_organisations(actor.user_id, only=request.session.get("sso_organisation_id"))
    others = [choice for choice in choices if choice.organisation_id != actor.organisation_id]
    context: dict[str, Any] = {"address": actor.ip_address, "others": others}
    if actor.is_outside_networks:
        return render(request, "web/network_not_allowed.html", context, status=403)
    with organisation_scope(actor.organisation_id):
        context |= {"provider": provider_of(actor.organisation_id), "must_enrol_mfa": actor.must_enrol_mfa}
        return render(request, "web/single_sign_on_required.html", context, status=403)


def _refusal_code(actor: Actor) -> str:
    if actor.is_outside_networks:
        return "network_not_allowed"
    return "single_sign_on_required" if actor.must_use_sso else "second_step_needed"


def _call_view(
    request: HttpRequest,
    actor: Actor,
    view: Callable[..., HttpResponseBase],
    args: tuple[Any, ...],
    values: dict[str, Any],
) -> HttpResponseBase:
    structlog.contextvars.bind_contextvars(organisation=actor.organisation_id, user=actor.user_id)
    request.META[ORGANISATION_ID] = actor.organisation_id
    try:
        with actor_scope(actor.audit):
            response = _run_view(request, actor, view, args, values)
        if permission := getattr(request, "refused_permission", ""):
            record_refused_permission(actor, permission)
        return response
    except KoppelError as error:
        if isinstance(error, NotAllowed):
            record_refused_permission(actor, error.permission)
        return refusal_response(request, error, actor.organisation_id, view, values)
    except DataError as error:
        if not _is_nul_error(error):
            raise
        return _nul_response(request)
    except OperationalError as error:
        if sqlstate_of(error) not in TIME_OUT_STATES:
            raise
        log.warning("request_took_too_long", path=request.path, sqlstate=sqlstate_of(error))
        busy = DatabaseBusy()
        return json_refusal(busy) if is_api(request) else too_many_requests_page(request, busy)
    finally:
        structlog.contextvars.clear_contextvars()


def _run_view(
    request: HttpRequest,
    actor: Actor,
    view: Callable[..., HttpResponseBase],
    args: tuple[Any, ...],
    values: dict[str, Any],
) -> HttpResponseBase:
    if runs_outside_transaction(view):
        return view(request, *args, **values)
    with organisation_scope(actor.organisation_id):
        response = _render(view(request, *args, **values))
        if is_api(request) and response.status_code >= HTTPStatus.BAD_REQUEST:
            # The API turns errors into answers; what the refused call had begun to write must not stay.
            transaction.set_rollback(True)
        return response


def _refuse_reset_in_quarantine(request: HttpRequest) -> HttpResponseBase | None:
    """Refuse to send a link for a new password in quarantine, before a query for the person."""
    is_reset_request = request.method == "POST" and _view_name(request) == SENDS_LINK
    return (
        refusal_response(request, Quarantined(), None, lambda: None, {})
        if is_reset_request and quarantine.current()
        else None
    )


def _is_nul_error(error: DataError) -> bool:
    """Return whether a text had a NUL, which PostgreSQL cannot store. Only programs that probe a server send
    one.
    """
    return "NUL (0x00)" in str(error) or "\\u0000" in str(error)


def _nul_response(request: HttpRequest) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "nul_in_text"}, status=422)
    raise BadRequest("NUL in a text")


def _render(response: HttpResponseBase) -> HttpResponseBase:
    """Render template responses, which render late, while the scope is open."""
    render_now = getattr(response, "render", None)
    return render_now() if callable(render_now) else response


def _sign_in_required(request: HttpRequest) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "sign_in_needed"}, status=401, headers={"WWW-Authenticate": "Bearer"})
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": resolve_url(settings.LOGIN_REDIRECT_URL)})
    return redirect_to_login(request.get_full_path())


def _organisation_changed(request: HttpRequest) -> HttpResponseBase:
    """Refuse a request that was sent for an organisation in which the person no longer works: it must not
    change the next one.
    """
    if is_api(request):
        return JsonResponse({"error": "other_organisation"}, status=409)
    return redirect(settings.LOGIN_REDIRECT_URL)


def _no_organisation(request: HttpRequest) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "no_organisation"}, status=403)
    return render(request, "web/no_organisation.html", status=403)
