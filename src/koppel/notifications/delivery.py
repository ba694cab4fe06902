"""Sends what waits: each mail is claimed, handed over and settled in transactions of their own, so that a killed process
neither loses one that was not handed over nor sends one twice."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from django.db.models import F
from django.utils import timezone

from koppel.kit.tenancy import organisation_scope
from koppel.notifications.letters import letter_of
from koppel.notifications.models import Delivery, DeliveryState
from koppel.notifications.post import Post, Refused, TryLater, Uncertain
from koppel.notifications.recipients import here
from koppel.organisations.models import Membership

CLAIM_FOR = timedelta(minutes=2)
"""A process that claimed and died is taken over after so long."""
HANDING_OVER_FOR = timedelta(minutes=5)
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 30.0, 3600.0
ATTEMPTS_MAX = 40
"""With the pauses between them about a day and a half."""

log = structlog.get_logger(__name__)


def send_due(organisation_id: int) -> int:
    """Send every mail whose time has come. How many were sent. Opens its own transactions."""
    sent = 0
    with Post() as post:
        while claimed := _claim(organisation_id):
            outcome = _send(organisation_id, claimed, post)
            sent += outcome
            if outcome == 0 and _is_down(organisation_id, claimed):
                break
    return sent


def take_over(organisation_id: int) -> None:
    """What dead processes left: claimed ones wait again; of those being handed over nobody can say. In scope."""
    now = timezone.now()
    own = Delivery.objects.filter(organisation_id=organisation_id)
    own.filter(state=DeliveryState.CLAIMED, claimed_at__lt=now - CLAIM_FOR).update(state=DeliveryState.WAITING)
    lost = own.filter(state=DeliveryState.HANDING_OVER, claimed_at__lt=now - HANDING_OVER_FOR)
    count = lost.update(state=DeliveryState.UNCERTAIN, reason="interrupted")
    if count:
        log.warning("mail_uncertain", organisation=organisation_id, count=count, reason="interrupted")


def _claim(organisation_id: int) -> list[int]:
    """One mail: a delivery, or all that one person's digest holds."""
    with organisation_scope(organisation_id):
        waiting = Delivery.objects.select_for_update(skip_locked=True).filter(
            organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now()
        )
        first = waiting.order_by("due_at", "pk").first()
        if first is None:
            return []
        found = [first.pk]
        if first.is_digest:
            found = list(waiting.filter(membership_id=first.membership_id, is_digest=True).values_list("pk", flat=True))
        Delivery.objects.filter(organisation_id=organisation_id, pk__in=found).update(
            state=DeliveryState.CLAIMED, claimed_at=timezone.now(), attempts=F("attempts") + 1
        )
    return found


def _send(organisation_id: int, ids: Sequence[int], post: Post) -> int:
    with organisation_scope(organisation_id):
        own = Delivery.objects.filter(organisation_id=organisation_id, pk__in=ids)
        deliveries = list(own.select_related("notice").order_by("notice__created_at", "pk"))
        people = here(organisation_id).select_related("user", "organisation")
        membership: Membership | None = people.filter(pk=deliveries[0].membership_id).first() if deliveries else None
        if membership is None:
            own.update(state=DeliveryState.DROPPED, reason="person is gone")
            return 0
        letter = letter_of(membership, [one.notice for one in deliveries], is_digest=deliveries[0].is_digest)
    try:
        post.send(letter, lambda: _move(organisation_id, ids, DeliveryState.CLAIMED, DeliveryState.HANDING_OVER))
    except TryLater as trouble:
        _put_back(organisation_id, ids, str(trouble), deliveries[0].attempts)
        return 0
    except Refused as refusal:
        log.warning("mail_refused", reason=str(refusal)[:200])
        _end(organisation_id, ids, DeliveryState.FAILED, str(refusal))
        return 0
    except Uncertain as doubt:
        log.warning("mail_uncertain", organisation=organisation_id, count=len(ids), reason=str(doubt))
        _end(organisation_id, ids, DeliveryState.UNCERTAIN, str(doubt))
        return 0
    _end(organisation_id, ids, DeliveryState.SENT, "")
    return 1


def _move(organisation_id: int, ids: Sequence[int], before: DeliveryState, after: DeliveryState) -> bool:
    """False when somebody else has taken them over meanwhile."""
    with organisation_scope(organisation_id):
        own = Delivery.objects.filter(organisation_id=organisation_id, pk__in=ids, state=before)
        return own.update(state=after, claimed_at=timezone.now()) == len(ids)


def _put_back(organisation_id: int, ids: Sequence[int], reason: str, attempts: int) -> None:
    if attempts >= ATTEMPTS_MAX:
        log.error("mail_failed", organisation=organisation_id, count=len(ids), reason=reason[:200])
        _end(organisation_id, ids, DeliveryState.FAILED, reason)
        return
    log.info("mail_delayed", organisation=organisation_id, reason=reason[:200], attempt=attempts)
    pause = timedelta(seconds=min(PAUSE_SECONDS * 2 ** (attempts - 1), PAUSE_SECONDS_MAX))
    with organisation_scope(organisation_id):
        Delivery.objects.filter(organisation_id=organisation_id, pk__in=ids).exclude(state=DeliveryState.SENT).update(
            state=DeliveryState.WAITING, due_at=timezone.now() + pause, reason=reason[:300]
        )


def _end(organisation_id: int, ids: Sequence[int], state: DeliveryState, reason: str) -> None:
    sent_at = timezone.now() if state is DeliveryState.SENT else None
    with organisation_scope(organisation_id):
        own = Delivery.objects.filter(organisation_id=organisation_id, pk__in=ids, state__in=[
            DeliveryState.CLAIMED, DeliveryState.HANDING_OVER,
        ])  # fmt: skip
        own.update(state=state, reason=reason[:300], sent_at=sent_at)


def _is_down(organisation_id: int, ids: Sequence[int]) -> bool:
    """Whether the mail server could not be reached: the others would fare no better now."""
    with organisation_scope(organisation_id):
        own = Delivery.objects.filter(organisation_id=organisation_id, pk__in=ids)
        return own.filter(state=DeliveryState.WAITING).exists()
