"""Hooks for the objects of higher apps that depend on divisions and templates: count and move them, and
preview the effect of a change.

All are called in the caller's transaction and scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from koppel.kit.hooks import Hook, SingleHook
from koppel.organisations.models import SettingsMap
from koppel.organisations.roles import Actor


class GroupKind(StrEnum):
    """The kinds of groups that administrations can have."""

    DIVISION = "division"
    TEMPLATE = "template"


@dataclass(frozen=True, kw_only=True)
class SettingChange:
    """A setting that changes in the same way for `count` administrations."""

    key: str
    before: Any
    after: Any
    count: int


@dataclass(frozen=True, kw_only=True)
class SettingsImpact:
    """The effect of other settings of a template: of `total`, `changed` sync differently afterwards."""

    total: int = 0
    changed: int = 0
    differences: Sequence[SettingChange] = ()


count_usage = SingleHook[[int, GroupKind], Mapping[int, int]](lambda *_: {})
"""Called with an organisation: the number of administrations of each division or template, by its id.

Restricted ones are not counted, because a number must not reveal that they exist.
"""

move_usage = Hook[[Actor, GroupKind, int, int], int]()
"""Called with two ids when a division or template is merged into another: hang all of the first on the
second. How many; with an exception of a listener nothing is merged.
"""

settings_impact = SingleHook[[int, int, SettingsMap], SettingsImpact](lambda *_: SettingsImpact())
"""Called with an organisation, a template's id and its next settings: what they would do. Changes nothing."""
