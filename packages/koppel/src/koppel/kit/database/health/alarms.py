"""Alarms: faults of the installation that an operator repairs, such as a missing worker or a full disk.

Apps register an `AlarmType` for each, and find those that hold now: see the hooks of this package. Texts are
translated when they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.utils.functional import Promise

from koppel.kit.database.json_fields import MessageContext
from koppel.kit.hooks import Registry


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
"""By code. Registered once, at the start; a code without a type is ignored where alarms are shown."""


@dataclass(frozen=True)
class AlarmChanges:
    """What changed since alarms were stored last."""

    raised: Sequence[ActiveAlarm]
    cleared: Sequence[ActiveAlarm]
    unnotified: Sequence[ActiveAlarm]
    """Alarms that hold, of which operators were not notified: those raised, and earlier ones."""
    resolved: Sequence[tuple[ActiveAlarm, datetime]]
    """Cleared ones of which operators were notified, with the moment since which each held."""
