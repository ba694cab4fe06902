"""Announce what happens, and say when it is over. Both join the caller's transaction: what is rolled back is not told.

One event, one notice: announcements with the same event and key are one happening while it lasts, whatever their number.
"""

import json
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from koppel.notifications.audience.hooks import About, subject_of
from koppel.notifications.event_types import absorbed_by, entry_of
from koppel.notifications.events.dispatch import tell
from koppel.notifications.models import Delivery, DeliveryState, Happening, HappeningState, Notice
from koppel.notifications.webhooks.payloads import tell_webhooks_it_is_over

_ANNOUNCE = """
INSERT INTO notifications_happening AS h
  (organisation_id, event, key, about_kind, about_id, facts, administrations, told_of, tellings, link, responsible_id,
   state, first_at, last_at, due_at)
VALUES (%(organisation)s, %(event)s, %(key)s, %(kind)s, %(about)s, %(facts)s::jsonb, %(administrations)s::jsonb, '[]', 1,
        %(link)s, %(responsible)s, 'waiting', now(), now(), %(due)s)
ON CONFLICT (organisation_id, event, key) WHERE state IN ('waiting', 'told')
DO UPDATE SET last_at = now(), facts = h.facts || excluded.facts,
              administrations = h.administrations || excluded.administrations
RETURNING id, xmax = 0
"""
_UNDER_WAY = """
SELECT EXISTS (SELECT FROM notifications_happening
 WHERE organisation_id = %s AND event = %s AND key = %s AND state IN ('waiting', 'told'))
"""


def announce(
    organisation_id: int,
    event: str,
    key: str,
    *,
    about: About = ("", None),
    responsible: int | None = None,
    administrations: Mapping[int, Mapping[str, Any]] | None = None,
    facts: Mapping[str, Any] | None = None,
    link: str = "",
) -> None:
    """Something happened. `administrations`: those it touches, each with its `name` and facts of its own. Facts are JSON,
    without secrets.

    Who is responsible is found by `about` when it is not said. It is told at once, or when the event's time to heal is over."""
    entry = entry_of(event)
    if _is_said_by_more(organisation_id, event, key):
        return
    values: dict[str, Any] = {
        "organisation": organisation_id,
        "event": event,
        "key": key[:120],
        "kind": about[0],
        "about": about[1],
        "facts": json.dumps(dict(facts or {})),
        "administrations": json.dumps({str(one): dict(own) for one, own in (administrations or {}).items()}),
        "link": link[:300],
        "responsible": responsible if responsible is not None else subject_of(organisation_id, about).responsible,
        "due": timezone.now() + timedelta(seconds=entry.confirm_seconds),
    }
    with connection.cursor() as cursor:
        cursor.execute(_ANNOUNCE, values)
        happening_id, is_new = cursor.fetchone()
    for lesser in entry.absorbs:
        settle(organisation_id, lesser, key)
    if is_new and not entry.confirm_seconds:
        tell(organisation_id, happening_id)


def settle(organisation_id: int, event: str, key: str) -> int:
    """It is over. What was not told never will be; mails that wait are dropped; the next announcement is news."""
    now = timezone.now()
    own = Happening.objects.filter(organisation_id=organisation_id, event=event, key=key[:120])
    healed = own.filter(state=HappeningState.WAITING).update(state=HappeningState.HEALED, settled_at=now)
    told = list(own.filter(state=HappeningState.TOLD).values_list("pk", flat=True))
    if told:
        notices = Notice.objects.filter(organisation_id=organisation_id, happening_id__in=told)
        Delivery.objects.filter(
            organisation_id=organisation_id, notice__in=notices, state=DeliveryState.WAITING
        ).update(state=DeliveryState.DROPPED, reason="healed")
        notices.update(healed_at=now)
        own.filter(pk__in=told).update(state=HappeningState.SETTLED, settled_at=now)
        tell_webhooks_it_is_over(organisation_id, told)
    return healed + len(told)


def settle_for(organisation_id: int, event: str, key: str, administration_ids: Collection[int]) -> None:
    """Over for these administrations; it is over altogether when it touches no other."""
    if not _is_under_way(organisation_id, event, key):
        return
    own = Happening.objects.select_for_update().filter(
        organisation_id=organisation_id, event=event, key=key[:120],
        state__in=[HappeningState.WAITING, HappeningState.TOLD],
    )  # fmt: skip
    gone = {str(one) for one in administration_ids}
    for one in own:
        left = {key_: name for key_, name in one.administrations.items() if key_ not in gone}
        if not left:
            settle(organisation_id, event, key)
        elif len(left) < len(one.administrations):
            one.administrations, one.told_of = left, [key_ for key_ in one.told_of if str(key_) not in gone]
            one.save(update_fields=["administrations", "told_of"])


def _is_under_way(organisation_id: int, event: str, key: str) -> bool:
    """Every sync that went well asks this, so Django does not compile it each time."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDER_WAY, [organisation_id, event, key[:120]])
        return bool(cursor.fetchone()[0])


def _is_said_by_more(organisation_id: int, event: str, key: str) -> bool:
    """A happening under way says all this and more: a lost connection, of whose administrations nothing can be synced."""
    more = absorbed_by(event)
    return bool(more) and Happening.objects.filter(
        organisation_id=organisation_id, event__in=more, key=key[:120],
        state__in=[HappeningState.WAITING, HappeningState.TOLD],
    ).exists()  # fmt: skip
