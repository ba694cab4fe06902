"""App registrations of the installation: they serve every organisation, and its operator manages them from
the shell.
"""

import structlog
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.connections.app_registrations.services import (
    AppCheck,
    check_with_vendor,
    problems_of,
    register_app,
)
from koppel.connections.errors import NoSuchAppRegistration, RegistrationRefused
from koppel.connections.inputs import AppRegistrationInput
from koppel.connections.models import AppRegistration, ConnectionState
from koppel.connections.vault import clear_app_failures
from koppel.connector.registry import connectors
from koppel.kit.encryption import Secret
from koppel.kit.tenancy import INSTALLATION, installation_scope

log = structlog.get_logger(__name__)


def consent_modes() -> list[str]:
    """Return system, environment and mode, parted by slashes, of every way to sign in that an app can be
    registered for.
    """
    return [
        f"{option.descriptor.key}/{environment.key}/{mode}"
        for option in connectors().values()
        for environment in option.descriptor.environments
        for mode in environment.consent_modes
    ]


def list_apps() -> list[AppRegistration]:
    """Return the apps of the installation, with `connection_count` of live connections in all
    organisations.
    """
    with installation_scope("apps of the installation"):
        return list(_installation_apps())


def add_app(by: str, values: AppRegistrationInput) -> AppRegistration:
    """Add an app of the installation. Raises `RegistrationRefused`."""
    problems = problems_of(None, values)
    with installation_scope("app of the installation"):
        duplicates = _installation_apps().filter(
            connector=values.connector, environment=values.environment, client_id=values.client_id
        )
        if duplicates.exists():
            problems["client_id"] = _("This app is already registered.")
        if problems:
            raise RegistrationRefused(problems)
        app = register_app(
            connector=values.connector,
            environment=values.environment,
            consent_mode=values.consent_mode,
            client_id=values.client_id,
            client_secret=values.client_secret or Secret(""),
            name=values.name,
            refresh_token_days=values.refresh_token_days,
        )
    log.info("app_registration_created", app=app.pk, by=by)
    return app


def remove_app(by: str, app_id: int) -> None:
    """Remove an app and its secret. Raises `NoSuchAppRegistration`, and `RegistrationRefused` while a
    connection of any organisation uses it.
    """
    with installation_scope("app of the installation"):
        app = _get_app(app_id)
        if app.connections.exclude(state=ConnectionState.REMOVED).exists():
            raise RegistrationRefused(
                {"": _("Connections use this app. Remove them first, or sign in again with another app.")}
            )
        AppRegistration.objects.filter(pk=app.pk).update(removed_at=timezone.now(), client_secret=b"")
    log.info("app_registration_removed", app=app_id, by=by)


def check_app(app_id: int) -> AppCheck:
    """Make a real call at the vendor; when all is well, grants that it had failed are tried again. Raises
    `NoSuchAppRegistration`.
    """
    with installation_scope("app of the installation"):
        app = _get_app(app_id)
    outcome = check_with_vendor(app, INSTALLATION)
    if outcome.is_ok:
        with installation_scope("app of the installation"):
            clear_app_failures(app)
    return outcome


def _installation_apps() -> "QuerySet[AppRegistration]":
    live = ~Q(connections__state=ConnectionState.REMOVED)
    apps = AppRegistration.objects.filter(organisation=None, removed_at=None)
    return apps.annotate(connection_count=Count("connections", filter=live, distinct=True)).order_by("pk")


def _get_app(app_id: int) -> AppRegistration:
    app = _installation_apps().filter(pk=app_id).first()
    if app is None:
        raise NoSuchAppRegistration(_("App registration not found; run `koppel app-registrations list`."))
    return app
