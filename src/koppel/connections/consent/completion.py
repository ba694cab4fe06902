"""What a sign-in that succeeded leaves behind: the connection that it belongs to, its grant, its line in the timeline."""

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.connections.errors import ConsentRefused
from koppel.connections.health.states import RETIRED, grants_of, locked, signed_in
from koppel.connections.health.timeline import note_event
from koppel.connections.hooks import without_hidden
from koppel.connections.lifecycle.ownership import keep_candidate
from koppel.connections.lifecycle.revocation import give_back_token
from koppel.connections.models import Connection, ConnectionState, ConsentAttempt, ConsentPurpose, Grant, RemoteCompany
from koppel.connections.services import one_at_a_time
from koppel.connections.vault.grants import keep_grant, replaced_by
from koppel.connector.contract import Consent
from koppel.organisations.roles import Actor


def keep_consent(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> int:
    """The connection's id. In the caller's transaction. Raises `ConsentRefused` when another account signed in."""
    if attempt.purpose == ConsentPurpose.TAKE_OVER:
        return keep_candidate(actor, attempt, consent)
    connection = _connection_for(actor, attempt, consent)
    place = (actor.organisation_id, connection, consent.subject, consent.company_id or "")
    replaced = replaced_by(*place, consent.tokens)
    keep_grant(*place, consent.tokens)
    if replaced is not None:
        give_back_token(attempt, replaced)
    before = connection.state
    signed_in(connection, consent.account)
    kind = _kind(attempt, before)
    note_event(connection, kind, {"account": consent.account}, actor.name)
    record(
        actor.organisation_id, actor.audit, f"connection.{kind}", subject=("connection", connection.pk, consent.account)
    )
    ConsentAttempt.objects.filter(pk=attempt.pk).update(connection=connection, granted_at=timezone.now())
    return connection.pk


def _kind(attempt: ConsentAttempt, before: str) -> str:
    """What happened, as the timeline and the audit trail call it."""
    if before == ConnectionState.PENDING:
        return "connected"
    return "company_added" if attempt.purpose == ConsentPurpose.ADD_COMPANY else "reconnected"


def _connection_for(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> Connection:
    """The connection that is signed in again, the one that this account has already, or a new one.

    Held until the end of the transaction: who pauses or removes it at the same moment does so before or after."""
    own = Connection.objects.filter(organisation_id=actor.organisation_id).exclude(state=ConnectionState.REMOVED)
    if attempt.connection_id is not None:
        connection = locked(actor.organisation_id, attempt.connection_id)
        if connection is None:
            raise ConsentRefused("removed", _("This connection was removed meanwhile, so nothing was signed in."))
        _must_be_the_same(actor, connection, consent)
        return connection
    one_at_a_time(actor.organisation_id)
    serving = Grant.objects.filter(subject=consent.subject, is_candidate=False, connection=OuterRef("pk"))
    known = own.filter(Exists(serving.exclude(lost_reason__startswith=RETIRED)), app=attempt.app).first()
    existing = locked(actor.organisation_id, known.pk) if known else None
    return existing or Connection.objects.create(
        organisation_id=actor.organisation_id,
        connector=attempt.app.connector,
        app=attempt.app,
        owner_id=actor.membership_id,
        account=consent.account,
    )


def _must_be_the_same(actor: Actor, connection: Connection, consent: Consent) -> None:
    """Signing in again is for the account, and where one sign-in reaches one company, for the companies that it had."""
    grants = list(grants_of(connection).values_list("subject", "company_id"))
    if grants and consent.subject not in {subject for subject, _company in grants}:
        sentence = _("You signed in as %(new)s, but this connection belongs to %(old)s. Nothing was changed.")
        raise ConsentRefused("other_account", sentence % {"new": consent.account, "old": connection.account})
    if consent.company_id and consent.company_id not in {company for _subject, company in grants}:
        own = RemoteCompany.objects.filter(organisation_id=connection.organisation_id, connection=connection)
        companies = without_hidden(actor, own)
        names = ", ".join(companies.order_by("name").values_list("name", flat=True)[:5])
        sentence = _("You chose another company. This connection is for %(names)s. Nothing was changed.")
        raise ConsentRefused("other_company", sentence % {"names": names or connection.account})
