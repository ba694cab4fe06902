"""Use cases of a sign-in at the vendor: begin it, keep the vendor's answer, exchange its code once."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.connections import runtime
from koppel.connections.errors import ConsentRefused
from koppel.connections.grants import keep_grant
from koppel.connections.models import Connection, ConnectionState, ConsentAttempt, ConsentPurpose, Grant
from koppel.connections.outbound import PlainHttp
from koppel.connections.registrations import app_for
from koppel.connections.sealing import addresses, credentials, keyring
from koppel.connections.services import note_event, own_connection
from koppel.connections.sessions import Runtime
from koppel.connector.contract import Consent, ConsentRequest, Form
from koppel.connector.errors import ConnectorError, ConsentDenied
from koppel.connector.registry import connector
from koppel.issues.services import resolve_issues
from koppel.kit.secrets import Secret
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.policy import Actor, Permission

ATTEMPT_LIFETIME = timedelta(minutes=30)
CALLBACK = "/connections/consent/callback"


@dataclass(frozen=True)
class ConsentOutcome:
    """A sign-in that succeeded. `return_to` is where the person goes on."""

    connection_id: int
    purpose: str
    return_to: str
    account: str


def begin_consent(
    actor: Actor,
    app_id: int,
    purpose: ConsentPurpose,
    return_to: str,
    *,
    connection_id: int | None = None,
    language: str = "en",
    force_sign_in: bool = False,
) -> str:
    """The vendor's address to send the browser to. `return_to` is a path within Koppel. Raises `NoSuchConnection`."""
    actor.require(Permission.CONNECTIONS)
    app = app_for(actor, app_id)
    if connection_id is not None:
        own_connection(actor, connection_id)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _each in range(3))
    state_hash = _hash(state)
    hidden = msgspec.json.encode({"nonce": nonce, "verifier": verifier, "language": language})
    ConsentAttempt.objects.create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        app=app,
        connection_id=connection_id,
        purpose=purpose,
        state_hash=state_hash,
        secrets=keyring().seal(hidden, _attempt_row(state_hash, "secrets")),
        return_to=return_to,
        expires_at=timezone.now() + ATTEMPT_LIFETIME,
    )
    request = ConsentRequest(redirect_uri(), state, nonce, Secret(verifier), language, force_sign_in)
    step = connector(app.connector).begin_consent(credentials(app), request)
    if isinstance(step, Form):
        raise ConsentRefused("form", _("This system is connected with a form, which is not built yet."))
    return step.url


def redirect_uri() -> str:
    return f"{settings.PUBLIC_URL}{CALLBACK}"


def receive_answer(state: str, inbound: Mapping[str, str]) -> int | None:
    """Keep the vendor's answer under its `state`, before anybody uses it. The attempt's id; None for a forged state.

    A second answer to the same state changes nothing."""
    state_hash = _hash(state)
    with installation_scope("consent callback"):
        attempt = ConsentAttempt.objects.select_for_update().filter(state_hash=state_hash).first()
        if attempt is None:
            return None
        if attempt.answer is None:
            sealed = keyring().seal(msgspec.json.encode(dict(inbound)), _attempt_row(state_hash, "answer"))
            attempt.answer, attempt.answered_at = sealed, timezone.now()
            attempt.save(update_fields=["answer", "answered_at"])
        return attempt.pk


def complete_consent(actor: Actor, attempt_id: int) -> ConsentOutcome:
    """Exchange the code once and keep the grant, outside any transaction. Asked again, it answers the same.

    Raises `ConsentRefused` with a sentence: denied, expired, another person's, another account at reconnect."""
    with organisation_scope(actor.organisation_id):
        attempt = _claim(actor, attempt_id)
    if attempt.used_at is not None:
        return _again(actor, attempt)
    with organisation_scope(actor.organisation_id):
        app = attempt.app
    hidden = msgspec.json.decode(keyring().open(bytes(attempt.secrets), _attempt_row(attempt.state_hash, "secrets")))
    inbound = msgspec.json.decode(
        keyring().open(bytes(attempt.answer or b""), _attempt_row(attempt.state_hash, "answer")), type=dict[str, str]
    )
    request = ConsentRequest(redirect_uri(), inbound.get("state", ""), hidden["nonce"], Secret(hidden["verifier"]))

    async def exchange(made: Runtime) -> Consent:
        http = PlainHttp(made.http, addresses(app))
        return await connector(app.connector).complete_consent(http, credentials(app), request, inbound)

    try:
        consent = runtime.run(exchange)
    except ConsentDenied as denied:
        if denied.code == "access_denied":
            raise ConsentRefused("denied", _("You did not allow access, so nothing was connected.")) from None
        raise ConsentRefused("denied", str(denied)) from None
    except ConnectorError as error:
        raise ConsentRefused(error.code, str(error)) from None
    with organisation_scope(actor.organisation_id):
        connection_id = _keep(actor, attempt, consent)
    return ConsentOutcome(connection_id, attempt.purpose, attempt.return_to, consent.account)


def _claim(actor: Actor, attempt_id: int) -> ConsentAttempt:
    """Mark the attempt as used, so that its code is sent once. Returned with `used_at` None when it is ours to use."""
    found = ConsentAttempt.objects.select_for_update(of=("self",)).select_related("app", "connection")
    attempt = found.filter(organisation_id=actor.organisation_id, pk=attempt_id).first()
    if attempt is None or attempt.membership_id != actor.membership_id:
        raise ConsentRefused("unknown", _("This sign-in is not yours, or does not exist. Please start again."))
    if attempt.used_at is not None:
        return attempt
    if attempt.answer is None:
        raise ConsentRefused("unanswered", _("The accounting system has not answered yet. Please sign in there first."))
    if attempt.expires_at < timezone.now():
        raise ConsentRefused("expired", _("This sign-in took too long. Please start again."))
    ConsentAttempt.objects.filter(pk=attempt.pk).update(used_at=timezone.now())
    return attempt


def _again(actor: Actor, attempt: ConsentAttempt) -> ConsentOutcome:
    if attempt.connection_id is None or attempt.connection is None:
        raise ConsentRefused("used", _("This sign-in was used before. Please start again."))
    return ConsentOutcome(attempt.connection_id, attempt.purpose, attempt.return_to, attempt.connection.account)


def _keep(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> int:
    connection = _connection_for(actor, attempt, consent)
    keep_grant(actor.organisation_id, connection, consent.subject, consent.company_id or "", consent.tokens)
    before = connection.state
    Connection.objects.filter(organisation_id=actor.organisation_id, pk=connection.pk).update(
        state=ConnectionState.ACTIVE, reason="", last_contact_at=timezone.now(), account=consent.account
    )
    resolve_issues(actor.organisation_id, ("connection", connection.pk), "consent_lost")
    kind = "connected" if before == ConnectionState.PENDING else "reconnected"
    note_event(connection, kind, {"account": consent.account}, actor.name)
    record(
        actor.organisation_id, actor.audit, f"connection.{kind}", subject=("connection", connection.pk, consent.account)
    )
    ConsentAttempt.objects.filter(pk=attempt.pk).update(connection=connection)
    return connection.pk


def _connection_for(actor: Actor, attempt: ConsentAttempt, consent: Consent) -> Connection:
    """The connection that is signed in again, the one that this account has already, or a new one."""
    own = Connection.objects.filter(organisation_id=actor.organisation_id).exclude(state=ConnectionState.REMOVED)
    if attempt.connection_id is not None:
        connection = own.get(pk=attempt.connection_id)
        known = Grant.objects.filter(connection=connection).values_list("subject", flat=True)
        if known and consent.subject not in known:
            sentence = _("You signed in as %(new)s, but this connection belongs to %(old)s. Nothing was changed.")
            raise ConsentRefused("other_account", sentence % {"new": consent.account, "old": connection.account})
        return connection
    existing = own.filter(app=attempt.app, grants__subject=consent.subject).first()
    return existing or Connection.objects.create(
        organisation_id=actor.organisation_id,
        connector=attempt.app.connector,
        app=attempt.app,
        owner_id=actor.membership_id,
        account=consent.account,
    )


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _attempt_row(state_hash: str, column: str) -> str:
    return f"connections_consent_attempt|{state_hash}|{column}"
