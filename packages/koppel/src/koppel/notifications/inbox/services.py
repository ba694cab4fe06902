"""Tell named people, and what a person does with notices. What happens
by itself is announced (`events.services`)."""

import uuid
from collections.abc import Iterable

from django.utils import timezone

from koppel.notifications.audience.recipients import active_members, responsible_recipient
from koppel.notifications.event_types import EventCode
from koppel.notifications.events.dispatch import create_notifications
from koppel.notifications.models import Event, EventFacts, EventState, Notification, NotificationReason
from koppel.notifications.webhooks.delivery_queue import enqueue_opened
from koppel.organisations.roles import Actor


def notify(
    organisation_id: int,
    event_type: EventCode,
    membership_ids: Iterable[int],
    context: EventFacts,
    link: str = "",
) -> None:
    """Notify each of these members once per call, however often one is named. In the caller's transaction."""
    recipient_ids = (
        active_members(organisation_id)
        .filter(pk__in=set(membership_ids))
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    now = timezone.now()
    event = Event.objects.create(
        organisation_id=organisation_id,
        event_type=event_type,
        key=f"direct {uuid.uuid4()}",
        context=dict(context),
        link=link,
        state=EventState.CLOSED,
        due_at=now,
        notified_at=now,
        closed_at=now,
    )
    enqueue_opened(event)
    people = [
        responsible_recipient(organisation_id, event_type, membership_id, NotificationReason.RESPONSIBLE)
        for membership_id in recipient_ids
    ]
    create_notifications(event, people)


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
