"""Open and close events, in the caller's transaction: a rollback also undoes the notifications.

Opening with the same event type and key again joins the open event, so that it is notified once.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from koppel.audit.subjects import Subject
from koppel.kit.database.json_fields import encode
from koppel.notifications.audience.hooks import subject_of
from koppel.notifications.audience.recipients import active_members, responsible_recipient
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.event_types import EventCode, EventType, get_event_type, superseded_types
from koppel.notifications.events.dispatch import create_notifications, dispatch
from koppel.notifications.events.keys import EventKey
from koppel.notifications.models import (
    EmailDelivery,
    EmailReason,
    Event,
    EventContext,
    EventFacts,
    EventState,
    Notification,
    NotificationReason,
)
from koppel.notifications.webhooks.enqueue import enqueue_closed, enqueue_opened

_OPEN = """
INSERT INTO notifications_event AS h
  (organisation_id, event_type, key, subject_kind, subject_id, context, administrations,
   notified_administrations, round, link, responsible_id, state, first_seen_at, last_seen_at, due_at)
VALUES (%(organisation)s, %(event)s, %(key)s, %(kind)s, %(about)s, %(facts)s::jsonb,
  %(administrations)s::jsonb, '[]', 1,
        %(link)s, %(responsible)s, 'pending', now(), now(), %(due)s)
ON CONFLICT (organisation_id, event_type, key) WHERE state IN ('pending', 'notified')
DO UPDATE SET last_seen_at = now(), context = h.context || excluded.context,
              administrations = h.administrations || excluded.administrations
RETURNING id, xmax = 0
"""
_IS_OPEN = """
SELECT EXISTS (SELECT FROM notifications_event
 WHERE organisation_id = %s AND event_type = %s AND key = %s AND state IN ('pending', 'notified'))
"""


def open_event(
    organisation_id: int,
    event_type: EventCode,
    key: EventKey,
    *,
    subject: Subject | None = None,
    responsible: int | None = None,
    administrations: Mapping[int, EventFacts] | None = None,
    context: EventFacts | None = None,
    link: str = "",
) -> None:
    """Open an event, or add to the open event with the same type and key.

    `administrations`: the affected ones by id, each with its `name` and own context. A context has no
    secrets. Without `responsible`, the member responsible for the subject is looked up. The event is
    dispatched at once, or after the delay of its type.
    """
    definition = get_event_type(event_type)
    if _is_superseded(organisation_id, definition, key):
        return
    values: dict[str, Any] = {
        "organisation": organisation_id,
        "event": event_type,
        "key": str(key),
        "kind": subject.kind if subject else "",
        "about": subject.id if subject else None,
        "facts": encode(context or {}, EventContext),
        "administrations": encode(administrations or {}, dict[int, EventContext]),
        "link": link[:300],
        "responsible": responsible
        if responsible is not None
        else subject_of(organisation_id, subject).responsible,
        "due": timezone.now() + timedelta(seconds=definition.confirm_seconds),
    }
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, values)
        event_id, is_new = cursor.fetchone()
    for superseded in superseded_types(event_type):
        close_event(organisation_id, superseded, key)
    if is_new and not definition.confirm_seconds:
        dispatch(organisation_id, event_id)


def notify_members(
    organisation_id: int,
    event_type: EventCode,
    membership_ids: Iterable[int],
    context: EventFacts,
    link: str = "",
) -> None:
    """Notify these members of an event that is over at once, each only once. In the caller's transaction."""
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
    recipients = [
        responsible_recipient(organisation_id, event_type, membership_id, NotificationReason.RESPONSIBLE)
        for membership_id in recipient_ids
    ]
    create_notifications(event, recipients)


def close_event(organisation_id: int, event_type: EventCode, key: EventKey) -> int:
    """Close the event and cancel its waiting emails; a pending event is never dispatched. The next opening
    with its key is a new event. Returns the number of events closed.
    """
    now = timezone.now()
    events = Event.objects.in_organisation(organisation_id).filter(event_type=event_type, key=str(key))
    recovered = events.filter(state=EventState.PENDING).update(state=EventState.RECOVERED, closed_at=now)
    notified = list(events.filter(state=EventState.NOTIFIED).values_list("pk", flat=True))
    if notified:
        notifications = Notification.objects.in_organisation(organisation_id).filter(event_id__in=notified)
        deliveries = EmailDelivery.objects.in_organisation(organisation_id)
        EMAIL_OUTBOX.cancel(deliveries.filter(notification__in=notifications), EmailReason.RECOVERED)
        notifications.update(recovered_at=now)
        events.filter(pk__in=notified).update(state=EventState.CLOSED, closed_at=now)
        enqueue_closed(organisation_id, notified)
    return recovered + len(notified)


def close_event_for(
    organisation_id: int, event_type: EventCode, key: EventKey, administration_ids: Collection[int]
) -> None:
    """Close the event for these administrations, and altogether when it touches no other."""
    if not _is_open(organisation_id, event_type, key):
        return
    events = (
        Event.objects.in_organisation(organisation_id)
        .select_for_update()
        .filter(
            event_type=event_type,
            key=str(key),
            state__in=[EventState.PENDING, EventState.NOTIFIED],
        )
    )
    for event in events:
        remaining = {
            administration_id: context
            for administration_id, context in event.administrations.items()
            if administration_id not in administration_ids
        }
        if not remaining:
            close_event(organisation_id, event_type, key)
        elif len(remaining) < len(event.administrations):
            event.administrations, event.notified_administrations = (
                remaining,
                [
                    administration_id
                    for administration_id in event.notified_administrations
                    if administration_id not in administration_ids
                ],
            )
            event.save(update_fields=["administrations", "notified_administrations"])


def _is_open(organisation_id: int, event_type: str, key: EventKey) -> bool:
    """Return whether the event is open. Plain SQL, because this runs after every successful sync, and
    compiling a queryset would take longer than the query.
    """
    with connection.cursor() as cursor:
        cursor.execute(_IS_OPEN, [organisation_id, event_type, str(key)])
        return bool(cursor.fetchone()[0])


def _is_superseded(organisation_id: int, definition: EventType, key: EventKey) -> bool:
    """Return whether an open event includes this one: a lost connection includes the failing syncs of its
    administrations.
    """
    superseding = definition.superseded_by
    return (
        bool(superseding)
        and Event.objects.in_organisation(organisation_id)
        .filter(
            event_type__in=superseding,
            key=str(key),
            state__in=[EventState.PENDING, EventState.NOTIFIED],
        )
        .exists()
    )
