"""Reads of a person's own notices, with their words."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Paginator
from django.db.models import QuerySet

from koppel.notifications.event_types import event_types, render_message
from koppel.notifications.models import Notification
from koppel.organisations.roles import Actor

PAGE_SIZE = 50


@dataclass(frozen=True)
class NoticeView:
    """`is_recovered`: the trouble is over by itself or was put right."""

    id: int
    event: str
    message: str
    link: str
    created_at: datetime
    unread: bool
    is_recovered: bool


@dataclass(frozen=True)
class NoticePage:
    notices: list[NoticeView]
    total: int
    number: int
    pages: int


def page_of(actor: Actor, *, event: str = "", unread_only: bool = False, number: int = 1) -> NoticePage:
    """Return a page of the actor's notices, the newest first."""
    notices = _own_notices(actor)
    if event:
        notices = notices.filter(event_type=event)
    if unread_only:
        notices = notices.filter(read_at=None)
    page = Paginator(notices.order_by("-created_at", "-id"), PAGE_SIZE).get_page(number)
    return NoticePage(
        [_view(notice) for notice in page], page.paginator.count, page.number, page.paginator.num_pages
    )


def notice_for(actor: Actor, notice_id: int) -> Notification | None:
    """Return the actor's own notice, on screen or not: its mail leads here."""
    notices = Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return notices.filter(pk=notice_id).first()


def newest_id(actor: Actor) -> int:
    """Return the id of the actor's newest notice; 0 when there is none."""
    return _own_notices(actor).order_by("-pk").values_list("pk", flat=True).first() or 0


def unread_count(actor: Actor) -> int:
    return _own_notices(actor).filter(read_at=None).count()


def event_types_of(actor: Actor) -> list[tuple[str, str]]:
    """Return (event, label) of what the actor has notices of, for the filter."""
    labels = {event: str(definition.label) for event, definition in event_types.items() if definition.label}
    present = set(_own_notices(actor).order_by().values_list("event_type", flat=True).distinct())
    return sorted(
        ((event, labels[event]) for event in present if event in labels),
        key=lambda choice: choice[1].casefold(),
    )


def _own_notices(actor: Actor) -> "QuerySet[Notification]":
    return Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id, on_screen=True)


def _view(notice: Notification) -> NoticeView:
    return NoticeView(
        id=notice.pk,
        event=notice.event_type,
        message=render_message(notice.event_type, notice.context),
        link=notice.link,
        created_at=notice.created_at,
        unread=notice.read_at is None,
        is_recovered=notice.recovered_at is not None,
    )
