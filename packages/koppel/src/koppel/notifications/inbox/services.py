"""Use cases of a member's own notifications: mark them as read or unread."""

from collections.abc import Iterable

from django.utils import timezone

from koppel.notifications.models import Notification
from koppel.organisations.roles import Actor


def mark_read(
    actor: Actor, notification_ids: Iterable[int] | None = None, *, up_to: int | None = None
) -> int:
    """Mark the actor's own notifications as read: the named ones, all up to `up_to`, or all."""
    notifications = Notification.objects.for_actor(actor).filter(
        membership_id=actor.membership_id, read_at=None
    )
    if notification_ids is not None:
        notifications = notifications.filter(pk__in=list(notification_ids))
    if up_to is not None:
        notifications = notifications.filter(pk__lte=up_to)
    return notifications.update(read_at=timezone.now())


def mark_unread(actor: Actor, notification_id: int) -> int:
    """Mark the actor's own notification as unread. Returns the number marked: 0 or 1."""
    notifications = Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return notifications.filter(pk=notification_id).update(read_at=None)
