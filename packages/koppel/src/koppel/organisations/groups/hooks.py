"""What hangs on divisions and templates in higher slices: how many, what a change would do to them, and moving them.

Administrations register here; the firm's own pages show it without knowing them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from koppel.organisations.roles import Actor


class GroupKind(StrEnum):
    """What administrations can hang on."""

    DIVISION = "division"
    TEMPLATE = "template"


@dataclass(frozen=True)
class SettingChange:
    """One setting that changes alike for `count` of them."""

    key: str
    before: Any
    after: Any
    count: int


@dataclass(frozen=True)
class SettingsImpact:
    """What other settings of a template would do: of `total`, `changed` sync differently afterwards."""

    total: int = 0
    changed: int = 0
    differences: Sequence[SettingChange] = ()


class GroupUsageProvider(Protocol):
    """Everything within what the actor may count: restricted ones count, for they are touched too."""

    def counts(self, organisation_id: int, group: GroupKind) -> Mapping[int, int]:
        """How many hang on each, by id."""

    def move(self, actor: Actor, group: GroupKind, from_id: int, into_id: int) -> int:
        """Hang all of one on the other. How many."""

    def effects(self, organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> SettingsImpact:
        """If the template said this. Changes nothing."""


_providers: list[GroupUsageProvider] = []


def register_group_dependants(provider: GroupUsageProvider) -> None:
    if provider not in _providers:
        _providers.append(provider)


def counts(organisation_id: int, group: GroupKind) -> dict[int, int]:
    totals: dict[int, int] = {}
    for provider in _providers:
        for key, count in provider.counts(organisation_id, group).items():
            totals[key] = totals.get(key, 0) + count
    return totals


def move(actor: Actor, group: GroupKind, from_id: int, into_id: int) -> int:
    return sum(provider.move(actor, group, from_id, into_id) for provider in _providers)


def effects(organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> SettingsImpact:
    impacts = [provider.effects(organisation_id, template_id, settings) for provider in _providers]
    return next((impact for impact in impacts if impact.total), SettingsImpact())
