"""The scope of a consent: imported companies may be read, all others only be listed and described.

This app does not know administrations: it asks a hook (`connections.hooks`) for the imported company, and
without one no session reads books. Every refusal is written to the audit log, in a transaction of its own.
"""

from koppel.audit.services import KOPPEL_ACTOR, add_audit_entry
from koppel.audit.subjects import Subject
from koppel.connections.audit_actions import VaultAction
from koppel.kit.tenancy import organisation_scope


def audit_call_outside_consent(organisation_id: int, subject: Subject, reason: str) -> None:
    """Write to the audit log that a call outside the consent was refused. `reason` is a stable code."""
    with organisation_scope(organisation_id):
        add_audit_entry(
            organisation_id,
            KOPPEL_ACTOR,
            VaultAction.CONSENT_SCOPE_REFUSED,
            subject=subject,
            details={"reason": reason},
        )
