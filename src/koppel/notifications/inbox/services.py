"""Tell named people, and what a person does with notices. What happens by itself is announced (`happenings.announce`)."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from koppel.notifications.audience.recipients import here, responsible_recipient
from koppel.notifications.events.dispatch import deliver
from koppel.notifications.models import Because, Happening, HappeningState, Notice
from koppel.notifications.webhooks.payloads import tell_webhooks
from koppel.organisations.roles import Actor


def notify(
    organisation_id: int, event: str, membership_ids: Iterable[int], facts: Mapping[str, Any], link: str = ""
) -> None:
    """One notice to each of these people, once per call however often a person is named. In the caller's transaction."""
    wanted = here(organisation_id).filter(pk__in=set(membership_ids)).order_by("pk").values_list("pk", flat=True)
    now = timezone.now()
    happening = Happening.objects.create(
        organisation_id=organisation_id,
        event=event,
        key=f"direct {uuid.uuid4()}",
        facts=dict(facts),
        link=link,
        state=HappeningState.SETTLED,
        due_at=now,
        told_at=now,
        settled_at=now,
    )
    tell_webhooks(happening)
    people = [responsible_recipient(organisation_id, event, one, Because.RESPONSIBLE) for one in wanted]
    deliver(happening, people)


def mark_read(actor: Actor, notice_ids: Iterable[int] | None = None, *, up_to: int | None = None) -> int:
    """Mark the actor's own notices as read; all of them when none is named, or all that there were `up_to` this one."""
    own = Notice.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id, read_at=None)
    if notice_ids is not None:
        own = own.filter(pk__in=list(notice_ids))
    if up_to is not None:
        own = own.filter(pk__lte=up_to)
    return own.update(read_at=timezone.now())


def mark_unread(actor: Actor, notice_id: int) -> int:
    own = Notice.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    return own.filter(pk=notice_id).update(read_at=None)
