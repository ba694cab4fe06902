"""The one way to write the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from koppel.audit.audit_actions import AuditAction
from koppel.audit.models import ActorKind, AuditEntry, Interface


@dataclass(frozen=True)
class AuditActor:
    """Who acts, from which IP address and interface."""

    kind: ActorKind
    id: int | None
    name: str
    ip_address: str = ""
    interface: Interface = Interface.JOB


def record(
    organisation_id: int,
    actor: AuditActor,
    action: AuditAction,
    *,
    subject: tuple[str, int | None, str] = ("", None, ""),
    details: Mapping[str, Any] | None = None,
) -> None:
    """Append one act, in the caller's transaction: an act that is rolled back leaves no trace of having happened."""
    kind, subject_id, name = subject
    AuditEntry.objects.create(
        organisation_id=organisation_id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        ip_address=actor.ip_address,
        interface=actor.interface,
        action=action,
        subject_kind=kind,
        subject_id=subject_id,
        subject_name=name,
        details=dict(details or {}),
    )
