"""The owner of a connection, on whose account it runs, and the transfer to another person.

Koppel can change the owner; only a sign-in at the vendor can change the account. So a transfer begins with a
request, and ends when the new owner has signed in with an account that reaches the same companies. Until then
the connection runs on the old account, and its page says so.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction, timeline_kind
from koppel.connections.companies.listing import list_vendor_companies
from koppel.connections.errors import ConsentRefused, NoSuchConnection
from koppel.connections.event_types import ConnectionEvent
from koppel.connections.health import (
    add_timeline_event,
    grants_of,
    lock_connection,
    mark_signed_in,
    resolve_owner_left,
)
from koppel.connections.hooks import exclude_restricted
from koppel.connections.lifecycle.revocation import revoke_later, revoke_unused_token
from koppel.connections.lifecycle.transfer_state import TransferState
from koppel.connections.models import Connection, ConsentAttempt, ConsentRefusal, Grant
from koppel.connections.queries import connections_of
from koppel.connections.sessions import Runtime, call_vendor_blocking, listing_session
from koppel.connections.vault import store_grant, superseded_refresh_token
from koppel.connector.contract import Consent
from koppel.connector.registry import connector
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.services import notify_members
from koppel.organisations.errors import NoSuchMember, Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import PERMISSIONS, Actor, Permission

NAMED_MAX = 5


@dataclass(frozen=True)
class OwnedConnections:
    """The connections that run on a person's account, and how many administrations stop with it."""

    person: str
    connections: list[Connection]

    @property
    def administrations(self) -> int:
        return sum(getattr(connection, "administration_count", 0) for connection in self.connections)


def possible_owners(actor: Actor) -> list[Membership]:
    """Return the members who may sign in for a connection, by name."""
    now = timezone.now()
    memberships = Membership.objects.for_actor(actor).filter(
        Q(expires_at=None) | Q(expires_at__gt=now),
        is_active=True,
        role__in=PERMISSIONS[Permission.MANAGE_CONNECTIONS],
    )
    return list(memberships.select_related("user").order_by("user__name", "pk"))


def request_transfer(actor: Actor, connection_id: int, membership_id: int) -> bool:
    """Ask a member to take a connection over; the owner's own id cancels the request. Returns whether
    something changed.

    In service mode the owner changes at once. Raises `Refused` and `NoSuchConnection`.
    """
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection = lock_connection(actor.organisation_id, connection_id)
    if connection is None:
        raise NoSuchConnection
    new_owner = next((member for member in possible_owners(actor) if member.pk == membership_id), None)
    if new_owner is None:
        message = _("Only an active Administrator or Team leader can take over a connection.")
        raise Refused(message, field="member")
    if new_owner.pk in (
        connection.pending_owner_id,
        connection.owner_id if connection.pending_owner_id is None else None,
    ):
        return False
    _revoke_pending_grants(connection)
    if new_owner.pk == connection.owner_id:
        connection.pending_owner = None
        connection.save(update_fields=["pending_owner"])
        _record_action(actor, connection, ConnectionAction.TRANSFER_CANCELLED, str(new_owner.user))
    elif _needs_no_sign_in(connection):
        _change_owner(actor, connection, new_owner, connection.account)
    else:
        connection.pending_owner = new_owner
        connection.save(update_fields=["pending_owner"])
        _record_action(actor, connection, ConnectionAction.TRANSFER_REQUESTED, str(new_owner.user))
        context = {"by": actor.name, "account": connection.account}
        if new_owner.pk != actor.membership_id:
            notify_members(
                actor.organisation_id,
                ConnectionEvent.TRANSFER_REQUESTED,
                [new_owner.pk],
                context,
                connection.get_absolute_url(),
            )
    return True


def owned_connections(actor: Actor, membership_id: int) -> OwnedConnections:
    """Return the administrations that stop when this person's account at the vendor is closed. Raises
    `NoSuchMember`.
    """
    actor.require(Permission.MANAGE_CONNECTIONS)
    person = Membership.objects.for_actor(actor).filter(pk=membership_id).first()
    if person is None:
        raise NoSuchMember(_("This person is not a member of your organisation."))
    return OwnedConnections(str(person.user), list(connections_of(actor).filter(owner_id=membership_id)))


def transfer_all(actor: Actor, membership_id: int, to_membership_id: int) -> int:
    """Ask a member to take over all connections that run on a person's account. Returns how many requests
    changed.
    """
    owned = owned_connections(actor, membership_id).connections
    return sum(request_transfer(actor, connection.pk, to_membership_id) for connection in owned)


def store_pending_grant(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> int:
    """Store the new owner's consent as pending and return the connection's id. In the caller's transaction.

    Raises `ConsentRefused` without a requested transfer to this member.
    """
    connection = lock_connection(actor.organisation_id, attempt.connection_id or 0)
    if connection is None or connection.pending_owner_id != actor.membership_id:
        raise _transfer_not_requested()
    existing = grants_of(connection)
    is_account_in_use = existing.filter(subject=consent.subject, company_id=consent.company_id or "").exists()
    identity = (actor.organisation_id, connection, consent.subject, consent.company_id or "")
    replaced = superseded_refresh_token(*identity, consent.tokens)
    grant = store_grant(*identity, consent.tokens)
    if replaced is not None:
        revoke_unused_token(attempt, replaced)
    Grant.objects.filter(pk=grant.pk).update(
        account=consent.account, is_pending_transfer=not is_account_in_use, transferred_by=actor.membership_id
    )
    ConsentAttempt.objects.filter(pk=attempt.pk).update(granted_at=timezone.now())
    if is_account_in_use:
        _change_owner_if_complete(actor, connection, consent.account)
    return connection.pk


def complete_transfer(actor: Actor, connection_id: int) -> bool:
    """Switch to the new account if it reaches the imported companies. Outside any transaction.

    Returns False if further companies still run on the old account (one sign-in for each). Raises
    `ConsentRefused`, after revoking the new consent, if the account does not reach an imported company;
    and the connector's errors.
    """
    with organisation_scope(actor.organisation_id):
        grants = Grant.objects.for_actor(actor).filter(connection_id=connection_id)
        candidates = list(
            grants.filter(is_pending_transfer=True, invalid_since=None).select_related("connection")
        )
    for grant in candidates:
        reached = _list_company_ids(actor, grant)
        with organisation_scope(actor.organisation_id):
            connection = lock_connection(actor.organisation_id, connection_id)
            if connection is None or connection.pending_owner_id != actor.membership_id:
                raise _transfer_not_requested()
            missing = _move_companies_or_revoke(
                actor, TransferState(connection, actor.membership_id), grant, reached
            )
            if not missing:
                _change_owner_if_complete(actor, connection, grant.account)
        if missing:
            names = _name_list(missing)
            message = _(
                "Signed in as %(account)s, which does not reach %(names)s. Nothing was changed; the "
                "connection still uses %(old)s."
            )
            context = {"account": grant.account, "names": names, "old": grant.connection.account}
            raise ConsentRefused(ConsentRefusal.COMPANIES_MISSING, message % context)
    with organisation_scope(actor.organisation_id):
        owned = Connection.objects.for_actor(actor).filter(owner_id=actor.membership_id, pending_owner=None)
        return owned.filter(pk=connection_id).exists()


def companies_awaiting_transfer(actor: Actor, connection: Connection) -> str:
    """Return the names of imported companies that the next owner has yet to sign in for; '' before the first
    sign-in, and when all are done.
    """
    if connection.pending_owner_id is None:
        return ""
    transfer = TransferState(connection, connection.pending_owner_id)
    if not transfer.has_begun:
        return ""
    companies = exclude_restricted(actor, transfer.awaiting_companies())
    return _name_list(list(companies.order_by("name").values_list("name", flat=True)))


def _transfer_not_requested() -> ConsentRefused:
    return ConsentRefused(
        ConsentRefusal.TRANSFER_NOT_REQUESTED, _("This connection is not being transferred to you.")
    )


def _list_company_ids(actor: Actor, grant: Grant) -> set[str]:
    async def listing(current: Runtime) -> set[str]:
        session = await listing_session(current, actor.organisation_id, grant.pk)
        return {
            company.external_id
            for company in await list_vendor_companies(grant.connection.connector, session)
        }

    return call_vendor_blocking(actor.organisation_id, listing)


def _move_companies_or_revoke(
    actor: Actor, transfer: TransferState, grant: Grant, reached: Collection[str]
) -> list[str]:
    """Assign the companies to the new grant. If the grant does not reach all of them, revoke the grant and
    return the names of the others.
    """
    unreached = transfer.unreached_companies(grant, reached)
    if unreached is None:
        transfer.move_companies(grant, reached)
        return []
    connection = transfer.connection
    revoke_later(connection.organisation_id, [grant.pk])
    companies = exclude_restricted(actor, unreached)
    return list(companies.order_by("name").values_list("name", flat=True)) or [connection.account]


def _change_owner_if_complete(actor: Actor, connection: Connection, account: str) -> None:
    """Change the owner when no imported company uses a previous account any more."""
    if TransferState(connection, actor.membership_id).revoke_previous_grants():
        _change_owner(
            actor, connection, Membership.objects.for_actor(actor).get(pk=actor.membership_id), account
        )


def _name_list(names: Sequence[str]) -> str:
    more = len(names) - NAMED_MAX
    return ", ".join(names[:NAMED_MAX]) + (f" (+{more})" if more > 0 else "")


def _revoke_pending_grants(connection: Connection) -> None:
    """Revoke the pending grants of an earlier candidate."""
    pending = Grant.objects.in_organisation(connection.organisation_id).filter(connection=connection)
    revoke_later(
        connection.organisation_id,
        list(pending.filter(is_pending_transfer=True, invalid_since=None).values_list("pk", flat=True)),
    )


def _change_owner(actor: Actor, connection: Connection, new_owner: Membership, account: str) -> None:
    previous_owner = connection.owner
    connection.owner, connection.pending_owner = new_owner, None
    connection.save(update_fields=["owner", "pending_owner"])
    mark_signed_in(connection, account)
    resolve_owner_left(actor.organisation_id, connection.pk)
    _record_action(actor, connection, ConnectionAction.OWNER_CHANGED, str(new_owner.user))
    context = {"owner": str(new_owner.user), "account": connection.account}
    notify_members(
        actor.organisation_id,
        ConnectionEvent.TRANSFER_COMPLETED,
        [previous_owner.pk],
        context,
        connection.get_absolute_url(),
    )


def _needs_no_sign_in(connection: Connection) -> bool:
    modes = connector(connection.connector).descriptor.consent_modes
    return any(mode.is_by_company_id for mode in modes if mode.key == connection.app.consent_mode)


def _record_action(actor: Actor, connection: Connection, action: ConnectionAction, name: str) -> None:
    """Write to the timeline and to the audit log."""
    context = {"owner": name, "account": connection.account}
    add_timeline_event(connection, timeline_kind(action), context, actor.name)
    subject = Subject(kind=SubjectKind.CONNECTION, id=connection.pk, name=connection.account)
    add_audit_entry(actor.organisation_id, actor.audit, action, subject=subject, details=context)
