"""Use cases of a member's own notifications: mark them as read or unread."""

from collections.abc import Iterable

from django.utils import timezone

from koppel.notifications.models import Notification
from koppel.organisations.roles import Actor


def mark_read(actor: Actor, notice_ids: Iterable[int] | None = None, *, up_to: int | None = None) -> int:
    """Mark the actor's own notices as read; all of them when none is
    named, or all that there were `up_to` this one."""
    notices = Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id, read_at=None)
    if notice_ids is not None:
        notices = notices.filter(pk__in=list(notice_ids))
    if up_to is not None:
        notices = notices.filter(pk__lte=up_to)
    return notices.update(read_at=timezone.now())


def mark_unread(actor: Actor, notice_id: int) -> int:
    notices = Notification.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return notices.filter(pk=notice_id).update(read_at=None)
