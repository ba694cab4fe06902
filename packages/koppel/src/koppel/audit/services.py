"""Write to the audit log; no other module does."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from django.db import connection

from koppel.audit.audit_actions import AuditAction
from koppel.audit.models import ActorKind, AuditDetails, Interface
from koppel.audit.subjects import Subject
from koppel.kit.database.json_fields import encode
from koppel.kit.database.replication.durability import WEAKER_SQL
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import scope_actor

_APPEND = load_statements("koppel.audit")["append"].format(weaker=WEAKER_SQL)


@dataclass(frozen=True)
class AuditActor:
    """The actor of an action, with IP address and interface."""

    kind: ActorKind
    id: int | None
    name: str
    ip_address: str = ""
    interface: Interface = Interface.JOB


KOPPEL_ACTOR = AuditActor(ActorKind.JOB, None, "Koppel")
"""Koppel itself, where no person asked for an action."""


@contextmanager
def actor_scope(actor: AuditActor) -> Iterator[None]:
    """Record all actions within the block as this actor's, also when callers pass another; only Koppel's own
    keep the kind `job`.
    """
    with scope_actor(_to_json(actor)):
        yield


def add_audit_entry(
    organisation_id: int,
    actor: AuditActor,
    action: AuditAction,
    *,
    subject: Subject | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry to the audit log, in the caller's transaction; if that is rolled back, so is the entry.
    Its commit waits for the synchronous standby, where there is one.

    The database sets the time, and takes the actor from the scope where one is set (`actor_scope`).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _APPEND,
            {
                "organisation": organisation_id,
                "actor": _to_json(actor),
                "action": action,
                "subject_kind": subject.kind if subject else "",
                "subject_id": subject.id if subject else None,
                "subject_name": subject.name if subject else "",
                "details": encode(dict(details or {}), AuditDetails),
            },
        )


class OrganisationActor(Protocol):
    """Who acts, in one organisation."""

    @property
    def organisation_id(self) -> int: ...

    @property
    def audit(self) -> AuditActor: ...


def add_actor_entry(
    actor: OrganisationActor, action: AuditAction, subject: Subject | None = None, **details: object
) -> None:
    """Add an entry of the actor in their organisation, as `add_audit_entry` does."""
    add_audit_entry(actor.organisation_id, actor.audit, action, subject=subject, details=details)


def _to_json(actor: AuditActor) -> str:
    return json.dumps(asdict(actor))
