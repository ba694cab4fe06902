"""A firm with people, and short ways to say what happens to it."""

from datetime import timedelta
from typing import Any

from django.db.models import F

from koppel.kit.tenancy import organisation_scope
from koppel.notifications import event_types
from koppel.notifications.events.dispatch import tell_due, tell_joined
from koppel.notifications.events.services import announce, settle
from koppel.notifications.models import Delivery, Happening, Notice, Preference
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor

TROUBLE, NEWS, WORSE = "test_trouble", "test_news", "test_worse"
event_types.register(
    TROUBLE, "Trouble at %(name)s: %(reason)s", collective="Trouble at %(count)s: %(names)s", label="Trouble",
    confirm_seconds=900,
)  # fmt: skip
event_types.register(NEWS, "News of %(name)s", label="News")
event_types.register(WORSE, "All is lost at %(account)s", label="Worse", absorbs=(TROUBLE,))


def happens(actor: Actor, event: str = NEWS, key: str = "one", **values: Any) -> None:
    with organisation_scope(actor.organisation_id):
        announce(
            actor.organisation_id, event, key, **{"responsible": actor.membership_id, "link": "/issues/", **values}
        )


def is_over(actor: Actor, event: str, key: str = "one") -> None:
    with organisation_scope(actor.organisation_id):
        settle(actor.organisation_id, event, key)


def a_quarter_of_an_hour_passes(actor: Actor) -> None:
    with organisation_scope(actor.organisation_id):
        for one in Happening.objects.filter(state="waiting"):
            one.due_at = one.first_at
            one.save()
        tell_due(actor.organisation_id)


def a_day_passes(actor: Actor) -> None:
    with organisation_scope(actor.organisation_id):
        Happening.objects.filter(state="told").update(told_at=F("told_at") - timedelta(days=1))
        tell_joined(actor.organisation_id)


def told(actor: Actor) -> list[str]:
    """The sentences on this person's screen, oldest first."""
    with organisation_scope(actor.organisation_id):
        own = Notice.objects.filter(membership_id=actor.membership_id, on_screen=True).order_by("pk")
        return [event_types.sentence_of(one.event, one.facts) for one in own]


def mails(actor: Actor) -> list[str]:
    """The states of the mails to this person."""
    with organisation_scope(actor.organisation_id):
        return list(
            Delivery.objects.filter(membership_id=actor.membership_id).order_by("pk").values_list("state", flat=True)
        )


def prefers(actor: Actor, event: str, **scopes: str) -> None:
    with organisation_scope(actor.organisation_id):
        for channel, scope in scopes.items():
            Preference.objects.create(
                organisation_id=actor.organisation_id, membership_id=actor.membership_id, event=event, channel=channel,
                scope=scope,
            )  # fmt: skip


def change(actor: Actor, **values: Any) -> None:
    """Change the person's membership."""
    with organisation_scope(actor.organisation_id):
        Membership.objects.filter(pk=actor.membership_id).update(**values)
