"""Erasure of an administration from events, notifications and the log of webhooks."""

from django.db.models import Q

from koppel.audit.subjects import SubjectKind
from koppel.notifications.models import EmailDelivery, Event, Notification, WebhookDelivery


def erase_administration(organisation_id: int, administration_id: int) -> None:
    """Delete the events that are about it alone, with their notifications and emails; in others, remove its
    name and reason.

    In the organisation's scope.
    """
    key = str(administration_id)
    notified = Notification.objects.in_organisation(organisation_id).filter(administrations__has_key=key)
    concerns = (
        Q(administrations__has_key=key)
        | Q(subject_kind=SubjectKind.ADMINISTRATION, subject_id=administration_id)
        | Q(pk__in=notified.values("event_id"))
    )
    events = Event.objects.in_organisation(organisation_id).select_for_update().filter(concerns)
    for event in events.order_by("pk"):
        event.administrations.pop(administration_id, None)
        WebhookDelivery.objects.in_organisation(organisation_id).filter(event=event).delete()
        notifications = Notification.objects.in_organisation(organisation_id).filter(event=event)
        for notification in notifications:
            _remove_administration(notification, administration_id)
        if event.administrations or notifications.exists():
            event.save(update_fields=["administrations"])
        else:
            event.delete()


def _remove_administration(notification: Notification, administration_id: int) -> None:
    """Remove an administration's facts; a notification about no other is deleted with its emails."""
    notification.administrations.pop(administration_id, None)
    if notification.administrations:
        notification.save(update_fields=["administrations"])
        return
    EmailDelivery.objects.in_organisation(notification.organisation_id).filter(
        notification=notification
    ).delete()
    notification.delete()
