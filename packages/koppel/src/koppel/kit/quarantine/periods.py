"""The quarantines of this installation: the beginning and end of each, and who began and ended it."""

from datetime import UTC, datetime

from django.db import connection
from django.utils import timezone

from koppel.kit.models import Quarantine

_BEGIN = (
    "INSERT INTO kit_quarantine (began_by, ended_by, sends_pending) VALUES (%s, '', "
    "false) ON CONFLICT DO NOTHING"
)


def begin(by: str) -> bool:
    """Begin a quarantine, in the caller's transaction. Return False when one is on already."""
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [by])
        return bool(cursor.rowcount)


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
