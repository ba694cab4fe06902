"""An organisation with people, and shortcuts for events."""

from datetime import timedelta
from typing import Any

from django.db.models import F

from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience.visible_context import message_context
from koppel.notifications.event_types import EventCode, EventType, event_types, render_message
from koppel.notifications.events.dispatch import dispatch_due, dispatch_updates
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import close_event, open_event
from koppel.notifications.models import EmailDelivery, Event, Notification, Preference
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor


class MadeUpEvent(EventCode):
    TROUBLE = "test_trouble"
    NEWS = "test_news"
    WORSE = "test_worse"


TROUBLE, NEWS, WORSE = MadeUpEvent
for event_type in (
    EventType(
        TROUBLE,
        "Trouble at %(name)s: %(reason)s",
        plural_message="Trouble at %(count)s: %(names)s",
        label="Trouble",
        confirm_seconds=900,
        superseded_by=(WORSE,),
    ),
    EventType(NEWS, "News of %(name)s", label="News"),
    EventType(WORSE, "All is lost at %(account)s", label="Worse"),
):
    event_types.register(event_type.code, event_type)


def open_test_event(actor: Actor, event: EventCode = NEWS, key: str = "one", **values: Any) -> None:
    with organisation_scope(actor.organisation_id):
        open_event(
            actor.organisation_id,
            event,
            EventKey(key, 1),
            **{"responsible": actor.membership_id, "link": "/issues/", **values},
        )


def close_test_event(actor: Actor, event: EventCode, key: str = "one") -> None:
    with organisation_scope(actor.organisation_id):
        close_event(actor.organisation_id, event, EventKey(key, 1))


def pass_quarter_hour(actor: Actor) -> None:
    with organisation_scope(actor.organisation_id):
        for event in Event.objects.filter(state="pending"):
            event.due_at = event.first_seen_at
            event.save()
        dispatch_due(actor.organisation_id)


def pass_day(actor: Actor) -> None:
    with organisation_scope(actor.organisation_id):
        Event.objects.filter(state="notified").update(notified_at=F("notified_at") - timedelta(days=1))
        dispatch_updates(actor.organisation_id)


def screen_messages(actor: Actor) -> list[str]:
    """The sentences on this person's screen, oldest first."""
    with organisation_scope(actor.organisation_id):
        notifications = Notification.objects.filter(
            membership_id=actor.membership_id, on_screen=True
        ).order_by("pk")
        return [
            render_message(
                notification.event_type,
                message_context(notification.context, notification.administrations),
            )
            for notification in notifications
        ]


def mails(actor: Actor) -> list[str]:
    """The states of the mails to this person."""
    with organisation_scope(actor.organisation_id):
        return list(
            EmailDelivery.objects.filter(membership_id=actor.membership_id)
            .order_by("pk")
            .values_list("state", flat=True)
        )


def set_preferences(actor: Actor, event: str, **scopes: str) -> None:
    with organisation_scope(actor.organisation_id):
        for channel, scope in scopes.items():
            Preference.objects.create(
                organisation_id=actor.organisation_id,
                membership_id=actor.membership_id,
                event_type=event,
                channel=channel,
                scope=scope,
            )


def change(actor: Actor, **values: Any) -> None:
    """Change the person's membership."""
    with organisation_scope(actor.organisation_id):
        Membership.objects.filter(pk=actor.membership_id).update(**values)
