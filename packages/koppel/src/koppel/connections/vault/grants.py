"""Storage of the tokens of a new consent; reset of failures when an app registration is corrected."""

import random
from datetime import datetime, timedelta

from koppel.connections.models import AppRegistration, Connection, Grant
from koppel.connections.vault.encryption import decrypt_token, encrypt_token
from koppel.connector.contract import Tokens
from koppel.connector.registry import connector
from koppel.kit.clock import now
from koppel.kit.database.replication import wait_for_standby
from koppel.kit.encryption import DecryptionError, Secret

HEALTHY_FIELDS = {
    "refresh_started_at": None,
    "refresh_error": "",
    "failures": 0,
    "failure_kind": "",
    "failure_code": "",
    "failure_reason": "",
    "retry_at": None,
    "last_forced_refresh_at": None,
    "invalid_since": None,
    "invalid_code": "",
    "invalid_reason": "",
}
"""The columns of a grant with which nothing is wrong."""


def store_grant(
    organisation_id: int, connection: Connection, subject: str, company_id: str, tokens: Tokens
) -> Grant:
    """Store a new consent, replacing an older one of the same person and company. In the caller's transaction
    and scope, whose commit waits for the synchronous standby.

    For modes `is_by_company_id` the tokens come from `Connector.service_token`, and `subject` is the
    company's id too.
    """
    wait_for_standby()
    grant, grant_created = Grant.objects.get_or_create(
        organisation_id=organisation_id,
        connection=connection,
        subject=subject,
        company_id=company_id,
        defaults={"access_token": b"", "issued_at": tokens.issued_at, "expires_at": tokens.expires_at},
    )
    identity = (organisation_id, grant.pk)
    maintain_at = keep_alive_at(connection.connector, tokens.issued_at, tokens.refresh_expires_at)
    # The generation rises, so that a response to a refresh of the older consent is not stored over this one.
    Grant.objects.in_organisation(organisation_id).filter(pk=grant.pk).update(
        access_token=encrypt_token(tokens.access_token, *identity, "access_token"),
        refresh_token=encrypt_token(tokens.refresh_token, *identity, "refresh_token")
        if tokens.refresh_token
        else None,
        issued_at=tokens.issued_at,
        expires_at=tokens.expires_at,
        refresh_expires_at=tokens.refresh_expires_at,
        scope=tokens.scope,
        generation=grant.generation + (0 if grant_created else 1),
        maintain_at=maintain_at if tokens.refresh_token else None,
        **HEALTHY_FIELDS,
    )
    return grant


def superseded_refresh_token(
    organisation_id: int, connection: Connection, subject: str, company_id: str, tokens: Tokens
) -> Secret | None:
    """Return the refresh token that `store_grant` will overwrite, if it is to be revoked at the vendor.

    Locks the grant until the caller's transaction ends. Returns None where revoking would also end the new
    consent: the vendor issued the same token again, or revokes everything that a person consented to. An
    access token alone expires within the hour.
    """
    if not connector(connection.connector).descriptor.revokes_one_sign_in_only:
        return None
    grants = (
        Grant.objects.select_for_update(no_key=True)
        .in_organisation(organisation_id)
        .filter(connection=connection)
    )
    grant = grants.filter(subject=subject, company_id=company_id).first()
    if grant is None or not grant.refresh_token:
        return None
    try:
        replaced = decrypt_token(bytes(grant.refresh_token), organisation_id, grant.pk, "refresh_token")
    except DecryptionError:
        return None
    return None if replaced == tokens.refresh_token else replaced


def clear_app_failures(app: AppRegistration) -> int:
    """Let the grants of a corrected registration be tried again at once. Returns how many. In the caller's
    scope.
    """
    refused = Grant.objects.filter(connection__app=app, invalid_since=None).exclude(retry_at=None)
    return refused.update(retry_at=None, maintain_at=now())


def keep_alive_at(
    connector_key: str, issued_at: datetime, refresh_expires_at: datetime | None
) -> datetime | None:
    """Return when to refresh the tokens of an unused grant: before half of the vendor's limit. None: no
    limit.

    Spread over a tenth of the limit, so that consents given together are not always refreshed together.
    """
    limits: list[timedelta] = []
    if within := connector(connector_key).descriptor.keep_alive_within:
        limits.append(within)
    if refresh_expires_at:
        limits.append(refresh_expires_at - issued_at)
    return issued_at + min(limits) * random.uniform(0.4, 0.5) if limits else None  # noqa: S311 - jitter
