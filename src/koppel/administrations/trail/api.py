"""The trail over REST: who did what, filtered as the page of activity does, the newest first."""

from datetime import datetime
from typing import Any

from ninja import Query, Router, Schema
from pydantic import Field

from koppel.administrations.trail.reading import entries_for, veil_for
from koppel.administrations.trail.words import Words
from koppel.audit.models import AuditEntry, Door
from koppel.audit.queries import Asked
from koppel.kit.schemas import Day
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest, needs

router = Router()


class ChangeOut(Schema):
    """A field that an action changed, in words: names instead of ids. Its label and values are in the language asked for."""

    field: str
    before: str
    after: str


class EntryOut(Schema):
    """`actor` is the person, also for an act of one of their tokens; null for a job. `details` holds `before` and `after` with
    ids; `changes` says the same with names."""

    id: int
    at: datetime
    actor: int | None
    actor_name: str
    actor_kind: str
    from_address: str
    door: str
    act: str
    subject_kind: str
    subject: int | None
    subject_name: str
    details: dict[str, Any]
    changes: list[ChangeOut]


class ActivityIn(Schema):
    """`since` and `until` are days, both included. `before`: the id of the last entry of the page before."""

    q: str = ""
    person: int | None = Field(None, ge=1, lt=2**63)
    act: str = ""
    door: Door | None = None
    since: Day | None = None
    until: Day | None = None
    before: int | None = Field(None, ge=1, lt=2**63)
    limit: int = Field(100, ge=1, le=1000)


@router.get("", response=list[EntryOut])
@needs(Permission.ORGANISATION)
def activity(request: MemberRequest, asked: Query[ActivityIn]) -> list[EntryOut]:
    """A page of the trail. The next one begins `before` the last id of this one."""
    veil = veil_for(request.actor)
    words, act = (text.replace("\0", "").strip() for text in (asked.q, asked.act))
    wanted = Asked(words, asked.person, act, asked.door, asked.since, asked.until)
    found = entries_for(request.actor, wanted, veil)
    if asked.before is not None:
        found = found.filter(pk__lt=asked.before)
    in_words = Words(request.actor)
    return [_out(veil.over(one), in_words) for one in found.order_by("-pk")[: asked.limit]]


def _out(one: AuditEntry, words: Words) -> EntryOut:
    return EntryOut(
        id=one.pk,
        at=one.at,
        actor=one.actor_id,
        actor_name=one.actor_name,
        actor_kind=one.actor_kind,
        from_address=one.from_address,
        door=one.door,
        act=one.act,
        subject_kind=one.subject_kind,
        subject=one.subject_id,
        subject_name=words.subject(one),
        details=one.details,
        changes=[ChangeOut(field=it.key, before=it.before, after=it.after) for it in words.changes(one)],
    )
