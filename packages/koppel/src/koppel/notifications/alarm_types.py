"""The alarm about mail that does not leave."""

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Count, Min, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.kit import quarantine
from koppel.kit.database.health.alarms import ActiveAlarm, AlarmCode, AlarmType
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.models import EmailDelivery

MAIL_AGE_MAX = timedelta(minutes=15)


class MailAlarm(AlarmCode):
    """Alarms about mail."""

    MAIL_BACKLOG = "mail_backlog"


ALARM_TYPES = {
    MailAlarm.MAIL_BACKLOG: AlarmType(
        _("Emails waiting: %(count)s, the oldest for %(minutes)s minutes."),
        _("Check the mail server with “koppel check”."),
    )
}


def find_mail_alarms() -> Sequence[ActiveAlarm]:
    """Return an alarm when emails have been due for a quarter of an hour, or were tried in vain meanwhile.

    A single refused address is none, while others are sent.
    """
    if quarantine.current() is not None:
        return []
    now = timezone.now()
    before = now - MAIL_AGE_MAX
    is_late = Q(due_at__lt=before)
    if not EmailDelivery.objects.filter(sent_at__gte=before).exists():
        is_late |= Q(attempts__gt=0, notification__created_at__lt=before)
    waiting = EmailDelivery.objects.filter(EMAIL_OUTBOX.open_rows, is_late, is_digest=False)
    figures = waiting.aggregate(count=Count("pk"), oldest=Min("notification__created_at"))
    if not figures["count"]:
        return []
    minutes = int((now - figures["oldest"]).total_seconds() // 60)
    return [ActiveAlarm(MailAlarm.MAIL_BACKLOG, {"count": figures["count"], "minutes": minutes})]
