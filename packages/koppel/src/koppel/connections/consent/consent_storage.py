"""Storage of a consent: the connection, its grant, and an event in the timeline."""

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction, timeline_kind
from koppel.connections.errors import ConsentRefused
from koppel.connections.health import add_timeline_event, grants_of, lock_connection, mark_signed_in
from koppel.connections.hooks import exclude_restricted
from koppel.connections.lifecycle.ownership import store_pending_grant
from koppel.connections.lifecycle.revocation import revoke_unused_token
from koppel.connections.models import (
    Connection,
    ConnectionState,
    ConsentAttempt,
    ConsentPurpose,
    ConsentRefusal,
    Grant,
    GrantReason,
    RemoteCompany,
)
from koppel.connections.vault import store_grant, superseded_refresh_token
from koppel.connector.contract import Consent
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.organisations.roles import Actor


def store_consent(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> int:
    """Store a consent and return the connection's id. In the caller's transaction.

    Raises `ConsentRefused` when another account or company signed in.
    """
    if attempt.purpose == ConsentPurpose.TRANSFER:
        return store_pending_grant(actor, attempt, consent)
    connection = _connection_for(actor, attempt, consent)
    identity = (actor.organisation_id, connection, consent.subject, consent.company_id or "")
    replaced = superseded_refresh_token(*identity, consent.tokens)
    store_grant(*identity, consent.tokens)
    if replaced is not None:
        revoke_unused_token(attempt, replaced)
    before = connection.state
    mark_signed_in(connection, consent.account)
    action = _audit_action(attempt, before)
    add_timeline_event(connection, timeline_kind(action), {"account": consent.account}, actor.name)
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        action,
        subject=Subject(kind=SubjectKind.CONNECTION, id=connection.pk, name=consent.account),
    )
    ConsentAttempt.objects.filter(pk=attempt.pk).update(connection=connection, granted_at=timezone.now())
    return connection.pk


def _audit_action(attempt: ConsentAttempt, before: str) -> ConnectionAction:
    if before == ConnectionState.PENDING:
        return ConnectionAction.CONNECTED
    is_addition = attempt.purpose == ConsentPurpose.ADD_COMPANY
    return ConnectionAction.COMPANY_ADDED if is_addition else ConnectionAction.RECONNECTED


def _connection_for(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> Connection:
    """Return the connection of this sign-in: the one that is reconnected, the account's existing one, or a
    new one.

    It is locked until the end of the transaction, so that a simultaneous pause or removal waits.
    """
    connections = Connection.objects.for_actor(actor).exclude(state=ConnectionState.REMOVED)
    if attempt.connection_id is not None:
        connection = lock_connection(actor.organisation_id, attempt.connection_id)
        if connection is None:
            raise ConsentRefused(
                ConsentRefusal.REMOVED,
                _("This connection was removed before you signed in. Nothing was connected."),
            )
        _require_same_companies(actor, connection, consent)
        return connection
    lock_until_commit(LockName.NEW_CONNECTION, actor.organisation_id)
    serving = Grant.objects.filter(
        subject=consent.subject, is_pending_transfer=False, connection=OuterRef("pk")
    )
    known_connection = connections.filter(
        Exists(serving.exclude(invalid_code=GrantReason.SUPERSEDED)), app=attempt.app
    ).first()
    existing = lock_connection(actor.organisation_id, known_connection.pk) if known_connection else None
    return existing or Connection.objects.create(
        organisation_id=actor.organisation_id,
        connector=attempt.app.connector,
        app=attempt.app,
        owner_id=actor.membership_id,
        account=consent.account,
    )


def _require_same_companies(actor: Actor, connection: Connection, consent: Consent) -> None:
    """Require the same account, and the same company where one sign-in reaches one. Raises `ConsentRefused`
    for another.
    """
    grants = list(grants_of(connection).values_list("subject", "company_id"))
    if grants and consent.subject not in {subject for subject, _company in grants}:
        message = _("You signed in as %(new)s, but this connection belongs to %(old)s. Nothing was changed.")
        raise ConsentRefused(
            ConsentRefusal.OTHER_ACCOUNT, message % {"new": consent.account, "old": connection.account}
        )
    if consent.company_id and consent.company_id not in {company for _subject, company in grants}:
        imported_companies = RemoteCompany.objects.in_organisation(connection.organisation_id).filter(
            connection=connection
        )
        companies = exclude_restricted(actor, imported_companies)
        names = ", ".join(companies.order_by("name").values_list("name", flat=True)[:5])
        message = _("You chose another company. This connection is for %(names)s. Nothing was changed.")
        raise ConsentRefused(ConsentRefusal.OTHER_COMPANY, message % {"names": names or connection.account})
