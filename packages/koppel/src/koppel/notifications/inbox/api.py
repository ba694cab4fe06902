"""A member's own notifications and preferences over REST."""

from datetime import datetime
from typing import Annotated

from ninja import Query, Router, Schema

from koppel.kit.web.schemas import Input, RowId
from koppel.notifications.audience import preferences
from koppel.notifications.inbox import queries
from koppel.notifications.inbox.services import mark_read
from koppel.notifications.models import Channel, PreferenceScope
from koppel.organisations.requests import AuthenticatedRequest

router = Router()
IDS_MAX = 1000


class NotificationOut(Schema):
    """`event` is a stable code, `message` its text in the caller's language. `link` is a path within Koppel.
    `is_recovered`: the problem is over.
    """

    id: int
    event: str
    message: str
    link: str
    created_at: datetime
    unread: bool
    is_recovered: bool


class NotificationList(Schema):
    """A page of notifications. `total` counts all that match."""

    total: int
    pages: int
    items: list[NotificationOut]


class ReadIn(Input):
    """The notifications to mark; none: all."""

    ids: list[RowId] | None = None


class ReadOut(Schema):
    """The number of notifications that were unread."""

    read: int


class PreferenceIO(Input):
    """The administrations about whose events a channel notifies."""

    event: str
    channel: Channel
    scope: PreferenceScope


@router.get("", response=NotificationList)
def list_notifications(
    request: AuthenticatedRequest, unread: bool = False, page: Annotated[int, Query(ge=1, le=100_000)] = 1
) -> NotificationList:
    """List your notifications, newest first, 50 per page."""
    result = queries.list_page(request.actor, unread_only=unread, number=page)
    items = [
        NotificationOut(**{name: getattr(notification, name) for name in NotificationOut.model_fields})
        for notification in result.notifications
    ]
    return NotificationList(total=result.total, pages=result.pages, items=items)


@router.post("/read", response=ReadOut)
def mark_notifications_read(request: AuthenticatedRequest, payload: ReadIn) -> ReadOut:
    """Mark your notifications as read."""
    return ReadOut(read=mark_read(request.actor, payload.ids[:IDS_MAX] if payload.ids is not None else None))


@router.get("/preferences", response=list[PreferenceIO])
def list_preferences(request: AuthenticatedRequest) -> list[PreferenceIO]:
    """List your preferences, for each event and channel."""
    return [
        PreferenceIO(event=row.event, channel=channel, scope=PreferenceScope(scope))
        for row in preferences.list_preferences(request.actor)
        for channel, scope in ((Channel.SCREEN, row.screen), (Channel.EMAIL, row.email))
    ]


@router.put("/preferences", response=list[PreferenceIO])
def update_preferences(request: AuthenticatedRequest, payload: list[PreferenceIO]) -> list[PreferenceIO]:
    """Change your preferences. Omitted ones stay."""
    preferences.update_preferences(
        request.actor, {(choice.event, choice.channel): choice.scope for choice in payload[:IDS_MAX]}
    )
    return list_preferences(request)
