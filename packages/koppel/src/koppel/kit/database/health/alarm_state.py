"""Which alarms hold: found now, and stored for pages and for what operators were notified of."""

from collections.abc import Sequence

from django.db import transaction
from django.utils import timezone

from koppel.kit.database.health.alarms import ActiveAlarm, AlarmChanges, alarm_types
from koppel.kit.database.health.hooks import find_alarms
from koppel.kit.models import Alarm


def current_alarms() -> list[ActiveAlarm]:
    """Return all alarms that hold now. In a transaction of the installation's scope."""
    return [alarm for alarms in find_alarms() for alarm in alarms]


def raised_alarms(*, for_administrators: bool = False) -> list[ActiveAlarm]:
    """Return the alarms that were raised and not cleared yet, the oldest first: those of everyone, or those
    alone that concern Administrators.
    """
    return [
        ActiveAlarm(alarm.code, alarm.facts)
        for alarm in Alarm.objects.order_by("raised_at", "code")
        if alarm.code in alarm_types
        and (alarm_types[alarm.code].for_administrators or not for_administrators)
    ]


def store_alarms(alarms: Sequence[ActiveAlarm]) -> AlarmChanges:
    """Store which alarms hold now, and return what changed."""
    current = {alarm.code: alarm for alarm in alarms}
    with transaction.atomic():
        stored = {row.code: row for row in Alarm.objects.select_for_update()}
        ended = [row for code, row in stored.items() if code not in current and code in alarm_types]
        Alarm.objects.exclude(pk__in=list(current)).delete()
        for code, alarm in current.items():
            Alarm.objects.update_or_create(code=code, defaults={"facts": alarm.facts})
    notified = {code for code, row in stored.items() if row.mailed_at}
    return AlarmChanges(
        raised=[alarm for code, alarm in current.items() if code not in stored],
        cleared=[ActiveAlarm(row.code, row.facts) for row in ended],
        unnotified=[alarm for code, alarm in current.items() if code not in notified],
        resolved=[(ActiveAlarm(row.code, row.facts), row.raised_at) for row in ended if row.mailed_at],
    )


def mark_notified(alarms: Sequence[ActiveAlarm]) -> None:
    """Store that operators were notified of these alarms."""
    Alarm.objects.filter(pk__in=[alarm.code for alarm in alarms]).update(mailed_at=timezone.now())
