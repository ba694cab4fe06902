"""Tokens that nobody needs any more are withdrawn at the vendor, so that a copy of them is worth nothing; then forgotten."""

from functools import partial

import structlog
from django.utils import timezone

from koppel.connections.health.states import RETIRED
from koppel.connections.health.timeline import note_event
from koppel.connections.models import AppRegistration, ConsentAttempt, Grant
from koppel.connections.sessions.sessions import Runtime
from koppel.connections.vault.encryption import addresses, attempt_row, credentials, open_token
from koppel.connections.vault.http import PlainHttp
from koppel.connector.contract import Tokens
from koppel.connector.errors import ConnectorError
from koppel.connector.registry import connector
from koppel.kit.secrets import Secret
from koppel.kit.tenancy import organisation_scope
from koppel.kit.threads import in_django
from koppel.organisations.encryption import keyring

log = structlog.get_logger(__name__)
NOTHING = b""
"""Stands where a token stood."""


async def revoke(made: Runtime, organisation_id: int, grant_ids: list[int]) -> None:
    """Outside any transaction; one after the other. Raises the connector's errors: then the rest is tried again later."""
    for grant_id in grant_ids:
        found = await in_django(partial(_token, organisation_id, grant_id))
        if found is None:
            continue
        app, generation, token = found
        http = PlainHttp(made.http, addresses(app))
        try:
            await connector(app.connector).revoke(http, credentials(app), token)
        except ConnectorError as error:
            log.warning("grant_not_revoked", grant=grant_id, code=error.code)
            raise
        await in_django(partial(_forget, organisation_id, grant_id, generation))
        log.info("grant_revoked", grant=grant_id)


def retire(organisation_id: int, grant_ids: list[int]) -> None:
    """From now on these grants give no token; a job withdraws them at the vendor. In the caller's transaction and scope."""
    from koppel.connections.tasks import revoke_grants  # noqa: PLC0415 - tasks import this module

    own = Grant.objects.filter(organisation_id=organisation_id, pk__in=grant_ids)
    own.filter(lost_at=None).update(lost_at=timezone.now(), lost_reason=f"{RETIRED} The consent was given back.")
    own.update(attend_at=None)
    if grant_ids:
        revoke_grants.defer(organisation_id=organisation_id, grant_ids=sorted(grant_ids))


def give_back_unused(attempt: ConsentAttempt, tokens: Tokens) -> None:
    """A sign-in brought a consent that Koppel refuses: a job withdraws it. In the caller's transaction and scope."""
    give_back_token(attempt, tokens.refresh_token or tokens.access_token)


def give_back_token(attempt: ConsentAttempt, token: Secret) -> None:
    """A token that this sign-in brought in vain, or replaced by a newer one, is withdrawn by a job, once this is committed.

    Until then it lies sealed where the attempt's own secrets lay, which have served."""
    from koppel.connections.tasks import give_back_consent  # noqa: PLC0415 - tasks import this module

    sealed = keyring().seal(token.reveal().encode(), attempt_row(attempt.state_hash, "secrets"))
    ConsentAttempt.objects.filter(pk=attempt.pk).update(secrets=sealed)
    give_back_consent.defer(organisation_id=attempt.organisation_id, attempt_id=attempt.pk)


async def give_back(made: Runtime, organisation_id: int, attempt_id: int) -> None:
    """Outside any transaction. Raises the connector's errors: then it is tried again later."""
    found = await in_django(partial(_unused, organisation_id, attempt_id))
    if found is None:
        return
    app, token = found
    await connector(app.connector).revoke(PlainHttp(made.http, addresses(app)), credentials(app), token)
    await in_django(partial(_forget_unused, organisation_id, attempt_id))
    log.info("consent_given_back", attempt=attempt_id)


def _unused(organisation_id: int, attempt_id: int) -> tuple[AppRegistration, Secret] | None:
    with organisation_scope(organisation_id):
        found = ConsentAttempt.objects.filter(organisation_id=organisation_id, pk=attempt_id).select_related("app")
        attempt = found.exclude(secrets=NOTHING).first()
    if attempt is None:
        return None
    return attempt.app, Secret(
        keyring().open(bytes(attempt.secrets), attempt_row(attempt.state_hash, "secrets")).decode()
    )


def _forget_unused(organisation_id: int, attempt_id: int) -> None:
    with organisation_scope(organisation_id):
        ConsentAttempt.objects.filter(organisation_id=organisation_id, pk=attempt_id).update(secrets=NOTHING)


def _token(organisation_id: int, grant_id: int) -> tuple[AppRegistration, int, Secret] | None:
    """The refresh token revokes its family; without one, the access token is revoked. With the generation that it is of.

    None for a grant that lives: the same account was signed in again before this job came to it."""
    with organisation_scope(organisation_id):
        found = Grant.objects.filter(organisation_id=organisation_id, pk=grant_id).exclude(lost_at=None)
        grant = found.select_related("connection__app").first()
    if grant is None or not bytes(grant.access_token):
        return None
    column = "refresh_token" if grant.refresh_token else "access_token"
    sealed = bytes(grant.refresh_token or grant.access_token)
    return grant.connection.app, grant.generation, open_token(sealed, organisation_id, grant_id, column)


def _forget(organisation_id: int, grant_id: int, generation: int) -> None:
    """Unless other tokens stand there by now."""
    with organisation_scope(organisation_id):
        own = Grant.objects.filter(organisation_id=organisation_id, pk=grant_id, generation=generation)
        if own.exclude(lost_at=None).update(access_token=NOTHING, refresh_token=None):
            connection = own.select_related("connection").get().connection
            note_event(connection, "revoked", {"account": connection.account})
