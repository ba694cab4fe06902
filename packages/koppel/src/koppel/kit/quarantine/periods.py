"""The quarantines of this installation: the beginning and end of each, and who began and ended it."""

from datetime import UTC, datetime

from django.db import connection
from django.utils import timezone

from koppel.kit.models import Quarantine
from koppel.kit.quarantine.reasons import Reason

_BEGIN = """
INSERT INTO kit_quarantine (began_by, ended_by, sends_pending, reason) VALUES (%s, '', false, %s)
ON CONFLICT DO NOTHING
"""
_SET_REASON = "UPDATE kit_quarantine SET reason = %s WHERE ended_at IS NULL AND reason = ''"


def begin(by: str, reason: Reason = Reason.MANUAL) -> bool:
    """Begin a quarantine, in the caller's transaction. Return False when one is on already; it gets the
    reason if it has none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [by, reason.value])
        began = bool(cursor.rowcount)
        if not began and reason is not Reason.MANUAL:
            cursor.execute(_SET_REASON, [reason.value])
        return began


def end(by: str, *, sends_pending: bool) -> Quarantine | None:
    """End the quarantine, in the caller's transaction, and return it; None when none is on."""
    period = Quarantine.objects.select_for_update().filter(ended_at=None).first()
    if period is not None:
        period.ended_at, period.ended_by, period.sends_pending = timezone.now(), by, sends_pending
        period.save(update_fields=["ended_at", "ended_by", "sends_pending"])
    return period


def discard_mail_before() -> datetime:
    """Return the moment before which requested email is discarded, not sent."""
    ended = Quarantine.objects.filter(ended_at__isnull=False, sends_pending=False)
    last = ended.order_by("-began_at").values_list("began_at", flat=True).first()
    return last or datetime.min.replace(tzinfo=UTC)
