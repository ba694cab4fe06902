"""Reads of a person's own notices, with their words."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from koppel.notifications.event_types import events, sentence_of
from koppel.notifications.models import Notice
from koppel.organisations.roles import Actor

if TYPE_CHECKING:
    from django.db.models import QuerySet

PAGE_SIZE = 50


@dataclass(frozen=True)
class NoticeView:
    """`is_healed`: the trouble is over by itself or was put right."""

    id: int
    event: str
    sentence: str
    link: str
    created_at: datetime
    unread: bool
    is_healed: bool


@dataclass(frozen=True)
class NoticePage:
    notices: list[NoticeView]
    total: int
    number: int
    pages: int


def page_of(actor: Actor, *, event: str = "", unread_only: bool = False, number: int = 1) -> NoticePage:
    """The newest first."""
    found = _own(actor)
    if event:
        found = found.filter(event=event)
    if unread_only:
        found = found.filter(read_at=None)
    total = found.count()
    pages = max(1, -(-total // PAGE_SIZE))
    number = min(max(number, 1), pages)
    rows = found.order_by("-created_at", "-id")[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return NoticePage([_view(one) for one in rows], total, number, pages)


def notices_of(actor: Actor, limit: int = 100) -> list[NoticeView]:
    """The newest first."""
    return [_view(one) for one in _own(actor).order_by("-created_at", "-id")[:limit]]


def notice_for(actor: Actor, notice_id: int) -> Notice | None:
    """The actor's own notice, on screen or not: its mail leads here."""
    own = Notice.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    return own.filter(pk=notice_id).first()


def newest_id(actor: Actor) -> int:
    """0 when there is none."""
    return _own(actor).order_by("-pk").values_list("pk", flat=True).first() or 0


def unread_count(actor: Actor) -> int:
    return _own(actor).filter(read_at=None).count()


def kinds_of(actor: Actor) -> list[tuple[str, str]]:
    """(event, its name) of what the actor has notices of, for the filter."""
    labels = {event: str(entry.label) for event, entry in events().items() if entry.label}
    there = set(_own(actor).order_by().values_list("event", flat=True).distinct())
    return sorted(((event, labels[event]) for event in there if event in labels), key=lambda one: one[1].casefold())


def _own(actor: Actor) -> "QuerySet[Notice]":
    return Notice.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, on_screen=True
    )


def _view(notice: Notice) -> NoticeView:
    return NoticeView(
        id=notice.pk,
        event=notice.event,
        sentence=sentence_of(notice.event, notice.facts),
        link=notice.link,
        created_at=notice.created_at,
        unread=notice.read_at is None,
        is_healed=notice.healed_at is not None,
    )
