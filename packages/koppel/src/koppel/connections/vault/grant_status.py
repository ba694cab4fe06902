"""What the vault finds out about a grant, as people see it on the connection: lost, degraded, recovered.

Each is one transaction with the grant's own row, so that no crash leaves a dead grant on a connection that looks well.
"""

from django.utils.translation import gettext_noop

from koppel.connections.health import lock_connection, record_failure, record_success, require_reauth
from koppel.connections.models import Grant
from koppel.kit.clock import now
from koppel.kit.tenancy import organisation_scope

INTERRUPTED = gettext_noop("Koppel was interrupted while it renewed the consent, and the new token was lost.")
UNANSWERED = gettext_noop(
    "The accounting system did not answer when Koppel renewed the consent, and the new token was lost with its answer."
)
NO_REFRESH_TOKEN = gettext_noop("The accounting system gave no token with which the consent can be renewed.")


def grant_lost(organisation_id: int, grant_id: int, generation: int, code: str, message: str) -> bool:
    """The grant is dead: nobody tries it again. False when it was signed in again in the meantime, or is known to be dead.

    A candidate serves nothing yet, so the connection loses nothing with it."""
    with organisation_scope(organisation_id):
        grant = Grant.objects.filter(organisation_id=organisation_id, pk=grant_id).first()
        if grant is None:
            return False
        lock_connection(organisation_id, grant.connection_id)  # before the grant, as sign-ins do
        alive = Grant.objects.filter(
            organisation_id=organisation_id, pk=grant_id, generation=generation, invalid_since=None
        )
        changed = alive.update(
            invalid_since=now(),
            invalid_reason=f"{code}: {message}",
            refresh_started_at=None,
            refresh_error="",
            maintain_at=None,
        )
        if changed and not grant.is_pending_transfer:
            require_reauth(organisation_id, grant.connection_id, message)
    return bool(changed)


def app_refused(organisation_id: int, connection_id: int, message: str) -> None:
    """The app registration is refused: a person must correct it, after which the grants live on."""
    require_reauth(organisation_id, connection_id, message)


def degraded(organisation_id: int, connection_id: int, message: str) -> None:
    """The token endpoint gives nothing that callers could use meanwhile: Koppel is retrying, nobody is told."""
    record_failure(organisation_id, connection_id, None, message, whole=True)


def recovered(organisation_id: int, connection_id: int) -> None:
    """A grant was renewed after failures."""
    record_success(organisation_id, connection_id)
