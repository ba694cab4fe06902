"""The one way to write the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from koppel.audit.audit_actions import AuditAction
from koppel.audit.models import ActorKind, AuditEntry, Interface
from koppel.audit.subjects import Subject


@dataclass(frozen=True)
class AuditActor:
    """Who acts, from which IP address and interface."""

    kind: ActorKind
    id: int | None
    name: str
    ip_address: str = ""
    interface: Interface = Interface.JOB


def add_audit_entry(
    organisation_id: int,
    actor: AuditActor,
    action: AuditAction,
    *,
    subject: Subject | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the audit log, in the caller's transaction; if that is rolled back, so is the entry."""
    AuditEntry.objects.create(
        organisation_id=organisation_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        ip_address=actor.ip_address,
        interface=actor.interface,
        action=action,
        subject_kind=subject.kind if subject else "",
        subject_id=subject.id if subject else None,
        subject_name=subject.name if subject else "",
        details=dict(details or {}),
    )
