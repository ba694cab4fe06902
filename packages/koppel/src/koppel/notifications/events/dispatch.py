"""Dispatch events: create notifications, emails and webhook messages, once per event even when several
processes try.
"""

from collections.abc import Iterable
from copy import copy
from datetime import datetime, time, timedelta

import structlog
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from koppel.notifications.audience.recipients import Recipient, recipients_of
from koppel.notifications.audience.visible_context import stored_facts
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.event_types import event_types, get_event_type
from koppel.notifications.models import (
    Channel,
    DeliverySettings,
    EmailDelivery,
    Event,
    EventState,
    Notification,
)
from koppel.notifications.webhooks.enqueue import enqueue_opened

UPDATE_INTERVAL = timedelta(hours=24)
DIGEST_AT = time(7, 0)
"""In the installation's time zone."""

RETRY_DELAY = timedelta(minutes=10)

log = structlog.get_logger(__name__)


def dispatch(organisation_id: int, event_id: int) -> int:
    """Notify members of a pending event; 0 if it was closed or dispatched meanwhile. In scope, in the
    caller's transaction.
    """
    rows = Event.objects.in_organisation(organisation_id).select_for_update().filter(pk=event_id)
    event = rows.filter(state=EventState.PENDING).first()
    if event is None:
        return 0
    is_momentary = get_event_type(event.event_type).is_momentary
    event.state = EventState.CLOSED if is_momentary else EventState.NOTIFIED
    event.notified_at, event.notified_administrations = timezone.now(), _administration_ids(event)
    event.save()
    enqueue_opened(event)
    return create_notifications(event, recipients_of(event))


def dispatch_due(organisation_id: int) -> int:
    """Dispatch every pending event that is due. Returns the number of members notified."""
    due = Event.objects.in_organisation(organisation_id).filter(
        state=EventState.PENDING, due_at__lte=timezone.now()
    )
    return sum(
        _try_dispatch(organisation_id, event_id)
        for event_id in list(due.order_by("due_at").values_list("pk", flat=True)[:500])
    )


def _try_dispatch(organisation_id: int, event_id: int) -> int:
    """Dispatch one event in its own savepoint; after an error it is due again later, behind the others."""
    try:
        with transaction.atomic():
            return dispatch(organisation_id, event_id)
    except Exception:
        log.exception("event_dispatch_failed", organisation=organisation_id, event_id=event_id)
        stuck = Event.objects.in_organisation(organisation_id).filter(pk=event_id)
        stuck.update(due_at=timezone.now() + RETRY_DELAY)
        return 0


def ongoing_events() -> "QuerySet[Event]":
    """Return events that were dispatched more than a day ago and opened again since: they may affect further
    administrations.
    """
    lasting_types = [
        event_type
        for event_type, definition in event_types.items()
        if definition.confirm_seconds and not definition.is_momentary
    ]
    return Event.objects.filter(
        state=EventState.NOTIFIED,
        event_type__in=lasting_types,
        notified_at__lte=timezone.now() - UPDATE_INTERVAL,
        last_seen_at__gt=F("notified_at"),
    )


def dispatch_updates(organisation_id: int) -> int:
    """Notify about administrations added to an open event, at most once a day. Returns the number of people
    notified.
    """
    ongoing = ongoing_events().select_for_update().filter(organisation_id=organisation_id)
    return sum(map(_dispatch_update, ongoing))


def _dispatch_update(event: Event) -> int:
    added = {
        administration_id: context
        for administration_id, context in event.administrations.items()
        if administration_id not in event.notified_administrations
    }
    if not added:
        return 0
    event.notified_at, event.notified_administrations, event.round = (
        timezone.now(),
        _administration_ids(event),
        event.round + 1,
    )
    event.save(update_fields=["notified_at", "notified_administrations", "round"])
    update = copy(event)
    update.administrations = added
    enqueue_opened(update)
    return create_notifications(update, recipients_of(update))


def _administration_ids(event: Event) -> list[int]:
    return sorted(event.administrations)


def create_notifications(event: Event, recipients: Iterable[Recipient]) -> int:
    """Create a notification for each recipient with a channel, and an email delivery for those who receive
    emails; a job sends the emails after commit. Returns the number of notifications.
    """
    reachable = [recipient for recipient in recipients if recipient.channels]
    notifications = Notification.objects.bulk_create(
        _build_notification(event, recipient) for recipient in reachable
    )
    by_email = [
        notification
        for notification, recipient in zip(notifications, reachable, strict=True)
        if Channel.EMAIL in recipient.channels
    ]
    if by_email:
        digests = _digest_subscribers(
            event.organisation_id, [notification.membership_id for notification in by_email]
        )
        EmailDelivery.objects.bulk_create(
            _build_delivery(notification, is_digest=notification.membership_id in digests)
            for notification in by_email
        )
        EMAIL_OUTBOX.enqueue({"organisation_id": event.organisation_id})
    return len(reachable)


def next_digest(now: datetime) -> datetime:
    """Return when the next daily digest is due: this morning or tomorrow morning."""
    local = timezone.localtime(now)
    today = local.replace(hour=DIGEST_AT.hour, minute=DIGEST_AT.minute, second=0, microsecond=0)
    return today if today > local else today + timedelta(days=1)


def _build_notification(event: Event, recipient: Recipient) -> Notification:
    return Notification(
        organisation_id=event.organisation_id,
        event=event,
        round=event.round,
        membership_id=recipient.membership_id,
        event_type=event.event_type,
        context=event.context,
        administrations=stored_facts(event, recipient.visible_administrations),
        link=event.link,
        reason=recipient.reason,
        on_screen=Channel.SCREEN in recipient.channels,
    )


def _build_delivery(notification: Notification, *, is_digest: bool) -> EmailDelivery:
    now = timezone.now()
    return EmailDelivery(
        organisation_id=notification.organisation_id,
        notification=notification,
        membership_id=notification.membership_id,
        is_digest=is_digest,
        due_at=next_digest(now) if is_digest else now,
    )


def _digest_subscribers(organisation_id: int, membership_ids: list[int]) -> set[int]:
    settings = DeliverySettings.objects.in_organisation(organisation_id).filter(
        membership_id__in=membership_ids, digest=True
    )
    return set(settings.values_list("membership_id", flat=True))
