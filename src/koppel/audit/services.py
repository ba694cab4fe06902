"""The one way to write the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from koppel.audit.models import ActorKind, AuditEntry


@dataclass(frozen=True)
class AuditActor:
    """Who acts: a person (with the address they act from), a token or a job."""

    kind: ActorKind
    id: int | None
    name: str
    from_address: str = ""


def record(
    organisation_id: int,
    actor: AuditActor,
    act: str,
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
        from_address=actor.from_address,
        act=act,
        subject_kind=kind,
        subject_id=subject_id,
        subject_name=name,
        details=dict(details or {}),
    )
