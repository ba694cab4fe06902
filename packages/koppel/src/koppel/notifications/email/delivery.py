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
from koppel.kit.backoff import Backoff
from koppel.kit.database.outage import is_outage
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience.recipients import active_members
from koppel.notifications.email.composer import build_email
from koppel.notifications.email.smtp import PermanentFailure, SmtpSession, TemporaryFailure, UnknownOutcome
from koppel.notifications.models import DeliveryState, EmailDelivery
from koppel.organisations.models import Membership

CLAIM_TIMEOUT = timedelta(minutes=2)
"""A process that claimed and died is taken over after so long."""
SENDING_TIMEOUT = timedelta(minutes=5)
RETRY_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=3600.0)
ATTEMPTS_MAX = 40
"""With the pauses between them about a day and a half."""

log = structlog.get_logger(__name__)


class SendOutcome(Enum):
    """Of one mail. DOWN: the mail server does not take any just now, so the others would fare no better."""

    SENT = 1
    SKIPPED = 2
    SERVER_DOWN = 3


@dataclass
class Claim:
    """Deliveries that are ours since `at`, for as long as nobody has taken them over: then they bear another time."""

    organisation_id: int
    ids: Sequence[int]
    at: datetime

    def rows(self) -> "QuerySet[EmailDelivery]":
        """What is still ours. In scope."""
        claim_states = [DeliveryState.CLAIMED, DeliveryState.SENDING]
        deliveries = EmailDelivery.objects.filter(organisation_id=self.organisation_id, pk__in=self.ids)
        return deliveries.filter(claimed_at=self.at, state__in=claim_states)


def send_due(organisation_id: int) -> int:
    """Send every mail whose time has come; in quarantine none. How many were sent. Opens its own transactions."""
    sent = 0
    with SmtpSession() as session:
        while quarantine.current() is None and (claim := _claim(organisation_id)):
            outcome = _send(claim, session)
            sent += outcome is SendOutcome.SENT
            if outcome is SendOutcome.SERVER_DOWN:
                break
    return sent


def requeue_stale_claims(organisation_id: int) -> None:
    """What dead processes left: claimed ones wait again; of those being handed over nobody can say. In scope."""
    now = timezone.now()
    deliveries = EmailDelivery.objects.filter(organisation_id=organisation_id)
    deliveries.filter(state=DeliveryState.CLAIMED, claimed_at__lt=now - CLAIM_TIMEOUT).update(
        state=DeliveryState.WAITING
    )
    interrupted = deliveries.filter(state=DeliveryState.SENDING, claimed_at__lt=now - SENDING_TIMEOUT)
    count = interrupted.update(state=DeliveryState.UNCERTAIN, reason="interrupted")
    if count:
        log.warning("mail_uncertain", organisation=organisation_id, count=count, reason="interrupted")


def _claim(organisation_id: int) -> Claim | None:
    """One mail: a delivery, or all that one person's digest holds."""
    with organisation_scope(organisation_id):
        waiting = EmailDelivery.objects.select_for_update(skip_locked=True).filter(
            organisation_id=organisation_id, state=DeliveryState.WAITING, due_at__lte=timezone.now()
        )
        first = waiting.order_by("due_at", "pk").first()
        if first is None:
            return None
        delivery_ids = [first.pk]
        if first.is_digest:
            delivery_ids = list(
                waiting.filter(membership_id=first.membership_id, is_digest=True).values_list("pk", flat=True)
            )
        claim = Claim(organisation_id, delivery_ids, timezone.now())
        EmailDelivery.objects.filter(organisation_id=organisation_id, pk__in=delivery_ids).update(
            state=DeliveryState.CLAIMED, claimed_at=claim.at, attempts=F("attempts") + 1
        )
    return claim


def _send(claim: Claim, session: SmtpSession) -> SendOutcome:
    try:
        return _send_claimed(claim, session)
    except TemporaryFailure as failure:
        _reschedule(claim, str(failure))
        return SendOutcome.SERVER_DOWN
    except Quarantined:
        with organisation_scope(claim.organisation_id):
            claim.rows().update(state=DeliveryState.WAITING, attempts=F("attempts") - 1)
        return SendOutcome.SERVER_DOWN
    except PermanentFailure as failure:
        log.warning("mail_refused", reason=str(failure)[:200])
        _finish(claim, DeliveryState.FAILED, str(failure))
    except UnknownOutcome as failure:
        log.warning("mail_uncertain", organisation=claim.organisation_id, count=len(claim.ids), reason=str(failure))
        _finish(claim, DeliveryState.UNCERTAIN, str(failure))
    except Exception as error:
        if is_outage(error):
            raise  # the mail itself is well; `requeue_stale_claims` sees to it
        # A mail that cannot even be written must not stand before all others for ever.
        log.exception("mail_broken", organisation=claim.organisation_id, deliveries=list(claim.ids))
        _reschedule(claim, type(error).__name__)
    return SendOutcome.SKIPPED


def _send_claimed(claim: Claim, session: SmtpSession) -> SendOutcome:
    """Raises what `SmtpSession.send` raises."""
    with organisation_scope(claim.organisation_id):
        # Its trouble may have ended while it was claimed: by a process that died, or could not reach the mail server.
        claim.rows().exclude(notification__recovered_at=None).update(state=DeliveryState.DROPPED, reason="recovered")
        deliveries = list(claim.rows().select_related("notification").order_by("notification__created_at", "pk"))
        if not deliveries:
            return SendOutcome.SKIPPED
        claim.ids = [delivery.pk for delivery in deliveries]
        members = active_members(claim.organisation_id).select_related("user", "organisation")
        membership: Membership | None = members.filter(pk=deliveries[0].membership_id).first()
        if membership is None:
            claim.rows().update(state=DeliveryState.DROPPED, reason="person is gone")
            return SendOutcome.SKIPPED
        message = build_email(
            membership, [delivery.notification for delivery in deliveries], is_digest=deliveries[0].is_digest
        )
    if not session.send(message, lambda: _mark_sending(claim)):
        with organisation_scope(claim.organisation_id):
            claim.rows().update(state=DeliveryState.WAITING)
        return SendOutcome.SKIPPED
    _finish(claim, DeliveryState.SENT, "")
    return SendOutcome.SENT


def _mark_sending(claim: Claim) -> bool:
    """False when somebody else has taken some of it over meanwhile, or it is gone; then nothing has begun."""
    now = timezone.now()
    with organisation_scope(claim.organisation_id):
        claimed_ids = set(claim.rows().select_for_update(of=("self",)).values_list("pk", flat=True))
        if claimed_ids != set(claim.ids):
            return False
        claim.rows().update(state=DeliveryState.SENDING, claimed_at=now)
    claim.at = now
    return True


def _reschedule(claim: Claim, reason: str) -> None:
    """To be tried again after a pause, the longer the more often it was tried."""
    with organisation_scope(claim.organisation_id):
        attempts = max(claim.rows().values_list("attempts", flat=True), default=0)
    if attempts >= ATTEMPTS_MAX:
        log.error("mail_failed", organisation=claim.organisation_id, count=len(claim.ids), reason=reason[:200])
        _finish(claim, DeliveryState.FAILED, reason)
        return
    log.info("mail_delayed", organisation=claim.organisation_id, reason=reason[:200], attempt=attempts)
    pause = timedelta(seconds=RETRY_BACKOFF.seconds(attempts - 1))
    with organisation_scope(claim.organisation_id):
        claim.rows().update(state=DeliveryState.WAITING, due_at=timezone.now() + pause, reason=reason[:300])


def _finish(claim: Claim, state: DeliveryState, reason: str) -> None:
    sent_at = timezone.now() if state is DeliveryState.SENT else None
    with organisation_scope(claim.organisation_id):
        claim.rows().update(state=state, reason=reason[:300], sent_at=sent_at)
