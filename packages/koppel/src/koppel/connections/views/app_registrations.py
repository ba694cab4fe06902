"""The pages of app registrations."""

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.connections.app_registrations import services as registrations
from koppel.connections.app_registrations.redirects import redirect_uri
from koppel.connections.app_registrations.services import AppCheck
from koppel.connections.forms import AppRegistrationForm
from koppel.connections.models import AppRegistration
from koppel.connector.contract import ConsentMode, Descriptor
from koppel.connector.registry import connectors
from koppel.kit.web.decorators import action_of, outside_transaction, query_parameters
from koppel.kit.web.parameters import IDENTIFIER
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission

Way = tuple[ConsentMode, Sequence[str]]
CHECK_OUTCOME_KEY = "app_registration_tested"
"""In the session: the outcome of the last test, shown once."""


@query_parameters(change=IDENTIFIER)
def manage_apps(request: AuthenticatedRequest) -> HttpResponse:
    """Show all that the organisation may use, a form for another one, and for the one to `?change`."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    form = AppRegistrationForm.of(request)
    if request.method == "POST":
        with form.refusals():
            app = registrations.save_app(request.actor, None, form.input)
            messages.success(request, _("App registered. Test it before signing in."))
            return HttpResponseRedirect(f"{request.path}#app-{app.pk}")
    change_id = request.parameters["change"] if request.method == "GET" else None
    return _show_apps(request, form, None, opened_id=change_id)


@action_of("connections:apps")
def change_app(request: AuthenticatedRequest, app_id: int) -> HttpResponse:
    """Change name, client id, and the secret where a new one was typed."""
    request.actor.require(Permission.MANAGE_ORGANISATION)
    registrations.get_own_app(request.actor, app_id)
    form = AppRegistrationForm.of(request)
    with form.refusals():
        registrations.save_app(request.actor, app_id, form.input)
    if form.errors:
        return _show_apps(request, form, app_id)
    messages.success(request, _("App registration changed."))
    return _redirect_to(app_id)


@action_of("connections:apps")
def remove_app(request: AuthenticatedRequest, app_id: int) -> HttpResponse:
    """Remove an app registration that no connection uses."""
    registrations.remove_app(request.actor, app_id)
    messages.success(request, _("App registration and secret removed."))
    return HttpResponseRedirect(reverse("connections:apps"))


@action_of("connections:apps")
@outside_transaction
def check_app(request: AuthenticatedRequest, app_id: int) -> HttpResponse:
    """Make a real call at the vendor; the outcome is shown beside the app."""
    outcome = registrations.check_app(request.actor, app_id)
    request.session[CHECK_OUTCOME_KEY] = {"app": app_id, "is_ok": outcome.is_ok, "message": outcome.message}
    return _redirect_to(app_id)


def _redirect_to(app_id: int) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('connections:apps')}#app-{app_id}")


def _show_apps(
    request: AuthenticatedRequest,
    form: AppRegistrationForm,
    changed_id: int | None,
    *,
    opened_id: int | None = None,
) -> HttpResponse:
    """Show the page. `changed_id`: the registration in the form; None = a new one. `opened_id`: the one whose
    form is open.
    """
    tested = request.session.pop(CHECK_OUTCOME_KEY, None)
    rows = []
    for app in registrations.registrations_of(request.actor):
        descriptor, environment = registrations.descriptor_of(app), registrations.environment_of(app)
        mode = registrations.mode_of(app)
        if descriptor is None or environment is None or mode is None:
            continue
        outcome = (
            AppCheck(is_ok=tested["is_ok"], code="", message=tested["message"])
            if tested and tested["app"] == app.pk
            else None
        )
        scopes = mode.scopes or descriptor.scopes
        row_form = form if app.pk == changed_id else _stored_form(app)
        rows.append((app, descriptor, environment, mode, scopes, outcome, row_form))
    context = {
        "rows": rows,
        "redirect_uri": redirect_uri(),
        "systems": [_consent_modes(registration.descriptor) for registration in connectors().values()],
        "changed_id": changed_id or opened_id,
        "form": form if changed_id is None else AppRegistrationForm(),
        "nav_section": "connections",
    }
    return render(request, "connections/apps.html", context, status=422 if form.errors else 200)


def _stored_form(app: AppRegistration) -> AppRegistrationForm:
    stored = {"name": app.name, "client_id": app.client_id, "refresh_token_days": app.refresh_token_days}
    return AppRegistrationForm(initial=stored)


def _consent_modes(
    descriptor: Descriptor,
) -> tuple[str, list[tuple[str, list[tuple[str, str]]]], list[Way]]:
    """Return (title, [(environment, [(value, mode's title)])], [(mode, scopes)]): what may be chosen for a
    new app.
    """
    modes = {option.key: option for option in descriptor.consent_modes}
    groups = [
        (
            str(environment.title),
            [
                (f"{descriptor.key}/{environment.key}/{key}", str(modes[key].title))
                for key in environment.consent_modes
            ],
        )
        for environment in descriptor.environments
    ]
    return (
        descriptor.title,
        groups,
        [(option, option.scopes or descriptor.scopes) for option in modes.values()],
    )
