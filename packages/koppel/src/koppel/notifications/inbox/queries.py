"""Queries of a member's own notifications, with their texts."""

from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Paginator
from django.db.models import QuerySet

from koppel.notifications.audience.readable import readable_condition, readable_contexts
from koppel.notifications.event_types import event_types, render_message
from koppel.notifications.models import EventContext, Notification
from koppel.organisations.roles import Actor

PAGE_SIZE = 50


@dataclass(frozen=True)
class NotificationView:
    """`is_recovered`: the event is over, by itself or because it was resolved."""

    id: int
    event: str
    message: str
    link: str
    created_at: datetime
    unread: bool
    is_recovered: bool


@dataclass(frozen=True, kw_only=True)
class NotificationPage:
    notifications: list[NotificationView]
    total: int
    number: int
    pages: int


def list_page(
    actor: Actor, *, event: str = "", unread_only: bool = False, number: int = 1
) -> NotificationPage:
    """Return a page of the actor's notifications, the newest first."""
    notifications = _own_notifications(actor)
    if event:
        notifications = notifications.filter(event_type=event)
    if unread_only:
        notifications = notifications.filter(read_at=None)
    page = Paginator(notifications.order_by("-created_at", "-id"), PAGE_SIZE).get_page(number)
    contexts = readable_contexts(actor, page)
    return NotificationPage(
        notifications=[
            _view(notification, contexts[notification.pk])
            for notification in page
            if notification.pk in contexts
        ],
        total=page.paginator.count,
        number=page.number,
        pages=page.paginator.num_pages,
    )


def get_notification(actor: Actor, notification_id: int) -> Notification | None:
    """Return the actor's own notification, on screen or not: its email links here."""
    return _readable(actor).filter(pk=notification_id).first()


def newest_id(actor: Actor) -> int:
    """Return the id of the actor's newest notification; 0 when there is none."""
    return _own_notifications(actor).order_by("-pk").values_list("pk", flat=True).first() or 0


def unread_count(actor: Actor) -> int:
    return _own_notifications(actor).filter(read_at=None).count()


def unread_of_oneself(actor: Actor) -> "QuerySet[Notification]":
    """Return the unread notifications of an actor who is nobody's stand-in."""
    notifications = Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    condition = readable_condition(actor, [actor.membership_id])
    return notifications.filter(condition, on_screen=True, read_at=None)


def event_types_of(actor: Actor) -> list[tuple[str, str]]:
    """Return (event, label) of what the actor has notifications of, for the filter."""
    labels = {event: str(definition.label) for event, definition in event_types.items() if definition.label}
    present = set(_own_notifications(actor).order_by().values_list("event_type", flat=True).distinct())
    return sorted(
        ((event, labels[event]) for event in present if event in labels),
        key=lambda choice: choice[1].casefold(),
    )


def _own_notifications(actor: Actor) -> "QuerySet[Notification]":
    return _readable(actor).filter(on_screen=True)


def _readable(actor: Actor) -> "QuerySet[Notification]":
    notifications = Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return notifications.filter(readable_condition(actor))


def _view(notification: Notification, context: EventContext) -> NotificationView:
    return NotificationView(
        id=notification.pk,
        event=notification.event_type,
        message=render_message(notification.event_type, context),
        link=notification.link,
        created_at=notification.created_at,
        unread=notification.read_at is None,
        is_recovered=notification.recovered_at is not None,
    )
