"""Remove a connection, with a preview of what that does."""

from dataclasses import dataclass

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.health import LASTING_KINDS, add_timeline_event, end_timeline_event
from koppel.connections.hooks import (
    RemovalPolicy,
    StopReason,
    detach_administrations,
    exclude_restricted,
    stop_runs,
)
from koppel.connections.inputs import RemovalInput
from koppel.connections.lifecycle.audited_change import lock_for_change, record_change
from koppel.connections.lifecycle.revocation import revoke_later
from koppel.connections.models import ConnectionState, Grant, RemoteCompany, TimelineKind
from koppel.connections.queries import get_connection
from koppel.issues.services import resolve_issues
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission, Role

REMOVABLE_BY_TEAM_LEADER_MAX = 3
"""Removing a connection that serves more administrations than this needs an Administrator."""
LIVE = (ConnectionState.ACTIVE, ConnectionState.DEGRADED)


@dataclass(frozen=True, kw_only=True)
class Removal:
    """The consequences of removing a connection, for the administrations that the actor may see."""

    connection_id: int
    account: str
    administrations: int
    reached_elsewhere: int
    """The number of administrations that another live connection of the firm lists too."""
    needs_administrator: bool

    @property
    def waiting(self) -> int:
        return self.administrations - self.reached_elsewhere

    @property
    def fingerprint(self) -> str:
        """Return a text that changes when one of these numbers does."""
        return f"{self.administrations}-{self.reached_elsewhere}"


def preview_removal(actor: Actor, connection_id: int) -> Removal:
    """Return what removing the connection would do. Raises `NoSuchConnection`."""
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection = get_connection(actor, connection_id)
    companies = RemoteCompany.objects.for_actor(actor).filter(connection=connection)
    imported = exclude_restricted(actor, companies.filter(administrations__isnull=False)).distinct()
    elsewhere = (
        RemoteCompany.objects.for_actor(actor)
        .filter(
            external_id=OuterRef("external_id"),
            is_listed=True,
            connection__connector=connection.connector,
            connection__state__in=LIVE,
        )
        .exclude(connection=connection)
    )
    count = imported.count()
    return Removal(
        connection_id=connection_id,
        account=connection.account,
        administrations=count,
        reached_elsewhere=imported.filter(Exists(elsewhere)).count(),
        needs_administrator=count > REMOVABLE_BY_TEAM_LEADER_MAX,
    )


def may_remove(actor: Actor, removal: Removal) -> bool:
    """Return whether the actor's role is enough for what the removal would do."""
    return not removal.needs_administrator or actor.role == Role.ADMINISTRATOR


def remove_connection(actor: Actor, connection_id: int, chosen: RemovalInput) -> Removal:
    """Remove the connection; a job revokes its tokens at the vendor. Returns what was done.

    `chosen.fingerprint` is that of the preview which the person saw. Raises `Refused` with a message, also
    when the preview has changed, and `NoSuchConnection` when the connection was removed before.
    """
    connection = lock_for_change(actor, connection_id)
    removal = preview_removal(actor, connection_id)
    if not may_remove(actor, removal):
        message = _("This connection serves %(count)d administrations. Only an Administrator can remove it.")
        raise Refused(message % {"count": removal.administrations})
    if chosen.fingerprint is not None and chosen.fingerprint != removal.fingerprint:
        raise Refused(_("The administrations of this connection have changed since. Please check again."))
    detach_administrations(actor, connection_id, chosen.policy)
    stop_runs(actor.organisation_id, connection_id, StopReason.REMOVE)
    connection.state, connection.pending_owner, connection.degraded_since = (
        ConnectionState.REMOVED,
        None,
        None,
    )
    connection.save(update_fields=["state", "pending_owner", "degraded_since"])
    grants = Grant.objects.for_actor(actor).filter(connection=connection)
    revoke_later(actor.organisation_id, list(grants.values_list("pk", flat=True)))
    resolve_issues(actor.organisation_id, Subject(SubjectKind.CONNECTION, connection_id))
    for kind in LASTING_KINDS:
        end_timeline_event(connection, kind)
    add_timeline_event(
        connection,
        TimelineKind.REMOVED,
        {"policy": chosen.policy.value, "count": removal.administrations},
        actor.name,
    )
    record_change(
        actor,
        ConnectionAction.REMOVED,
        connection,
        {"policy": chosen.policy.value, "administrations": removal.administrations},
    )
    return removal


def removal_message(removal: Removal, policy: RemovalPolicy) -> str:
    """Return a sentence for the person about what the removal did."""
    if policy is RemovalPolicy.DEACTIVATE:
        return ngettext(
            "The connection was removed and %(count)d administration deactivated.",
            "The connection was removed and %(count)d administrations deactivated.",
            removal.administrations,
        ) % {"count": removal.administrations}
    moved_count = removal.reached_elsewhere if policy is RemovalPolicy.MOVE else 0
    message = _(
        "Connection removed. Administrations continuing through another connection: %(moved)d; "
        "waiting: %(waiting)d."
    )
    return message % {"moved": moved_count, "waiting": removal.administrations - moved_count}
