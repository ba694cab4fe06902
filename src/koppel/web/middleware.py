"""What every request passes: language, who acts in which organisation, and the one transaction in its scope."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.db import DataError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import rotate_token
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers

from koppel.audit.models import Door
from koppel.kit import quarantine
from koppel.kit.callers import address_of
from koppel.kit.parameters import UnknownParameter, without
from koppel.kit.quarantine import CODE, SENTENCE, Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import NotAllowed
from koppel.organisations.operators import operator_actor
from koppel.organisations.policy import Actor
from koppel.organisations.sessions import note_seen
from koppel.organisations.sign_in import actor_of
from koppel.web.bearer import SAFE, actor_of_bearer, bearer_of, forged, is_api
from koppel.web.doors import is_public, moved_to, runs_outside_transaction

Handler = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self';"
    " form-action 'self' {forms}; frame-ancestors 'none'; base-uri 'none'"
)


SENDS_LINK = "account_reset_password"
SWITCHES = "own:organisations"
"""Whoever must first set up a second step for one organisation may go and work for another."""


class LanguageMiddleware:
    """The person's own choice, else the choice made in this browser, else what the browser asks for."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        preferred = request.session.get("language", "") or getattr(request.user, "language", "")
        chosen = preferred or translation.get_language_from_request(request)
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
        if is_public(view):
            return _not_yours_to_change(request, view) or _no_link_by_mail(request)
        found = _who_acts(request)
        if not isinstance(found, Actor):
            return found
        request.actor = found  # type: ignore[attr-defined]
        return _refusal(request, found) or _answer(request, found, lambda: view(request, *args, **kwargs), view)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Of views that answer anybody: they are not called by us."""
        return _quarantined(request) if isinstance(exception, Quarantined) else None


def _who_acts(request: HttpRequest) -> Actor | HttpResponseBase:
    """The member behind a token or a session, or the answer for whom is none."""
    address = address_of(request)
    token = bearer_of(request)
    if token is not None:
        return actor_of_bearer(request, token, address)
    if not request.user.is_authenticated:
        return _please_sign_in(request)
    door = Door.API if is_api(request) else Door.SCREEN
    session = request.session
    vouched_by, entered = session.get("vouched_by"), session.get("operator_in")
    actor = operator_actor(request.user.pk, entered, address) if entered and not vouched_by else None
    if entered and actor is None and _has_lost(request):
        return _elsewhere(request)
    actor = actor or actor_of(request.user.pk, session.get("organisation"), address, door, vouched_by=vouched_by)
    if actor is None:
        return _no_organisation(request)
    if not actor.is_operator and moved_to(request, actor.organisation_id) and request.method not in SAFE:
        return _elsewhere(request)
    note_seen(str(request.session.session_key), actor.organisation_id, address)
    return (forged(request) if is_api(request) else None) or actor


def _has_lost(request: HttpRequest) -> bool:
    """The organisation that an operator looked into lets them in no longer, and its pages still lie open. True when this
    request comes from one of them, for all that can be known: it must not happen in the operator's own organisation."""
    del request.session["operator_in"]
    rotate_token(request)
    return request.method not in SAFE


def _not_yours_to_change(request: HttpRequest, view: Callable[..., HttpResponseBase]) -> HttpResponseBase | None:
    """A session that one organisation's identity provider opened cannot touch what proves the person to the others."""
    is_about_proof = getattr(view, "__module__", "").startswith("allauth.") and "/logout/" not in request.path
    if not is_about_proof or "vouched_by" not in request.session or not request.user.is_authenticated:
        return None
    return render(request, "web/vouched.html", status=403)


def _refusal(request: HttpRequest, actor: Actor) -> HttpResponseBase | None:
    """For who must first set up a second step: everything. For who may only look: every request that could change something."""
    switches = request.resolver_match is not None and request.resolver_match.view_name == SWITCHES
    if actor.needs_second_step and switches and request.method == "POST":
        return None
    if actor.needs_second_step and is_api(request):
        return JsonResponse({"error": "second_step_needed"}, status=403)
    if actor.needs_second_step:
        return HttpResponseRedirect(reverse("own:second_step_needed"))
    if not actor.read_only or request.method in SAFE:
        return None
    if is_api(request):
        return JsonResponse({"error": "read_only"}, status=403)
    return _not_allowed(request, actor.organisation_id, NotAllowed("read_only"))


def _answer(
    request: HttpRequest, actor: Actor, act: Callable[[], HttpResponseBase], view: Callable[..., HttpResponseBase]
) -> HttpResponseBase:
    structlog.contextvars.bind_contextvars(organisation=actor.organisation_id, user=actor.user_id)
    try:
        if runs_outside_transaction(view):
            return act()
        with organisation_scope(actor.organisation_id):
            response = _rendered(act())
            if is_api(request) and response.status_code >= HTTPStatus.BAD_REQUEST:
                # The API turns errors into answers; what the refused call had begun to write must not stay.
                transaction.set_rollback(True)
            return response
    except NotAllowed as refusal:
        return _not_allowed(request, actor.organisation_id, refusal)
    except UnknownParameter as refusal:
        return _unknown(request, actor.organisation_id, refusal)
    except Quarantined:
        return _quarantined(request)
    except DataError as error:
        if not _is_about_nul(error):
            raise
        return _unwritable(request)
    finally:
        structlog.contextvars.clear_contextvars()


def _unknown(request: HttpRequest, organisation_id: int, refusal: UnknownParameter) -> HttpResponseBase:
    """A filter that does not exist: a page with what was refused, and no rows. Left out, it would show everything."""
    asked = [part.name in request.GET and not part.more for part in refusal.parts]
    parts = [
        (part.sentence, f"?{without(request.GET, part)}" if is_asked else "")
        for part, is_asked in zip(refusal.parts, asked, strict=True)
    ]
    with organisation_scope(organisation_id):
        return render(request, "web/unknown_parameter.html", {"parts": parts}, status=422)


def _no_link_by_mail(request: HttpRequest) -> HttpResponseBase | None:
    """In quarantine no link for another password is sent; said before anybody looks whether such a person exists."""
    match = request.resolver_match
    asks = request.method == "POST" and match is not None and match.view_name == SENDS_LINK
    return _quarantined(request) if asks and quarantine.current() else None


def _quarantined(request: HttpRequest) -> HttpResponseBase:
    """What was asked would have left the installation; nothing of it was done."""
    if is_api(request):
        return JsonResponse({"error": CODE, "sentence": str(SENTENCE)}, status=503)
    return render(request, "web/quarantined.html", {"sentence": SENTENCE}, status=503)


def _is_about_nul(error: DataError) -> bool:
    """A text with NUL in it, which PostgreSQL neither keeps nor looks for. Nobody types it; programs that try doors do."""
    return "NUL (0x00)" in str(error) or "\\u0000" in str(error)


def _unwritable(request: HttpRequest) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "nul_in_text"}, status=422)
    raise BadRequest("NUL in a text")


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    """Template responses render late; render them while the scope is open."""
    render_now = getattr(response, "render", None)
    return render_now() if callable(render_now) else response


def _please_sign_in(request: HttpRequest) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "sign_in_needed"}, status=401, headers={"WWW-Authenticate": "Bearer"})
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": f"{settings.LOGIN_REDIRECT_URL}"})
    return redirect_to_login(request.get_full_path())


def _elsewhere(request: HttpRequest) -> HttpResponseBase:
    """What was asked was meant for an organisation that the person no longer works in; it must not happen in the next one."""
    if is_api(request):
        return JsonResponse({"error": "other_organisation"}, status=409)
    return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL)


def _no_organisation(request: HttpRequest) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "no_organisation"}, status=403)
    return render(request, "web/no_organisation.html", status=403)


def _not_allowed(request: HttpRequest, organisation_id: int, refusal: NotAllowed) -> HttpResponseBase:
    if is_api(request):
        return JsonResponse({"error": "not_allowed", "permission": refusal.permission}, status=403)
    with organisation_scope(organisation_id):
        return render(request, "web/not_allowed.html", {"permission": refusal.permission}, status=403)
