"""The effect of a grant's state on its connection: lost, degraded, recovered.

`mark_lost` changes grant and connection in one transaction, so that no crash leaves a lost grant on a
connection that looks well.
"""

from django.utils.translation import gettext_noop

from koppel.connections.health import lock_connection, record_failure, record_success, require_reauth
from koppel.connections.models import Grant
from koppel.kit.clock import now
from koppel.kit.tenancy import organisation_scope

INTERRUPTED = gettext_noop("Koppel was interrupted while renewing the consent, and the new token was lost.")
UNANSWERED = gettext_noop(
    "The accounting system did not respond while Koppel renewed the consent, and the new token was lost."
)
NO_REFRESH_TOKEN = gettext_noop("The accounting system did not issue a token to renew the consent.")


def mark_lost(organisation_id: int, grant_id: int, generation: int, code: str, message: str) -> bool:
    """Mark the grant as invalid. False when it was signed in again in the meantime, or is invalid already.

    A grant of a pending transfer serves nothing yet, so the connection needs no new sign-in for it.
    """
    with organisation_scope(organisation_id):
        grant = Grant.objects.in_organisation(organisation_id).filter(pk=grant_id).first()
        if grant is None:
            return False
        lock_connection(organisation_id, grant.connection_id)  # before the grant, as sign-ins do
        alive = Grant.objects.in_organisation(organisation_id).filter(
            pk=grant_id, generation=generation, invalid_since=None
        )
        changed = alive.update(
            invalid_since=now(),
            invalid_code=code[:60],
            invalid_reason=message,
            refresh_started_at=None,
            refresh_error="",
            maintain_at=None,
        )
        if changed and not grant.is_pending_transfer:
            require_reauth(organisation_id, grant.connection_id, message)
    return bool(changed)


def mark_app_refused(organisation_id: int, connection_id: int, message: str) -> None:
    """Require a sign-in, because the vendor refuses the app registration: a person must correct it, after
    which the grants work again.
    """
    require_reauth(organisation_id, connection_id, message)


def mark_degraded(organisation_id: int, connection_id: int, message: str) -> None:
    """Mark the connection as degraded, because callers have no token while Koppel retries. No notification is
    sent.
    """
    record_failure(organisation_id, connection_id, None, message, connection_wide=True)


def mark_recovered(organisation_id: int, connection_id: int) -> None:
    """Mark the connection as working, because a grant was refreshed after failures."""
    record_success(organisation_id, connection_id)
