"""Turns a happening into notices, and notices into mails to be sent. Once per happening, whoever comes first."""

from collections.abc import Callable, Iterable
from copy import copy
from datetime import datetime, time, timedelta

import structlog
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from koppel.notifications.audience.recipients import Recipient, recipients_of
from koppel.notifications.event_types import entry_of, events
from koppel.notifications.events.context import facts_seen
from koppel.notifications.models import (
    Arrangement,
    Channel,
    Delivery,
    Happening,
    HappeningState,
    Notice,
)
from koppel.notifications.webhooks.payloads import tell_webhooks

JOINED_TOLD_EVERY = timedelta(hours=24)
DIGEST_AT = time(7, 0)
"""In the installation's time zone."""

TRY_AGAIN_AFTER = timedelta(minutes=10)

log = structlog.get_logger(__name__)

Check = Callable[[Happening], bool]
_checks: dict[str, Check] = {}


def register_check(event: str, still_true: Check) -> None:
    """`still_true(happening)` is asked right before the telling, in scope; it may correct the happening's facts."""
    _checks[event] = still_true


def tell(organisation_id: int, happening_id: int) -> int:
    """How many people were told. In scope, in the caller's transaction. Nobody, when it healed or was told meanwhile."""
    own = Happening.objects.select_for_update().filter(organisation_id=organisation_id, pk=happening_id)
    happening = own.filter(state=HappeningState.WAITING).first()
    if happening is None:
        return 0
    check = _checks.get(happening.event)
    if check is not None and not check(happening):
        happening.state, happening.settled_at = HappeningState.HEALED, timezone.now()
        happening.save()
        return 0
    repeats = entry_of(happening.event).repeats
    happening.state = HappeningState.SETTLED if repeats else HappeningState.TOLD
    happening.told_at, happening.told_of = timezone.now(), _ids(happening)
    happening.save()
    tell_webhooks(happening)
    return deliver(happening, recipients_of(happening))


def tell_due(organisation_id: int) -> int:
    """Everything whose time to heal is over. How many people were told."""
    due = Happening.objects.filter(
        organisation_id=organisation_id, state=HappeningState.WAITING, due_at__lte=timezone.now()
    )
    return sum(_told(organisation_id, one) for one in list(due.order_by("due_at").values_list("pk", flat=True)[:500]))


def _told(organisation_id: int, happening_id: int) -> int:
    """One that cannot be told must not stand before all others for ever: it is tried again later, behind them."""
    try:
        with transaction.atomic():
            return tell(organisation_id, happening_id)
    except Exception:
        log.exception("happening_not_told", organisation=organisation_id, happening=happening_id)
        own = Happening.objects.filter(organisation_id=organisation_id, pk=happening_id)
        own.update(due_at=timezone.now() + TRY_AGAIN_AFTER)
        return 0


def lasting() -> "QuerySet[Happening]":
    """Trouble that was told a day ago and was announced again since: it may have reached more administrations."""
    troubles = [event for event, entry in events().items() if entry.confirm_seconds and not entry.repeats]
    return Happening.objects.filter(
        state=HappeningState.TOLD, event__in=troubles, told_at__lte=timezone.now() - JOINED_TOLD_EVERY,
        last_at__gt=F("told_at"),
    )  # fmt: skip


def tell_joined(organisation_id: int) -> int:
    """What trouble reached after it was told, all together and once a day at most: two hundred that fail one after the other
    are not two hundred mails, and none is never told. How many people were told."""
    own = lasting().select_for_update().filter(organisation_id=organisation_id)
    return sum(map(_tell_joined, own))


def _tell_joined(happening: Happening) -> int:
    joined = {key: own for key, own in happening.administrations.items() if int(key) not in happening.told_of}
    if not joined:
        return 0
    happening.told_at, happening.told_of, happening.tellings = timezone.now(), _ids(happening), happening.tellings + 1
    happening.save(update_fields=["told_at", "told_of", "tellings"])
    part = copy(happening)
    part.administrations = joined
    tell_webhooks(part)
    return deliver(part, recipients_of(part))


def _ids(happening: Happening) -> list[int]:
    return sorted(int(key) for key in happening.administrations)


def deliver(happening: Happening, recipients: Iterable[Recipient]) -> int:
    """Notices for these people, with a mail for those who want it. The mails are sent by a job after commit."""
    from koppel.notifications.tasks import send_mails  # noqa: PLC0415 - tasks call services

    chosen = [one for one in recipients if one.channels]
    notices = Notice.objects.bulk_create(_notice(happening, one) for one in chosen)
    by_mail = [notice for notice, one in zip(notices, chosen, strict=True) if Channel.MAIL in one.channels]
    if by_mail:
        digests = _digest_readers(happening.organisation_id, [one.membership_id for one in by_mail])
        Delivery.objects.bulk_create(_delivery(notice, notice.membership_id in digests) for notice in by_mail)
        send_mails.defer(organisation_id=happening.organisation_id)
    return len(chosen)


def next_digest(now: datetime) -> datetime:
    """The next morning's digest; today's when it is still to come."""
    local = timezone.localtime(now)
    today = local.replace(hour=DIGEST_AT.hour, minute=DIGEST_AT.minute, second=0, microsecond=0)
    return today if today > local else today + timedelta(days=1)


def _notice(happening: Happening, one: Recipient) -> Notice:
    return Notice(
        organisation_id=happening.organisation_id,
        happening=happening,
        telling=happening.tellings,
        membership_id=one.membership_id,
        event=happening.event,
        facts=facts_seen(happening, one.seen),
        link=happening.link,
        because=one.because,
        on_screen=Channel.SCREEN in one.channels,
    )


def _delivery(notice: Notice, is_digest: bool) -> Delivery:
    now = timezone.now()
    return Delivery(
        organisation_id=notice.organisation_id,
        notice=notice,
        membership_id=notice.membership_id,
        is_digest=is_digest,
        due_at=next_digest(now) if is_digest else now,
    )


def _digest_readers(organisation_id: int, membership_ids: list[int]) -> set[int]:
    own = Arrangement.objects.filter(organisation_id=organisation_id, membership_id__in=membership_ids, digest=True)
    return set(own.values_list("membership_id", flat=True))
