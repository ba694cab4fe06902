"""Erasure of an administration from events, notifications and the log of webhooks."""

from django.db.models import Q

from koppel.audit.subjects import SubjectKind
from koppel.notifications.audience.visible_context import count_in, visible_context
from koppel.notifications.models import EmailDelivery, Event, Notification, WebhookDelivery


def erase_administration(organisation_id: int, administration_id: int) -> None:
    """Delete the events that are about it alone, with their notifications and emails; in others, remove its
    name and reason.

    In the organisation's scope.
    """
    key = str(administration_id)
    concerns = Q(administrations__has_key=key) | Q(
        subject_kind=SubjectKind.ADMINISTRATION, subject_id=administration_id
    )
    events = Event.objects.in_organisation(organisation_id).select_for_update().filter(concerns)
    for event in events.order_by("pk"):
        removed = event.administrations.pop(administration_id, None)
        WebhookDelivery.objects.in_organisation(organisation_id).filter(event=event).delete()
        notifications = Notification.objects.in_organisation(organisation_id).filter(event=event)
        if not event.administrations:
            EmailDelivery.objects.in_organisation(organisation_id).filter(
                notification__in=notifications
            ).delete()
            notifications.delete()
            event.delete()
            continue
        event.save(update_fields=["administrations"])
        for notification in notifications:
            _remove_name(notification, event, str((removed or {}).get("name", "")))


def _remove_name(notification: Notification, event: Event, name: str) -> None:
    """Rewrite the notification without the name; it counts no administration that it did not count before."""
    names = str(notification.context.get("names", ""))
    if not name or not _is_named(name, names):
        return
    remaining = {
        administration_id
        for administration_id, context in event.administrations.items()
        if _is_named(str(context.get("name", "")), names)
    }
    count = count_in(notification.context, "count", default=1) - 1
    if remaining and count > 0:
        notification.context = {**visible_context(event, frozenset(remaining)), "count": count}
        notification.save(update_fields=["context"])
    else:
        EmailDelivery.objects.in_organisation(notification.organisation_id).filter(
            notification=notification
        ).delete()
        notification.delete()


def _is_named(name: str, names: str) -> bool:
    """Return whether the list of names holds this one whole; it may be the beginning of another's."""
    return f", {name}, " in f", {names.removesuffix(' …')}, "
