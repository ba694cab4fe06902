"""Revoke unused tokens at the vendor, so that a copy of them is worthless; then erase them."""

from functools import partial

import structlog
from django.utils import timezone
from django.utils.translation import gettext_noop

from koppel.connections.health import add_timeline_event
from koppel.connections.models import AppRegistration, ConsentAttempt, Grant, GrantReason, TimelineKind
from koppel.connections.sessions import Runtime
from koppel.connections.vault import credentials
from koppel.connections.vendor_http import OriginRestrictedHttp, base_urls_of
from koppel.connector.contract import Tokens
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connector
from koppel.kit.database.threads import run_in_thread
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import decrypt_column, encrypt_column
from koppel.kit.jobs import enqueue
from koppel.kit.tenancy import organisation_scope

log = structlog.get_logger(__name__)
REVOKED = gettext_noop("The consent was revoked.")
ERASED = b""
"""The value of an erased token."""


async def revoke(current: Runtime, organisation_id: int, grant_ids: list[int]) -> None:
    """Revoke grants at the vendor, one after the other. Outside any transaction.

    Raises the connector's errors: then the job is repeated for the rest.
    """
    for grant_id in grant_ids:
        app_and_token = await run_in_thread(partial(_revocable_token, organisation_id, grant_id))
        if app_and_token is None:
            continue
        app, generation, token = app_and_token
        http = OriginRestrictedHttp(current.http, base_urls_of(app))
        try:
            await connector(app.connector).revoke(http, credentials(app), token)
        except ConnectorError as error:
            log.warning("grant_revocation_failed", grant=grant_id, code=error.code)
            raise
        await run_in_thread(partial(_erase_tokens, organisation_id, grant_id, generation))
        log.info("grant_revoked", grant=grant_id)


def revoke_later(organisation_id: int, grant_ids: list[int]) -> None:
    """Mark grants as invalid, and enqueue a job that revokes them at the vendor. In the caller's transaction
    and scope.
    """
    grants = Grant.objects.in_organisation(organisation_id).filter(pk__in=grant_ids)
    grants.filter(invalid_since=None).update(
        invalid_since=timezone.now(),
        invalid_code=GrantReason.SUPERSEDED,
        invalid_reason=REVOKED,
    )
    grants.update(maintain_at=None)
    if grant_ids:
        enqueue("connections.revoke_grants", organisation_id=organisation_id, grant_ids=sorted(grant_ids))


def revoke_unused_consent(attempt: ConsentAttempt, tokens: Tokens) -> None:
    """Enqueue a job that revokes a consent which Koppel refuses. In the caller's transaction and scope."""
    revoke_unused_token(attempt, tokens.refresh_token or tokens.access_token)


def revoke_unused_token(attempt: ConsentAttempt, token: Secret) -> None:
    """Enqueue a job that revokes a token which this sign-in did not use or replaced.

    Until then the attempt has the token, encrypted.
    """
    ConsentAttempt.objects.filter(pk=attempt.pk).update(
        unused_token=encrypt_column(attempt, "unused_token", token)
    )
    enqueue(
        "connections.revoke_unused_consent", organisation_id=attempt.organisation_id, attempt_id=attempt.pk
    )


async def revoke_attempt(current: Runtime, organisation_id: int, attempt_id: int) -> None:
    """Revoke the unused token of an attempt. Outside any transaction. Raises the connector's errors: then the
    job is repeated.
    """
    app_and_token = await run_in_thread(partial(_unused_token, organisation_id, attempt_id))
    if app_and_token is None:
        return
    app, token = app_and_token
    await connector(app.connector).revoke(
        OriginRestrictedHttp(current.http, base_urls_of(app)), credentials(app), token
    )
    await run_in_thread(partial(_erase_unused_token, organisation_id, attempt_id))
    log.info("unused_consent_revoked", attempt=attempt_id)


def _unused_token(organisation_id: int, attempt_id: int) -> tuple[AppRegistration, Secret] | None:
    with organisation_scope(organisation_id):
        queryset = (
            ConsentAttempt.objects.in_organisation(organisation_id)
            .filter(pk=attempt_id)
            .select_related("app")
        )
        attempt = queryset.exclude(unused_token=None).first()
    if attempt is None:
        return None
    return attempt.app, decrypt_column(attempt, "unused_token")


def _erase_unused_token(organisation_id: int, attempt_id: int) -> None:
    with organisation_scope(organisation_id):
        ConsentAttempt.objects.in_organisation(organisation_id).filter(pk=attempt_id).update(
            unused_token=None
        )


def _revocable_token(organisation_id: int, grant_id: int) -> tuple[AppRegistration, int, Secret] | None:
    """Return the app, the generation and the token to revoke: the refresh token, which revokes its whole
    family, or else the access token.

    None for a valid grant: the same account was signed in again before this job.
    """
    with organisation_scope(organisation_id):
        queryset = (
            Grant.objects.in_organisation(organisation_id).filter(pk=grant_id).exclude(invalid_since=None)
        )
        grant = queryset.select_related("connection__app").first()
    if grant is None or not bytes(grant.access_token):
        return None
    column = "refresh_token" if grant.refresh_token else "access_token"
    return grant.connection.app, grant.generation, decrypt_column(grant, column)


def _erase_tokens(organisation_id: int, grant_id: int, generation: int) -> None:
    """Erase the tokens of a grant, unless a new sign-in has replaced them."""
    with organisation_scope(organisation_id):
        grants = Grant.objects.in_organisation(organisation_id).filter(pk=grant_id, generation=generation)
        if grants.exclude(invalid_since=None).update(access_token=ERASED, refresh_token=None):
            connection = grants.select_related("connection").get().connection
            add_timeline_event(connection, TimelineKind.REVOKED, {"account": connection.account})
