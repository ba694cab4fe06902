"""Connections → App registrations: how the vendors know Koppel."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.connections.app_registrations import services as registrations
from koppel.connections.app_registrations.redirects import redirect_uri
from koppel.connections.app_registrations.services import AppCheck, AppRegistrationInput
from koppel.connections.errors import NoSuchConnection, RegistrationRefused
from koppel.connector.contract import ConsentMode, Descriptor
from koppel.connector.registry import connectors
from koppel.kit.encryption import Secret
from koppel.kit.web.decorators import outside_transaction
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

Way = tuple[ConsentMode, Sequence[str]]
TESTED = "app_registration_tested"
"""In the session: the outcome of the last test, shown once."""


def manage_apps(request: AuthenticatedRequest) -> HttpResponse:
    """Show all that the organisation may use, and a form for another one."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    problems: dict[str, str] = {}
    if request.method == "POST":
        option = request.POST.get("consent_option", "").split("/")
        connector_key, environment, mode = option if len(option) == 3 else ("", "", "")
        try:
            app = registrations.save_app(request.actor, None, _values(request, connector_key, environment, mode))
        except RegistrationRefused as refusal:
            problems = dict(refusal.problems)
        else:
            messages.success(request, _("The app is registered. Test it before you sign in with it."))
            return HttpResponseRedirect(f"{request.path}#app-{app.pk}")
    return _page(request, problems, None)


@require_POST
def change_app(request: AuthenticatedRequest, app_id: int) -> HttpResponse:
    """Change name, client id, and the secret where a new one was typed."""
    try:
        registrations.save_app(request.actor, app_id, _values(request, "", "", ""))
    except NoSuchConnection:
        raise Http404 from None
    except RegistrationRefused as refusal:
        return _page(request, dict(refusal.problems), app_id)
    messages.success(request, _("The app registration was changed."))
    return _back(app_id)


@require_POST
def remove_app(request: AuthenticatedRequest, app_id: int) -> HttpResponse:
    """Take an unused one away."""
    try:
        registrations.remove_app(request.actor, app_id)
    except NoSuchConnection:
        raise Http404 from None
    except RegistrationRefused as refusal:
        messages.error(request, str(refusal))
        return _back(app_id)
    messages.success(request, _("The app registration was removed, with its secret."))
    return HttpResponseRedirect(reverse("connections:apps"))


@require_POST
@outside_transaction
def check_app(request: AuthenticatedRequest, app_id: int) -> HttpResponse:
    """Make a real call at the vendor; the outcome is shown beside the app."""
    try:
        outcome = registrations.check_app(request.actor, app_id)
    except NoSuchConnection:
        raise Http404 from None
    request.session[TESTED] = {"app": app_id, "is_well": outcome.is_well, "message": outcome.message}
    return _back(app_id)


def _back(app_id: int) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('connections:apps')}#app-{app_id}")


def _values(request: AuthenticatedRequest, connector_key: str, environment: str, mode: str) -> AppRegistrationInput:
    secret = request.POST.get("client_secret", "").strip().replace("\0", "")
    return AppRegistrationInput(
        connector=connector_key,
        environment=environment,
        consent_mode=mode,
        client_id=request.POST.get("client_id", "").strip().replace("\0", ""),
        client_secret=Secret(secret) if secret else None,
        name=request.POST.get("name", "").strip().replace("\0", "")[:120],
        refresh_token_days=_days(request.POST.get("refresh_token_days", "").strip()),
    )


def _days(text: str) -> int | None:
    """Return the number; None when nothing was entered; what is no number is out of range."""
    return (int(text) if text.isdecimal() and len(text) < 6 else 0) if text else None


def _page(request: AuthenticatedRequest, problems: dict[str, str], changed: int | None) -> HttpResponse:
    """Show the page. `changed`: the app whose form had the problems; None = the form for a new one."""
    tested = request.session.pop(TESTED, None)
    rows = []
    for app in registrations.registrations_of(request.actor):
        descriptor, environment = registrations.descriptor_of(app), registrations.environment_of(app)
        mode = registrations.mode_of(app)
        if descriptor is None or environment is None or mode is None:
            continue
        outcome = AppCheck(tested["is_well"], "", tested["message"]) if tested and tested["app"] == app.pk else None
        scopes = mode.scopes or descriptor.scopes
        rows.append((app, descriptor, environment, mode, scopes, outcome))
    context = {
        "rows": rows,
        "redirect_uri": redirect_uri(),
        "systems": [_consent_options(registration.descriptor) for registration in connectors().values()],
        "problems": problems,
        "changed": changed,
        "form_data": request.POST if problems else {},
        "nav_section": "connections",
    }
    return render(request, "connections/apps.html", context, status=422 if problems else 200)


def _consent_options(descriptor: Descriptor) -> tuple[str, list[tuple[str, list[tuple[str, str]]]], list[Way]]:
    """Return (title, [(environment, [(value, mode's title)])], [(mode, scopes)]): what may be chosen for a new
    app."""
    modes = {option.key: option for option in descriptor.consent_modes}
    groups = [
        (
            str(environment.title),
            [(f"{descriptor.key}/{environment.key}/{key}", str(modes[key].title)) for key in environment.consent_modes],
        )
        for environment in descriptor.environments
    ]
    return descriptor.title, groups, [(option, option.scopes or descriptor.scopes) for option in modes.values()]
