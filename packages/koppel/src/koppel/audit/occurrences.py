"""Actions that an attacker can repeat at will, such as failed sign-ins, recorded without flooding the log.

The first one within a window is an entry at once. Those after it are counted, and one more entry says how
many there were, when its window is over. A window is identified by organisation, action and subject, never by
what the attacker chooses freely, such as an address.
"""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from koppel.audit.audit_actions import AuditAction
from koppel.audit.chain import chain_scope
from koppel.audit.hooks import audit_actions
from koppel.audit.models import Occurrence
from koppel.audit.services import KOPPEL_ACTOR, AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import installation_scope

_SQL = load_statements("koppel.audit")
WINDOW = timedelta(minutes=10)
ADDRESSES_MAX = 10


def record_repeatable(
    organisation_id: int,
    actor: AuditActor,
    action: AuditAction,
    *,
    subject: Subject | None = None,
    reason: str = "",
) -> None:
    """Record an action of which only the first within ten minutes becomes an entry of its own.

    In a transaction of its own, so that it stays whatever becomes of the request. `organisation_id` 0: of the
    installation.
    """
    with chain_scope(organisation_id):
        if _count(organisation_id, actor, action, subject) == 1:
            add_audit_entry(
                organisation_id, actor, action, subject=subject, details={"reason": reason} if reason else {}
            )


def close_windows() -> int:
    """Record the repetitions of windows that are over, and begin anew. Return the number of windows."""
    with installation_scope("repeated actions"):
        over = list(
            Occurrence.objects.filter(began_at__lt=timezone.now() - WINDOW).values_list(
                "pk", "organisation_id"
            )
        )
    for window_id, organisation_id in over:
        with chain_scope(organisation_id):
            window = Occurrence.objects.select_for_update().filter(pk=window_id).first()
            if window is not None:
                _record_repetitions(window)
                window.delete()
    return len(over)


def _count(organisation_id: int, actor: AuditActor, action: AuditAction, subject: Subject | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL["count_occurrence"],
            {
                "organisation": organisation_id,
                "action": action,
                "kind": subject.kind if subject else "",
                "id": (subject.id if subject else None) or 0,
                "name": subject.name if subject else "",
                "address": actor.ip_address[:100],
                "addresses_max": ADDRESSES_MAX,
            },
        )
        return int(cursor.fetchone()[0])


def _record_repetitions(window: Occurrence) -> None:
    action = audit_actions.get(window.action)
    if window.count == 1 or action is None:
        return
    subject = (
        Subject(kind=SubjectKind(window.subject_kind), id=window.subject_id or None, name=window.subject_name)
        if window.subject_kind
        else None
    )
    details = {
        "count": window.count - 1,
        "since": window.began_at.isoformat(),
        "until": window.last_at.isoformat(),
        "addresses": window.addresses,
    }
    add_audit_entry(
        window.organisation_id,
        KOPPEL_ACTOR,
        action,
        subject=subject,
        details=details,
    )
