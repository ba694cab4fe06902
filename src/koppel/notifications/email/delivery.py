"""Sends what waits: each mail is claimed, handed over and settled in transactions of their own, so that a killed process
neither loses one that was not handed over nor sends one twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

import structlog
from django.db.models import F, QuerySet
from django.utils import timezone

from koppel.kit import quarantine
from koppel.kit.database_outage import is_outage
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience.recipients import here
from koppel.notifications.email.messages import letter_of
from koppel.notifications.email.smtp import Post, Refused, TryLater, Uncertain
from koppel.notifications.models import Delivery, DeliveryState
from koppel.organisations.models import Membership

CLAIM_FOR = timedelta(minutes=2)
"""A process that claimed and died is taken over after so long."""
HANDING_OVER_FOR = timedelta(minutes=5)
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 30.0, 3600.0
ATTEMPTS_MAX = 40
"""With the pauses between them about a day and a half."""

log = structlog.get_logger(__name__)


class Outcome(Enum):
    """Of one mail. DOWN: the mail server does not take any just now, so the others would fare no better."""

    SENT = 1
    OVER = 2
    DOWN = 3


@dataclass
class Claim:
    """Deliveries that are ours since `at`, for as long as nobody has taken them over: then they bear another time."""

    organisation_id: int
    ids: Sequence[int]
    at: datetime

    def held(self) -> "QuerySet[Delivery]":
        """What is still ours. In scope."""
        ours = [DeliveryState.CLAIMED, DeliveryState.HANDING_OVER]
        own = Delivery.objects.filter(organisation_id=self.organisation_id, pk__in=self.ids)
        return own.filter(claimed_at=self.at, state__in=ours)


def send_due(organisation_id: int) -> int:
    """Send every mail whose time has come; in quarantine none. How many were sent. Opens its own transactions."""
    sent = 0
    with Post() as post:
        while quarantine.current() is None and (claim := _claim(organisation_id)):
            outcome = _send(claim, post)
            sent += outcome is Outcome.SENT
            if outcome is Outcome.DOWN:
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


def _claim(organisation_id: int) -> Claim | None:
    """One mail: a delivery, or all that one person's digest holds."""
    with organisation_scope(organisation_id):
        waiting = Delivery.objects.select_for_update(skip_locked=True).filter(
            organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now()
        )
        first = waiting.order_by("due_at", "pk").first()
        if first is None:
            return None
        found = [first.pk]
        if first.is_digest:
            found = list(waiting.filter(membership_id=first.membership_id, is_digest=True).values_list("pk", flat=True))
        claim = Claim(organisation_id, found, timezone.now())
        Delivery.objects.filter(organisation_id=organisation_id, pk__in=found).update(
            state=DeliveryState.CLAIMED, claimed_at=claim.at, attempts=F("attempts") + 1
        )
    return claim


def _send(claim: Claim, post: Post) -> Outcome:
    try:
        return _handed_over(claim, post)
    except TryLater as trouble:
        _put_back(claim, str(trouble))
        return Outcome.DOWN
    except Quarantined:
        with organisation_scope(claim.organisation_id):
            claim.held().update(state=DeliveryState.WAITING, attempts=F("attempts") - 1)
        return Outcome.DOWN
    except Refused as refusal:
        log.warning("mail_refused", reason=str(refusal)[:200])
        _end(claim, DeliveryState.FAILED, str(refusal))
    except Uncertain as doubt:
        log.warning("mail_uncertain", organisation=claim.organisation_id, count=len(claim.ids), reason=str(doubt))
        _end(claim, DeliveryState.UNCERTAIN, str(doubt))
    except Exception as error:
        if is_outage(error):
            raise  # the mail itself is well; `take_over` sees to it
        # A mail that cannot even be written must not stand before all others for ever.
        log.exception("mail_broken", organisation=claim.organisation_id, deliveries=list(claim.ids))
        _put_back(claim, type(error).__name__)
    return Outcome.OVER


def _handed_over(claim: Claim, post: Post) -> Outcome:
    """Raises what `Post.send` raises."""
    with organisation_scope(claim.organisation_id):
        # Its trouble may have ended while it was claimed: by a process that died, or could not reach the mail server.
        claim.held().exclude(notice__healed_at=None).update(state=DeliveryState.DROPPED, reason="healed")
        deliveries = list(claim.held().select_related("notice").order_by("notice__created_at", "pk"))
        if not deliveries:
            return Outcome.OVER
        claim.ids = [one.pk for one in deliveries]
        people = here(claim.organisation_id).select_related("user", "organisation")
        membership: Membership | None = people.filter(pk=deliveries[0].membership_id).first()
        if membership is None:
            claim.held().update(state=DeliveryState.DROPPED, reason="person is gone")
            return Outcome.OVER
        letter = letter_of(membership, [one.notice for one in deliveries], is_digest=deliveries[0].is_digest)
    if not post.send(letter, lambda: _begin_handing_over(claim)):
        with organisation_scope(claim.organisation_id):
            claim.held().update(state=DeliveryState.WAITING)
        return Outcome.OVER
    _end(claim, DeliveryState.SENT, "")
    return Outcome.SENT


def _begin_handing_over(claim: Claim) -> bool:
    """False when somebody else has taken some of it over meanwhile, or it is gone; then nothing has begun."""
    now = timezone.now()
    with organisation_scope(claim.organisation_id):
        ours = set(claim.held().select_for_update(of=("self",)).values_list("pk", flat=True))
        if ours != set(claim.ids):
            return False
        claim.held().update(state=DeliveryState.HANDING_OVER, claimed_at=now)
    claim.at = now
    return True


def _put_back(claim: Claim, reason: str) -> None:
    """To be tried again after a pause, the longer the more often it was tried."""
    with organisation_scope(claim.organisation_id):
        attempts = max(claim.held().values_list("attempts", flat=True), default=0)
    if attempts >= ATTEMPTS_MAX:
        log.error("mail_failed", organisation=claim.organisation_id, count=len(claim.ids), reason=reason[:200])
        _end(claim, DeliveryState.FAILED, reason)
        return
    log.info("mail_delayed", organisation=claim.organisation_id, reason=reason[:200], attempt=attempts)
    pause = timedelta(seconds=min(PAUSE_SECONDS * 2 ** max(attempts - 1, 0), PAUSE_SECONDS_MAX))
    with organisation_scope(claim.organisation_id):
        claim.held().update(state=DeliveryState.WAITING, due_at=timezone.now() + pause, reason=reason[:300])


def _end(claim: Claim, state: DeliveryState, reason: str) -> None:
    sent_at = timezone.now() if state is DeliveryState.SENT else None
    with organisation_scope(claim.organisation_id):
        claim.held().update(state=state, reason=reason[:300], sent_at=sent_at)
