"""Tell people. Joins the caller's transaction and scope: what is rolled back is not told."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from koppel.notifications.models import Notice
from koppel.organisations.policy import Actor


def notify(
    organisation_id: int, event: str, membership_ids: Iterable[int], facts: Mapping[str, Any], link: str = ""
) -> None:
    """One notice to each person, once per call however often a person is named."""
    Notice.objects.bulk_create(
        Notice(organisation_id=organisation_id, membership_id=one, event=event, facts=dict(facts), link=link)
        for one in sorted(set(membership_ids))
    )


def mark_read(actor: Actor, notice_ids: Iterable[int] | None = None) -> int:
    """Mark the actor's own notices as read; all of them when none is named."""
    own = Notice.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id, read_at=None)
    if notice_ids is not None:
        own = own.filter(pk__in=list(notice_ids))
    return own.update(read_at=timezone.now())
