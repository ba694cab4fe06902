"""The outbox of emails. Each organisation has one lane, so that its emails share a connection to the mail
server.
"""

from datetime import timedelta
from typing import Any

import structlog
from django.db.models import Q, QuerySet

from koppel.kit.backoff import Backoff
from koppel.kit.jobs.outbox import Outbox
from koppel.notifications.models import DeliveryState, EmailDelivery, EmailReason

RETRY_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=3600.0)
ATTEMPTS_MAX = 40
"""With the pauses between them about a day and a half."""

log = structlog.get_logger(__name__)


def _select_email(due: "QuerySet[EmailDelivery]") -> list[EmailDelivery]:
    """Return the rows of one email: one delivery, or all of one member's digest."""
    first = due.first()
    if first is None or not first.is_digest:
        return [first] if first else []
    return list(due.filter(membership_id=first.membership_id, is_digest=True))


def _mark_uncertain(interrupted: "QuerySet[Any]") -> None:
    """Settle emails that were being handed over: the mail server may have accepted them."""
    uncertain = {"state": DeliveryState.UNCERTAIN, "reason": EmailReason.INTERRUPTED, "leased_until": None}
    if count := interrupted.filter(state=DeliveryState.SENDING).update(**uncertain):
        log.warning("email_uncertain", count=count, reason=EmailReason.INTERRUPTED.value)


EMAIL_OUTBOX = Outbox(
    task_name="notifications.send_emails",
    model=EmailDelivery,
    lane_columns=("organisation_id",),
    open_rows=Q(state__in=[DeliveryState.WAITING, DeliveryState.CLAIMED, DeliveryState.SENDING]),
    lease=timedelta(minutes=2),
    retry_seconds=lambda attempts: RETRY_BACKOFF.seconds(attempts - 1),
    attempts_max=ATTEMPTS_MAX,
    select_batch=_select_email,
    waiting={"state": DeliveryState.WAITING},
    cancelled={"state": DeliveryState.DROPPED},
    leased={"state": DeliveryState.CLAIMED},
    failed={"state": DeliveryState.FAILED},
    settle_interrupted=_mark_uncertain,
)
