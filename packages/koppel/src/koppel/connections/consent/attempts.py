"""Consent attempts: begin one, store the vendor's response, complete it once.

An attempt is bound four ways: to the person who began it, to the browser it began in, to the flow it returns
to, and to the vendor's response by `state` and `nonce`.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import msgspec
import structlog
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.app_registrations.redirects import redirect_uri
from koppel.connections.app_registrations.services import app_for
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.consent.consent_storage import store_consent
from koppel.connections.errors import ConsentRefused
from koppel.connections.lifecycle.revocation import ERASED, revoke_unused_consent
from koppel.connections.models import AppRegistration, ConsentAttempt, ConsentPurpose, ConsentRefusal
from koppel.connections.queries import get_connection
from koppel.connections.sessions import Runtime, call_vendor_blocking
from koppel.connections.vault import (
    KEY_MISSING,
    TokenPauses,
    credentials,
    pause_sentence,
    token_pause_seconds,
)
from koppel.connections.vendor_http import OriginRestrictedHttp, base_urls_of
from koppel.connector.contract import Consent, ConsentRequest, CredentialForm
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connector
from koppel.kit import quarantine
from koppel.kit.database.locks import LockName, LockTimeout, session_lock
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.encryption.fields import decrypt_column, encrypt_column
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.roles import Actor, Permission

log = structlog.get_logger(__name__)

ATTEMPT_LIFETIME = timedelta(minutes=30)
EXCHANGE_LIMIT = timedelta(minutes=10)
"""Longer than an exchange that began in the last second of an attempt takes."""
SIGN_IN_SECONDS = 60
"""How long a person takes to sign in at the vendor: a shorter pause of the token endpoint is over by then."""
DUPLICATE_REQUEST_WAIT_SECONDS = 15
"""How long a second request for the same sign-in waits for the outcome of the first (a doubled click)."""


@dataclass(frozen=True)
class ConsentOutcome:
    """A successful sign-in."""

    connection_id: int
    purpose: str
    return_path: str
    """The path at which the person continues."""
    account: str


def begin_attempt(
    actor: Actor,
    app_id: int,
    purpose: ConsentPurpose,
    return_path: str,
    *,
    connection_id: int | None = None,
    language: str = "en",
    force_sign_in: bool = False,
    browser: str = "",
) -> str:
    """Store an attempt and return the vendor's address to send the browser to.

    `return_path` is a path within Koppel. `browser` is the value of the browser's cookie
    (`connections.consent.browser_binding`); '' leaves the attempt unbound. Raises
    `NoSuchAppRegistration`, `NoSuchConnection`, `ConsentRefused` and `Quarantined`.
    """
    actor.require(Permission.MANAGE_CONNECTIONS)
    quarantine.refuse()
    app = app_for(actor, app_id)
    if (seconds := token_pause_seconds(app.pk)) > SIGN_IN_SECONDS:
        raise ConsentRefused(ConsentRefusal.TOKEN_PAUSE, pause_sentence(seconds))
    if connection_id is not None:
        get_connection(actor, connection_id)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _each in range(3))
    attempt = ConsentAttempt(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        app=app,
        connection_id=connection_id,
        purpose=purpose,
        state_hash=_hash(state),
        browser_hash=_hash(browser) if browser else "",
        return_path=return_path,
        expires_at=timezone.now() + ATTEMPT_LIFETIME,
        secrets=b"",
    )
    attempt.save()
    attempt.secrets = encrypt_column(attempt, "secrets", _json_secret({"nonce": nonce, "verifier": verifier}))
    attempt.save(update_fields=["secrets"])
    request = ConsentRequest(redirect_uri(), state, nonce, Secret(verifier), language, force_sign_in)
    try:
        step = connector(app.connector).begin_consent(credentials(app), request)
    except DecryptionError:
        raise ConsentRefused(ConsentRefusal.ENCRYPTION_KEY_MISSING, _(KEY_MISSING)) from None
    if isinstance(step, CredentialForm):
        raise ConsentRefused(
            ConsentRefusal.FORM_UNSUPPORTED,
            _("This system uses a connection form that Koppel does not support yet."),
        )
    return step.url


def receive_callback(state: str, inbound: Mapping[str, str]) -> int | None:
    """Store the vendor's response under its `state`. Returns the attempt's id; None for an unknown state.

    A second answer to the same state changes nothing.
    """
    with installation_scope("consent callback"):
        attempt = ConsentAttempt.objects.select_for_update().filter(state_hash=_hash(state)).first()
        if attempt is None:
            return None
        if attempt.callback is None:
            attempt.callback = encrypt_column(attempt, "callback", _json_secret(inbound))
            attempt.callback_at = timezone.now()
            attempt.save(update_fields=["callback", "callback_at"])
        return attempt.pk


def return_path(actor: Actor, attempt_id: int) -> str:
    """Return the path at which the person continues; '' when the attempt is not the actor's."""
    with organisation_scope(actor.organisation_id):
        attempt = ConsentAttempt.objects.for_actor(actor).filter(
            pk=attempt_id, membership_id=actor.membership_id
        )
        return attempt.values_list("return_path", flat=True).first() or ""


def complete_attempt(actor: Actor, attempt_id: int, browser: str = "") -> ConsentOutcome:
    """Exchange the code once and store the grant, outside any transaction.

    A repeated or concurrent call waits for the first and returns its outcome. Raises `ConsentRefused` with a
    sentence: denied, expired, another person's, another account at reconnect; `Quarantined` before the code
    is used.
    """
    quarantine.refuse()
    ids, timeout_seconds = (actor.organisation_id, attempt_id), DUPLICATE_REQUEST_WAIT_SECONDS
    try:
        with session_lock(LockName.CONSENT_ATTEMPT, *ids, timeout_seconds=timeout_seconds):
            return _complete(actor, attempt_id, browser)
    except LockTimeout:
        raise _already_used() from None


def _complete(actor: Actor, attempt_id: int, browser: str) -> ConsentOutcome:
    _require_no_pause(actor, attempt_id)
    with organisation_scope(actor.organisation_id):
        attempt = _mark_used(actor, attempt_id, browser)
    if attempt.consumed_at is not None:
        return _outcome(attempt)
    try:
        consent = _exchange(attempt, attempt.app)
    except Exception as error:
        refusal = _refusal_of(error)
        with organisation_scope(actor.organisation_id):
            _store_refusal(attempt, refusal)
        raise refusal from None
    try:
        with organisation_scope(actor.organisation_id):
            _erase_answer(attempt)
            connection_id = store_consent(actor, attempt, consent)
    except ConsentRefused as refusal:
        with organisation_scope(actor.organisation_id):
            _store_refusal(attempt, refusal)
            revoke_unused_consent(attempt, consent.tokens)
            _audit(actor, attempt, consent.account, refusal.code)
        raise
    return ConsentOutcome(connection_id, attempt.purpose, attempt.return_path, consent.account)


def _require_no_pause(actor: Actor, attempt_id: int) -> None:
    """Raise `ConsentRefused` while the token endpoint must not be called; the sign-in stays unused."""
    with organisation_scope(actor.organisation_id):
        unused = ConsentAttempt.objects.for_actor(actor).filter(pk=attempt_id, consumed_at=None)
        app_id = unused.values_list("app_id", flat=True).first()
    if app_id is not None and (seconds := token_pause_seconds(app_id)):
        raise ConsentRefused(ConsentRefusal.TOKEN_PAUSE, pause_sentence(seconds))


def _refusal_of(error: Exception) -> ConsentRefused:
    """Return an error as a refusal with a sentence, also for an unexpected one."""
    if isinstance(error, ConnectorError) and error.requested_pause_seconds:
        return ConsentRefused(error.code, pause_sentence(error.requested_pause_seconds))
    if isinstance(error, ConnectorError):
        return ConsentRefused(error.code, render_sentence(error.sentence))
    if isinstance(error, DecryptionError):
        return ConsentRefused(ConsentRefusal.ENCRYPTION_KEY_MISSING, _(KEY_MISSING))
    if isinstance(error, Quarantined):  # it began in this moment, and the code is marked as used
        return ConsentRefused(error.code, str(error))
    log.error("consent_response_invalid", exc_info=error)
    message = _(
        "Koppel could not read the accounting system's answer. Nothing was connected. Please try again."
    )
    return ConsentRefused(ConsentRefusal.UNEXPECTED_RESPONSE, message)


def _store_refusal(attempt: ConsentAttempt, refusal: ConsentRefused) -> None:
    _erase_answer(attempt)
    ConsentAttempt.objects.filter(pk=attempt.pk).update(
        refusal_code=refusal.code[:60], refusal_message=str(refusal)
    )


def _erase_answer(attempt: ConsentAttempt) -> None:
    """Erase what only this sign-in needed, once its code was used; the row stays against a replay."""
    ConsentAttempt.objects.filter(pk=attempt.pk).update(secrets=ERASED, callback=ERASED)


def erase_expired_answers() -> int:
    """Erase the secrets of sign-ins that were never completed. Return the number."""
    with installation_scope("expired sign-ins"):
        expired = ConsentAttempt.objects.filter(expires_at__lt=timezone.now() - EXCHANGE_LIMIT)
        count = expired.exclude(secrets=ERASED).update(secrets=ERASED, callback=None)
        return count + expired.exclude(callback=None).exclude(callback=ERASED).update(callback=ERASED)


def _audit(actor: Actor, attempt: ConsentAttempt, account: str, code: str) -> None:
    connection = attempt.connection
    subject = Subject(
        SubjectKind.CONNECTION, connection.pk if connection else 0, connection.account if connection else ""
    )
    details = {"account": account, "reason": code}
    add_audit_entry(
        actor.organisation_id, actor.audit, ConnectionAction.SIGN_IN_REFUSED, subject=subject, details=details
    )


def _mark_used(actor: Actor, attempt_id: int, browser: str) -> ConsentAttempt:
    """Mark the attempt as used, so that its code is sent once.

    `consumed_at` of the result is None if this call marked it. Raises `ConsentRefused`.
    """
    attempts = ConsentAttempt.objects.select_for_update(of=("self",)).select_related("app", "connection")
    attempt = attempts.for_actor(actor).filter(pk=attempt_id).first()
    if attempt is None or attempt.membership_id != actor.membership_id:
        raise ConsentRefused(
            ConsentRefusal.UNKNOWN_ATTEMPT,
            _("This sign-in is not yours, or does not exist. Please start again."),
        )
    if attempt.browser_hash and not secrets.compare_digest(attempt.browser_hash, _hash(browser)):
        raise ConsentRefused(
            ConsentRefusal.OTHER_BROWSER,
            _("This sign-in was started in another browser. Please start again."),
        )
    if attempt.consumed_at is not None:
        return attempt
    if attempt.callback is None:
        raise ConsentRefused(
            ConsentRefusal.CALLBACK_MISSING,
            _("The accounting system has not responded yet. Please sign in there first."),
        )
    if attempt.expires_at < timezone.now():
        raise ConsentRefused(ConsentRefusal.EXPIRED, _("This sign-in took too long. Please start again."))
    ConsentAttempt.objects.filter(pk=attempt.pk).update(consumed_at=timezone.now())
    return attempt


def _exchange(attempt: ConsentAttempt, app: AppRegistration) -> Consent:
    stored_secrets, callback = _decrypted_json(attempt, "secrets"), _decrypted_json(attempt, "callback")
    request = ConsentRequest(
        redirect_uri(), callback.get("state", ""), stored_secrets["nonce"], Secret(stored_secrets["verifier"])
    )

    async def exchange(current: Runtime) -> Consent:
        http = OriginRestrictedHttp(current.http, base_urls_of(app))
        async with TokenPauses(current.database).storing(app.pk):
            return await connector(app.connector).complete_consent(http, credentials(app), request, callback)

    return call_vendor_blocking(attempt.organisation_id, exchange)


def _outcome(attempt: ConsentAttempt) -> ConsentOutcome:
    """Return how an attempt ended that was used before. Raises `ConsentRefused` when it was refused, or
    interrupted.
    """
    if attempt.refusal_code:
        raise ConsentRefused(attempt.refusal_code, attempt.refusal_message)
    if attempt.granted_at is None or attempt.connection is None:
        raise _already_used()
    return ConsentOutcome(
        attempt.connection.pk, attempt.purpose, attempt.return_path, attempt.connection.account
    )


def _already_used() -> ConsentRefused:
    return ConsentRefused(
        ConsentRefusal.ALREADY_USED, _("This sign-in has already been used. Please start again.")
    )


def _json_secret(values: Mapping[str, str]) -> Secret:
    return Secret(msgspec.json.encode(dict(values)).decode())


def _decrypted_json(attempt: ConsentAttempt, column: str) -> dict[str, str]:
    return msgspec.json.decode(decrypt_column(attempt, column).reveal(), type=dict[str, str])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
