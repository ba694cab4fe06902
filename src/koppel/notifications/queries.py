"""Reads of a person's own notices, with their words."""

from dataclasses import dataclass
from datetime import datetime

from koppel.notifications.catalogue import sentence_of
from koppel.notifications.models import Notice
from koppel.organisations.policy import Actor


@dataclass(frozen=True)
class NoticeView:
    id: int
    sentence: str
    link: str
    created_at: datetime
    unread: bool


def notices_of(actor: Actor, limit: int = 100) -> list[NoticeView]:
    """The newest first."""
    found = Notice.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    return [_view(one) for one in found.order_by("-created_at", "-id")[:limit]]


def unread_count(actor: Actor) -> int:
    return Notice.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, read_at=None
    ).count()


def _view(notice: Notice) -> NoticeView:
    facts = {"event": notice.event, **notice.facts}
    return NoticeView(
        id=notice.pk,
        sentence=sentence_of(notice.event) % facts,
        link=notice.link,
        created_at=notice.created_at,
        unread=notice.read_at is None,
    )
