"""Repair: pause and resume, remove with a preview, release companies for import. Each act asked twice does the same once."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.audit.services import record
from koppel.connections.errors import NoSuchConnection
from koppel.connections.health.states import locked, resume_connection
from koppel.connections.health.timeline import add_timeline_event, end_timeline_event, start_timeline_event
from koppel.connections.hooks import RemovalPolicy, StopReason, detach_administrations, stop_runs
from koppel.connections.lifecycle.revocation import revoke_later
from koppel.connections.models import Connection, ConnectionState, Grant, Release, RemoteCompany
from koppel.connections.queries import get_connection
from koppel.issues.services import resolve_issues
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission, Role

REMOVABLE_BY_TEAM_LEADER_MAX = 3
"""Removing a connection that serves more administrations than this needs an Administrator."""
LIVE = (ConnectionState.ACTIVE, ConnectionState.DEGRADED)


@dataclass(frozen=True)
class Removal:
    """What removing a connection would do. `reached_elsewhere` counts administrations that another live connection of the
    firm lists too; `seen` changes when any of this does."""

    connection_id: int
    account: str
    administrations: int
    reached_elsewhere: int
    needs_administrator: bool

    @property
    def waiting(self) -> int:
        return self.administrations - self.reached_elsewhere

    @property
    def seen(self) -> str:
        return f"{self.administrations}-{self.reached_elsewhere}"


def pause(actor: Actor, connection_id: int) -> bool:
    """No calls by themselves any more: the schedule stops, runs under way wait. False when it was paused already."""
    connection = _for_change(actor, connection_id)
    if connection.state == ConnectionState.PAUSED:
        return False
    end_timeline_event(connection, "degraded")
    connection.state, connection.degraded_since, connection.reason = ConnectionState.PAUSED, None, ""
    connection.save(update_fields=["state", "degraded_since", "reason"])
    start_timeline_event(connection, "paused", {}, actor.name)
    stop_runs(actor.organisation_id, connection_id, StopReason.PAUSE)
    _record(actor, "paused", connection)
    return True


def resume(actor: Actor, connection_id: int) -> bool:
    """Go on: what waits is done next. False when it was not paused."""
    connection = _for_change(actor, connection_id)
    if connection.state != ConnectionState.PAUSED:
        return False
    resume_connection(connection)
    end_timeline_event(connection, "paused")
    add_timeline_event(connection, "resumed", {}, actor.name)
    _record(actor, "resumed", connection)
    return True


def preview_removal(actor: Actor, connection_id: int) -> Removal:
    """Raises `NoSuchConnection`."""
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection = get_connection(actor, connection_id)
    companies = RemoteCompany.objects.filter(organisation_id=actor.organisation_id, connection=connection)
    imported = companies.filter(administrations__isnull=False).distinct()
    elsewhere = RemoteCompany.objects.filter(
        organisation_id=actor.organisation_id,
        external_id=OuterRef("external_id"),
        listed_at__isnull=False,
        connection__connector=connection.connector,
        connection__state__in=LIVE,
    ).exclude(connection=connection)
    count = imported.count()
    return Removal(
        connection_id,
        connection.account,
        count,
        imported.filter(Exists(elsewhere)).count(),
        needs_administrator=count > REMOVABLE_BY_TEAM_LEADER_MAX,
    )


def remove(actor: Actor, connection_id: int, policy: RemovalPolicy, *, seen: str | None = None) -> Removal:
    """End the connection; its tokens are withdrawn at the vendor by a job. What was done.

    `seen`: what the person was shown; when that has changed meanwhile, nothing is done. Raises `Refused` with a sentence,
    and `NoSuchConnection` when it was removed before."""
    connection = _for_change(actor, connection_id)
    removal = preview_removal(actor, connection_id)
    if removal.needs_administrator and actor.role != Role.ADMINISTRATOR:
        message = _("This connection serves %(count)d administrations. Only an Administrator may remove it.")
        raise Refused(message % {"count": removal.administrations})
    if seen is not None and seen != removal.seen:
        raise Refused(_("Meanwhile the administrations of this connection have changed. Please look again."))
    detach_administrations(actor, connection_id, policy)
    stop_runs(actor.organisation_id, connection_id, StopReason.REMOVE)
    connection.state, connection.next_owner, connection.degraded_since = ConnectionState.REMOVED, None, None
    connection.save(update_fields=["state", "next_owner", "degraded_since"])
    grants = Grant.objects.filter(organisation_id=actor.organisation_id, connection=connection)
    revoke_later(actor.organisation_id, list(grants.values_list("pk", flat=True)))
    resolve_issues(actor.organisation_id, ("connection", connection_id))
    for kind in ("degraded", "lost", "partly_lost", "paused"):
        end_timeline_event(connection, kind)
    add_timeline_event(connection, "removed", {"fate": policy.value, "count": removal.administrations}, actor.name)
    _record(actor, "removed", connection, {"fate": policy.value, "administrations": removal.administrations})
    return removal


def set_import_policy(actor: Actor, connection_id: int, which: Release, company_ids: Iterable[int] = ()) -> int:
    """Which companies others than the owner may import through this connection. How many are released now.

    New companies follow: released with ALL, kept back with SELECTED and NONE."""
    connection = _for_change(actor, connection_id)
    companies = RemoteCompany.objects.filter(organisation_id=actor.organisation_id, connection=connection)
    requested_ids = set(company_ids) if which is Release.SELECTED else set()
    chosen = requested_ids & set(companies.values_list("pk", flat=True))
    companies.filter(pk__in=chosen).update(released=True)
    companies.exclude(pk__in=chosen).update(released=which is Release.ALL)
    connection.releases = which
    connection.save(update_fields=["releases"])
    count = companies.filter(released=True, listed_at__isnull=False).count()
    add_timeline_event(connection, "released", {"which": which.value, "count": count}, actor.name)
    _record(actor, "released", connection, {"which": which.value, "companies": count})
    return count


def reconnect_hint(connection: Connection, company: RemoteCompany) -> str:
    """Why nothing can be read through the connection now, as a sentence; '' when it can. In the caller's scope."""
    if connection.state == ConnectionState.PAUSED:
        return _("The connection is paused. Resume it first.")
    if connection.state == ConnectionState.REMOVED:
        return _("The connection was removed. The administration waits for another one.")
    if connection.state == ConnectionState.NEEDS_REAUTH or company.grant.lost_at is not None:
        return _("The connection needs you to sign in again first.")
    return ""


def removal_message(removal: Removal, policy: RemovalPolicy) -> str:
    """What a removal did, for the person."""
    if policy is RemovalPolicy.DEACTIVATE:
        return ngettext(
            "The connection was removed and %(count)d administration deactivated.",
            "The connection was removed and %(count)d administrations deactivated.",
            removal.administrations,
        ) % {"count": removal.administrations}
    moved = removal.reached_elsewhere if policy is RemovalPolicy.MOVE else 0
    message = _("The connection was removed. %(moved)d administrations go on elsewhere, %(waiting)d wait.")
    return message % {"moved": moved, "waiting": removal.administrations - moved}


def _for_change(actor: Actor, connection_id: int) -> Connection:
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection = locked(actor.organisation_id, connection_id)
    if connection is None:
        raise NoSuchConnection
    return connection


def _record(actor: Actor, what: str, connection: Connection, details: dict[str, object] | None = None) -> None:
    subject = ("connection", connection.pk, connection.account)
    record(actor.organisation_id, actor.audit, f"connection.{what}", subject=subject, details=details)
