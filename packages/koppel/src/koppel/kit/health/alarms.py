"""Alarms: faults of the installation that an operator repairs, such as a missing worker or a full disk.

Apps register an `AlarmType` for each, and an alarm source that finds those that hold now. Texts are
translated when they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.utils import timezone
from django.utils.functional import Promise

from koppel.kit.database.json_fields import MessageContext
from koppel.kit.hooks import Hook, Registry
from koppel.kit.models import Alarm


class AlarmCode(StrEnum):
    """The base of the codes that apps declare."""


@dataclass(frozen=True)
class AlarmType:
    """`is_failure`: `koppel check` fails. `for_administrators`: their dashboard shows it too, because work
    of their organisation stands still.
    """

    message: Promise
    """With placeholders for the facts."""
    remedy: Promise
    is_failure: bool = True
    for_administrators: bool = False


@dataclass(frozen=True)
class ActiveAlarm:
    """An alarm that holds now."""

    code: str
    facts: MessageContext = field(default_factory=dict)

    @property
    def message(self) -> str:
        """Return what is wrong, in the language of the reader."""
        return str(alarm_types[self.code].message) % self.facts

    @property
    def remedy(self) -> str:
        """Return what an operator does about it, likewise."""
        return str(alarm_types[self.code].remedy)

    @property
    def text(self) -> str:
        """Return the message, and what to do."""
        return f"{self.message} {self.remedy}"


alarm_types = Registry[AlarmType]()
"""By code."""
find_alarms = Hook[[], Sequence[ActiveAlarm]]()
"""Called in a transaction of the installation's scope."""


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


@dataclass(frozen=True)
class AlarmChanges:
    """What changed since alarms were stored last."""

    raised: Sequence[ActiveAlarm]
    cleared: Sequence[ActiveAlarm]
    unnotified: Sequence[ActiveAlarm]
    """Alarms that hold, of which operators were not notified: those raised, and earlier ones."""
    resolved: Sequence[tuple[ActiveAlarm, datetime]]
    """Cleared ones of which operators were notified, with the moment since which each held."""


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
