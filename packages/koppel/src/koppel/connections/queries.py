"""Queries of connections."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from koppel.connections.app_registrations.services import (
    descriptor_of,
    environment_of,
    mode_of,
    registrations_of,
)
from koppel.connections.errors import NoSuchConnection
from koppel.connections.hooks import exclude_restricted, restricted_company_ids
from koppel.connections.models import (
    AppRegistration,
    Connection,
    ConnectionState,
    RemoteCompany,
    TimelineEvent,
    TimelineKind,
)
from koppel.connections.readable_names import list_company_names, readable_company_names
from koppel.connections.vendor_http import base_urls_of
from koppel.connector.contract import ConsentMode, Environment
from koppel.connector.registry import connectors
from koppel.kit.database.text_search import Folded
from koppel.kit.http.client import origin_of
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class AppChoice:
    """A choice of how to sign in: an app registration with its environment and consent mode."""

    app: AppRegistration
    environment: Environment
    mode: ConsentMode


def connections_of(actor: Actor) -> "QuerySet[Connection]":
    """Return the live connections that the actor may see, by system and account, with their owner and
    `administration_count`.
    """
    visible = ~Q(administrations__remote_company__in=restricted_company_ids(actor))
    connections = Connection.objects.for_actor(actor).exclude(state=ConnectionState.REMOVED)
    return (
        connections.select_related("owner__user", "pending_owner__user", "app")
        .annotate(administration_count=Count("administrations", filter=visible, distinct=True))
        .order_by("connector", "account", "pk")
    )


def get_connection(actor: Actor, connection_id: int) -> Connection:
    """Return a connection of `connections_of`. Raises `NoSuchConnection`."""
    connection = connections_of(actor).filter(pk=connection_id).first()
    if connection is None:
        raise NoSuchConnection
    return connection


def reconnect_hint(connection: Connection, company: RemoteCompany) -> str:
    """Return a sentence on why nothing can be read through the connection now; '' when reading works. In the
    caller's scope.
    """
    if connection.state == ConnectionState.PAUSED:
        return _("The connection is paused. Resume it first.")
    if connection.state == ConnectionState.REMOVED:
        return _("The connection was removed. Syncing resumes with another connection.")
    if connection.state == ConnectionState.NEEDS_REAUTH or company.grant.invalid_since is not None:
        return _("Sign in again to this connection first.")
    return ""


def timeline(actor: Actor, connection: Connection, limit: int = 100) -> list[TimelineEvent]:
    """Return the newest events of a connection first, without those of companies that the actor may not see.

    All token refreshes are one event at the end, counted from the grants.
    """
    events_of_connection = connection.events.in_organisation(connection.organisation_id)
    newest = list(events_of_connection.order_by("-at", "-pk")[:limit])
    names = readable_company_names(actor, {key for event in newest for key in event.companies})
    events = [event for event in newest if _resolve_companies(event, names)]
    grants = connection.grants.in_organisation(connection.organisation_id).values_list(
        "generation", "issued_at"
    )
    signed_in = events_of_connection.filter(kind__in=["reconnected", "owner_changed"]).count()
    renewal_count = sum(generation - 1 for generation, _issued_at in grants) - signed_in
    if renewal_count > 0:
        last = max(issued_at for _generation, issued_at in grants)
        events.append(
            TimelineEvent(kind=TimelineKind.REFRESHED, at=last, count=renewal_count, connection=connection)
        )
    return sorted(events, key=lambda event: event.at, reverse=True)


def _resolve_companies(event: TimelineEvent, names: Mapping[int, str]) -> bool:
    """Name in the event, in memory, the companies that the reader may see. Returns False for an event about
    a company that the reader may not see.
    """
    if event.kind == TimelineKind.PARTLY_LOST:
        event.context = {**event.context, "companies": list_company_names(event.companies, names)}
        return True
    return all(key in names for key in event.companies)


def listed_companies(actor: Actor, connection: Connection) -> "QuerySet[RemoteCompany]":
    """Return the companies that the connection lists and the actor may see, by name, for the choice of the
    import policy.
    """
    companies = RemoteCompany.objects.in_organisation(connection.organisation_id).filter(
        connection=connection, is_listed=True
    )
    return (
        exclude_restricted(actor, companies)
        .annotate(is_imported=Exists(companies.filter(pk=OuterRef("pk"), administrations__isnull=False)))
        .order_by(Folded("name"), "pk")
    )


def companies_of(actor: Actor, connection: Connection) -> "QuerySet[RemoteCompany]":
    """Return the listed companies that the actor may import, by name: the owner all, others those that the
    import policy releases.
    """
    companies = RemoteCompany.objects.for_actor(actor).filter(connection=connection, is_listed=True)
    if connection.owner_id != actor.membership_id:
        companies = companies.filter(importable_by_others=True)
    return companies.order_by(Folded("name"), "pk")


def apps_for(actor: Actor, connector_key: str) -> list[AppChoice]:
    """Return the choices of how to sign in at a system, the best first.

    A consent mode that the connector does not offer in that environment is excluded.
    """
    choices = []
    for app in registrations_of(actor).filter(connector=connector_key):
        environment, mode = environment_of(app), mode_of(app)
        if environment and mode and mode.key in environment.consent_modes:
            choices.append(AppChoice(app=app, environment=environment, mode=mode))
    order = [mode.key for mode in connectors()[connector_key].descriptor.consent_modes]
    return sorted(choices, key=lambda choice: (order.index(choice.mode.key), choice.app.pk))


def sign_in_origins(actor: Actor) -> list[str]:
    """Return the origins of the sign-in pages to which the forms of a page may lead."""
    apps = [app for app in registrations_of(actor) if descriptor_of(app)]
    return sorted(
        {origin_of(base_urls_of(app)["identity"]) for app in apps if "identity" in base_urls_of(app)}
    )
