"""Consent scope: what was imported may be read, everything else of a consent may at most be listed and described.

This slice does not know administrations; the slice that does proves an import, and without that proof no session reads books.
Every refusal is written to the audit trail, in a transaction of its own.
"""

from koppel.audit.models import ActorKind
from koppel.audit.services import AuditActor, record
from koppel.kit.tenancy import organisation_scope

REFUSED = "consent_scope.refused"
SESSION = AuditActor(ActorKind.JOB, None, "Koppel")


def audit_refusal(organisation_id: int, subject: tuple[str, int, str], reason: str, by: AuditActor = SESSION) -> None:
    """Somebody or something asked for books that are not imported here. `reason` is a stable word."""
    with organisation_scope(organisation_id):
        record(organisation_id, by, REFUSED, subject=subject, details={"reason": reason})
