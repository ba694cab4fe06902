"""App registrations of the installation: they serve every organisation, and are kept by whoever runs it, from the shell."""

import structlog
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.connections.app_registrations.services import AppValues, Tested, ask_vendor, problems_of, register_app
from koppel.connections.errors import NoSuchConnection, RegistrationRefused
from koppel.connections.models import AppRegistration, ConnectionState
from koppel.connections.vault.grants import forgive_app
from koppel.connector.registry import connectors
from koppel.kit.secrets import Secret
from koppel.kit.tenancy import installation_scope

log = structlog.get_logger(__name__)


def places() -> list[str]:
    """`system/environment/way` of every way to sign in that an app can be registered for."""
    return [
        f"{one.descriptor.key}/{environment.key}/{mode}"
        for one in connectors().values()
        for environment in one.descriptor.environments
        for mode in environment.consent_modes
    ]


def apps() -> list[AppRegistration]:
    """With `connection_count` of live connections in all organisations."""
    with installation_scope("apps of the installation"):
        return list(_own())


def add_app(by: str, values: AppValues) -> AppRegistration:
    """Raises `RegistrationRefused`."""
    problems = problems_of(None, values)
    with installation_scope("app of the installation"):
        twin = _own().filter(connector=values.connector, environment=values.environment, client_id=values.client_id)
        if twin.exists():
            problems["client_id"] = _("This app is registered here already.")
        if problems:
            raise RegistrationRefused(problems)
        made = register_app(
            connector=values.connector,
            environment=values.environment,
            consent_mode=values.consent_mode,
            client_id=values.client_id,
            client_secret=values.client_secret or Secret(""),
            name=values.name,
            refresh_days=values.refresh_days,
        )
    log.info("app_registration_made", app=made.pk, by=by)
    return made


def remove_app(by: str, app_id: int) -> None:
    """With its secret. Raises `NoSuchConnection`, `RegistrationRefused` when a connection of any organisation uses it."""
    with installation_scope("app of the installation"):
        app = _one(app_id)
        if app.connections.exclude(state=ConnectionState.REMOVED).exists():
            raise RegistrationRefused(
                {"": _("Connections use this app. Remove them first, or sign them in with another app.")}
            )
        AppRegistration.objects.filter(pk=app.pk).update(removed_at=timezone.now(), client_secret=b"")
    log.info("app_registration_removed", app=app_id, by=by)


def try_app(app_id: int) -> Tested:
    """A real call at the vendor; when all is well, grants that it had failed are tried again. Raises `NoSuchConnection`."""
    with installation_scope("app of the installation"):
        app = _one(app_id)
    outcome = ask_vendor(app)
    if outcome.is_well:
        with installation_scope("app of the installation"):
            forgive_app(app)
    return outcome


def _own() -> "QuerySet[AppRegistration]":
    live = ~Q(connections__state=ConnectionState.REMOVED)
    found = AppRegistration.objects.filter(organisation=None, removed_at=None)
    return found.annotate(connection_count=Count("connections", filter=live, distinct=True)).order_by("pk")


def _one(app_id: int) -> AppRegistration:
    found = _own().filter(pk=app_id).first()
    if found is None:
        raise NoSuchConnection(_("There is no such app registration; `koppel app-registrations list` has them."))
    return found
