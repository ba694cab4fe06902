"""The audit log over REST: filtered as on the page of activity, newest first."""

from datetime import datetime
from typing import Any

from ninja import Query, Router, Schema
from pydantic import Field

from koppel.administrations.audit_log.reading import list_entries, redactor_for
from koppel.administrations.audit_log.rendering import AuditRenderer
from koppel.audit.models import AuditEntry, Interface
from koppel.audit.queries import AuditFilter
from koppel.kit.database.text import compose
from koppel.kit.web.parameters import ID_MAX
from koppel.kit.web.schemas import Day
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()


class FieldChangeOut(Schema):
    """A field that an action changed, in words: names instead of ids. Its label and values are in the
    language of the request.
    """

    field: str
    before: str
    after: str


class EntryOut(Schema):
    """`actor` is the person, also for an act of one of their tokens; null for a job. `details` holds `before`
    and `after` with ids; `changes` says the same with names.
    """

    id: int
    at: datetime
    actor: int | None
    actor_name: str
    actor_kind: str
    ip_address: str
    interface: str
    action: str
    subject_kind: str
    subject: int | None
    subject_name: str
    details: dict[str, Any]
    changes: list[FieldChangeOut]


class ActivityIn(Schema):
    """`since` and `until` are days, both included. `before`: the id of the last entry of the page before."""

    q: str = ""
    person: int | None = Field(None, ge=1, le=ID_MAX)
    action: str = ""
    interface: Interface | None = None
    since: Day | None = None
    until: Day | None = None
    before: int | None = Field(None, ge=1, le=ID_MAX)
    limit: int = Field(100, ge=1, le=1000)


@router.get("", response=list[EntryOut])
@permission_required(Permission.MANAGE_ORGANISATION)
def activity(request: AuthenticatedRequest, query: Query[ActivityIn]) -> list[EntryOut]:
    """List a page of the audit log. The next one begins `before` the last id of this one."""
    redactor = redactor_for(request.actor)
    search_text, action = (compose(text).strip() for text in (query.q, query.action))
    audit_filter = AuditFilter(
        search_text=search_text,
        person=query.person,
        action=action,
        interface=query.interface,
        since=query.since,
        until=query.until,
    )
    entries = list_entries(request.actor, audit_filter, redactor)
    if query.before is not None:
        entries = entries.filter(pk__lt=query.before)
    in_words = AuditRenderer(request.actor)
    return [_out(redactor.redact(entry), in_words) for entry in entries.order_by("-pk")[: query.limit]]


def _out(entry: AuditEntry, renderer: AuditRenderer) -> EntryOut:
    return EntryOut(
        id=entry.pk,
        at=entry.at,
        actor=entry.actor_id,
        actor_name=entry.actor_name,
        actor_kind=entry.actor_kind,
        ip_address=entry.ip_address,
        interface=entry.interface,
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject=entry.subject_id,
        subject_name=renderer.subject_name(entry),
        details=entry.details,
        changes=[
            FieldChangeOut(field=change.key, before=change.before, after=change.after)
            for change in renderer.changes(entry)
        ],
    )
