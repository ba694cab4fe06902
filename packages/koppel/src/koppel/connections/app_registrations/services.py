"""Use cases of app registrations: Koppel's client id and secret at a vendor, for one environment and one
consent mode.

The operator manages the installation's registrations, which serve every organisation; an Administrator
manages the organisation's own. A stored secret is never shown again.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.app_registrations.redirects import redirect_uri
from koppel.connections.audit_actions import AppRegistrationAction
from koppel.connections.errors import NoSuchAppRegistration, RegistrationRefused
from koppel.connections.inputs import AppRegistrationInput
from koppel.connections.models import AppRegistration, ConnectionState
from koppel.connections.sessions import Runtime, call_vendor_blocking
from koppel.connections.vault import (
    KEY_MISSING,
    TokenPauses,
    clear_app_failures,
    credentials,
    pause_sentence,
    token_pause_seconds,
)
from koppel.connections.vendor_http import OriginRestrictedHttp, base_urls_of
from koppel.connector.contract import ConsentMode, Descriptor, Environment
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connectors
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.encryption.fields import encrypt_column
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.sentences import render_sentence
from koppel.kit.web.token_buckets import TokenBuckets
from koppel.organisations.roles import Actor, Permission

CLIENT_ID_CHARACTERS_MAX = 200
REFRESH_TOKEN_DAYS_MAX = 3650
CHECKS_PER_MINUTE, CHECKS_BURST = 6, 10
"""Checks of one app by one organisation, per process."""
_checks = TokenBuckets(per_minute=CHECKS_PER_MINUTE, burst=CHECKS_BURST)


@dataclass(frozen=True)
class AppCheck:
    """The outcome of a real call with an app registration."""

    is_ok: bool
    code: str
    message: str
    """After a failure, a sentence that says what to do."""


def register_app(
    *,
    connector: str,
    environment: str,
    consent_mode: str,
    client_id: str,
    client_secret: Secret,
    base_urls: Mapping[str, str] | None = None,
    organisation_id: int | None = None,
    name: str = "",
    refresh_token_days: int | None = None,
) -> AppRegistration:
    """Store an app registration, its secret encrypted. Joins the caller's transaction and scope."""
    app = AppRegistration.objects.create(
        organisation_id=organisation_id,
        connector=connector,
        environment=environment,
        consent_mode=consent_mode,
        client_id=client_id,
        client_secret=b"",
        base_urls=dict(base_urls or {}),
        name=name,
        refresh_token_days=refresh_token_days,
    )
    app.client_secret = encrypt_column(app, "client_secret", client_secret)
    app.save(update_fields=["client_secret"])
    return app


def registrations_of(actor: Actor) -> "QuerySet[AppRegistration]":
    """Return the organisation's own registrations and the installation's that it may use.

    `connection_count` of each counts its live connections.
    """
    registrations = AppRegistration.objects.filter(
        Q(organisation=None) | Q(organisation_id=actor.organisation_id)
    )
    is_live = Q(connections__organisation_id=actor.organisation_id) & ~Q(
        connections__state=ConnectionState.REMOVED
    )
    available = registrations.filter(removed_at=None).annotate(
        connection_count=Count("connections", filter=is_live, distinct=True)
    )
    return available.order_by("connector", "environment", "consent_mode", "pk")


def app_for(actor: Actor, app_id: int) -> AppRegistration:
    """Return an app registration of the organisation or of the installation.

    Raises `NoSuchAppRegistration`.
    """
    app = registrations_of(actor).filter(pk=app_id).first()
    if app is None:
        raise NoSuchAppRegistration
    return app


def get_own_app(actor: Actor, app_id: int) -> AppRegistration:
    """Return an app registration of the organisation. Raises `NoSuchAppRegistration`."""
    app = registrations_of(actor).filter(pk=app_id, organisation=actor.organisation_id).first()
    if app is None:
        raise NoSuchAppRegistration
    return app


def save_app(actor: Actor, app_id: int | None, values: AppRegistrationInput) -> AppRegistration:
    """Create or change an app registration of the organisation. Raises `NoSuchAppRegistration`, and
    `RegistrationRefused` with the problems.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    app = get_own_app(actor, app_id) if app_id is not None else None
    problems = _problems(actor, app, values)
    if problems:
        raise RegistrationRefused(problems)
    if app is None:
        app = _create(actor, values)
    else:
        _change(app, values)
    action = AppRegistrationAction.CREATED if app_id is None else AppRegistrationAction.CHANGED
    details = {
        "environment": app.environment,
        "mode": app.consent_mode,
        "secret_changed": bool(values.client_secret),
    }
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        action,
        subject=Subject(SubjectKind.APP, app.pk, app.client_id),
        details=details,
    )
    return app


def remove_app(actor: Actor, app_id: int) -> None:
    """Remove an app registration of the organisation, with its secret. Raises `NoSuchAppRegistration`, and
    `RegistrationRefused` when a connection uses the app registration.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    app = get_own_app(actor, app_id)
    if app.connections.exclude(state=ConnectionState.REMOVED).exists():
        raise RegistrationRefused(
            {"": _("Connections use this app. Remove them first, or sign in again with another app.")}
        )
    AppRegistration.objects.filter(pk=app.pk).update(removed_at=timezone.now(), client_secret=b"")
    subject = Subject(SubjectKind.APP, app.pk, app.client_id)
    add_audit_entry(actor.organisation_id, actor.audit, AppRegistrationAction.REMOVED, subject=subject)


def check_app(actor: Actor, app_id: int) -> AppCheck:
    """Check an app registration with the vendor, outside any transaction. If the vendor accepts the app, the
    grants that failed for its sake are tried again.

    Raises `NoSuchAppRegistration` and `TooManyRequests`: the vendor counts all calls of an app, also those
    of other organisations with an app of the installation.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    with organisation_scope(actor.organisation_id):
        app = app_for(actor, app_id)
    _checks.spend((actor.organisation_id, app_id))
    outcome = check_with_vendor(app, actor.organisation_id, stores_pause=app.organisation_id is not None)
    if outcome.is_ok:
        with organisation_scope(actor.organisation_id):
            clear_app_failures(app)
    return outcome


def check_with_vendor(app: AppRegistration, organisation_id: int, *, stores_pause: bool = True) -> AppCheck:
    """Check for an organisation that the vendor knows the app, by a call that grants nothing. Outside any
    transaction.

    `stores_pause` False: a pause that the vendor asks for is not stored. An app of the installation serves
    all organisations, and a check by one must not keep the others from signing in.
    """

    async def call_vendor(current: Runtime) -> None:
        http = OriginRestrictedHttp(current.http, base_urls_of(app))
        pauses = TokenPauses(current.database)
        async with pauses.storing(app.pk) if stores_pause else nullcontext():
            await connectors()[app.connector].check_app(http, credentials(app), redirect_uri())

    if seconds := token_pause_seconds(app.pk):
        return AppCheck(False, "token_pause", pause_sentence(seconds))
    try:
        call_vendor_blocking(organisation_id, call_vendor)
    except ConnectorError as error:
        return AppCheck(False, error.code, render_sentence(error.sentence))
    except DecryptionError:
        return AppCheck(False, "vault_key", _(KEY_MISSING))
    return AppCheck(True, "", _("The app registration works."))


def descriptor_of(app: AppRegistration) -> Descriptor | None:
    """Return the connector's descriptor; None when it is not installed any more."""
    connector = connectors().get(app.connector)
    return connector.descriptor if connector else None


def mode_of(app: AppRegistration) -> ConsentMode | None:
    """Return the app registration's consent mode; None when the connector does not know it (any more)."""
    descriptor = descriptor_of(app)
    modes = descriptor.consent_modes if descriptor else ()
    return next((mode for mode in modes if mode.key == app.consent_mode), None)


def environment_of(app: AppRegistration) -> Environment | None:
    """Return the app registration's environment; None when the connector does not know it (any more)."""
    descriptor = descriptor_of(app)
    environments = descriptor.environments if descriptor else ()
    return next((environment for environment in environments if environment.key == app.environment), None)


def _create(actor: Actor, values: AppRegistrationInput) -> AppRegistration:
    return register_app(
        connector=values.connector,
        environment=values.environment,
        consent_mode=values.consent_mode,
        client_id=values.client_id,
        client_secret=values.client_secret or Secret(""),
        base_urls=_installation_base_urls(values),
        organisation_id=actor.organisation_id,
        name=values.name,
        refresh_token_days=values.refresh_token_days,
    )


def _change(app: AppRegistration, values: AppRegistrationInput) -> None:
    """Change all but system, environment and way to consent, which stay: connections were made with them."""
    app.name, app.client_id, app.refresh_token_days = values.name, values.client_id, values.refresh_token_days
    if values.client_secret:
        app.client_secret = encrypt_column(app, "client_secret", values.client_secret)
    app.save(update_fields=["name", "client_id", "client_secret", "refresh_token_days"])
    clear_app_failures(app)


def _installation_base_urls(values: AppRegistrationInput) -> dict[str, str]:
    """Return the base URLs of the installation's registration of this environment.

    Only the operator may set where a sandbox listens: an Administrator could otherwise send Koppel to any
    address within the installation's network.
    """
    environments = AppRegistration.objects.filter(
        organisation=None, connector=values.connector, environment=values.environment, removed_at=None
    )
    return dict(environments.values_list("base_urls", flat=True).first() or {})


def problems_of(app: AppRegistration | None, values: AppRegistrationInput) -> dict[str, str]:
    """Return the problems by field, the same for every owner. `app`: the registration that is changed."""
    problems = {} if app else _problems_of_option(values)
    if not values.client_id or len(values.client_id) > CLIENT_ID_CHARACTERS_MAX:
        problems["client_id"] = _("Enter the client id shown in the vendor's portal.")
    if not values.client_secret and (app is None or values.client_id != app.client_id):
        problems["client_secret"] = _("Enter the client secret for this client id.")
    if values.refresh_token_days is not None and not 1 <= values.refresh_token_days <= REFRESH_TOKEN_DAYS_MAX:
        problems["refresh_token_days"] = (
            _("Enter a number of days from 1 to %d, or leave it empty.") % REFRESH_TOKEN_DAYS_MAX
        )
    return problems


def _problems(actor: Actor, app: AppRegistration | None, values: AppRegistrationInput) -> dict[str, str]:
    problems = problems_of(app, values)
    duplicates = registrations_of(actor).filter(
        organisation=actor.organisation_id,
        connector=app.connector if app else values.connector,
        environment=app.environment if app else values.environment,
        client_id=values.client_id,
    )
    if duplicates.exclude(pk=app.pk if app else 0).exists():
        problems["client_id"] = _("This app is already registered.")
    return problems


def _problems_of_option(values: AppRegistrationInput) -> dict[str, str]:
    connector = connectors().get(values.connector)
    if connector is None:
        return {"connector": _("Choose an accounting system.")}
    environment = next(
        (option for option in connector.descriptor.environments if option.key == values.environment), None
    )
    if environment is None:
        return {"environment": _("Choose an environment.")}
    if values.consent_mode not in environment.consent_modes:
        return {
            "consent_mode": _("This sign-in method is not available in this environment. Choose another one.")
        }
    return {}
