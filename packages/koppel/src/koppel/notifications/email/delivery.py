"""Send claimed emails. Each is claimed, sent and settled in separate transactions, so that a killed process
neither loses an email nor sends it twice.
"""

from datetime import timedelta
from functools import partial

import structlog
from django.utils import timezone

from koppel.kit.database.threads import run_in_thread
from koppel.kit.jobs.outbox import BatchResult, Claim, deliver_due
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.audience.readable import actor_of, readable_contexts
from koppel.notifications.audience.recipients import active_members
from koppel.notifications.email.composer import build_email
from koppel.notifications.email.outbox import EMAIL_OUTBOX, RETRY_BACKOFF
from koppel.notifications.email.smtp import PermanentFailure, SmtpSession, TemporaryFailure, UnknownOutcome
from koppel.notifications.models import DeliveryState, EmailDelivery, EmailReason
from koppel.organisations.models import Membership

SENDING_LEASE = timedelta(minutes=5)
"""Longer than a mail server may take to accept a text."""
SERVER_DOWN = BatchResult(pause_seconds=RETRY_BACKOFF.base_seconds)
"""The mail server accepts no email at present, so all other emails wait as well."""

log = structlog.get_logger(__name__)


async def send_due(organisation_id: int) -> int:
    """Send the emails that are due; none in quarantine. Returns the number sent. Opens its own
    transactions.
    """
    session = SmtpSession()
    try:
        return await deliver_due(
            EMAIL_OUTBOX, {"organisation_id": organisation_id}, partial(_deliver, session)
        )
    finally:
        await run_in_thread(session.close)


async def _deliver(session: SmtpSession, claim: Claim) -> BatchResult:
    return await run_in_thread(partial(_send, session, claim))


def _send(session: SmtpSession, claim: Claim) -> BatchResult:
    try:
        return _send_email(session, claim)
    except TemporaryFailure as failure:
        claim.retry(str(failure))
        return SERVER_DOWN
    except PermanentFailure as failure:
        log.warning("email_refused", reason=str(failure)[:200])
        _settle(claim, DeliveryState.FAILED, str(failure))
    except UnknownOutcome as failure:
        log.warning(
            "email_uncertain", organisation=claim.organisation_id, count=len(claim.ids), reason=str(failure)
        )
        _settle(claim, DeliveryState.UNCERTAIN, str(failure))
    return BatchResult()


def _send_email(session: SmtpSession, claim: Claim) -> BatchResult:
    """Build the email and hand it over. Raises what `SmtpSession.send` raises."""
    with organisation_scope(claim.organisation_id):
        # Its trouble may have ended while it was claimed: by a process
        # that died, or could not reach the mail server.
        recovered = claim.rows().exclude(notification__recovered_at=None)
        claim.settle(
            _outcome(DeliveryState.DROPPED, EmailReason.RECOVERED),
            ids=list(recovered.values_list("pk", flat=True)),
        )
        rows = claim.rows().select_related("notification").order_by("notification__created_at", "pk")
        deliveries: list[EmailDelivery] = list(rows)
        if not deliveries:
            return BatchResult()
        members = active_members(claim.organisation_id).select_related("user", "organisation")
        membership: Membership | None = members.filter(pk=deliveries[0].membership_id).first()
        if membership is None:
            _settle(claim, DeliveryState.DROPPED, EmailReason.MEMBERSHIP_ENDED)
            return BatchResult()
        contexts = readable_contexts(actor_of(membership), [delivery.notification for delivery in deliveries])
        readable = [delivery for delivery in deliveries if delivery.notification_id in contexts]
        claim.settle(
            _outcome(DeliveryState.DROPPED, EmailReason.NOT_VISIBLE),
            ids=[delivery.pk for delivery in deliveries if delivery not in readable],
        )
        if not readable:
            return BatchResult()
        claim.ids = [delivery.pk for delivery in readable]
        message = build_email(
            membership,
            [delivery.notification for delivery in readable],
            contexts,
            is_digest=readable[0].is_digest,
        )
    # False when another worker has taken over some of the rows; then nothing was sent.
    if not session.send(message, lambda: claim.extend(SENDING_LEASE, {"state": DeliveryState.SENDING})):
        claim.release()
        return BatchResult()
    claim.settle({**_outcome(DeliveryState.SENT), "sent_at": timezone.now()})
    return BatchResult(delivered=1)


def _settle(claim: Claim, state: DeliveryState, reason: str) -> None:
    claim.settle(_outcome(state, reason))


def _outcome(state: DeliveryState, reason: str = "") -> dict[str, object]:
    return {"state": state, "reason": reason[:300]}
