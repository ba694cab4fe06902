"""What hangs on divisions and templates in higher slices: how many, what a change would do to them, and moving them.

Administrations register here; the firm's own pages show it without knowing them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from koppel.organisations.roles import Actor


class Group(StrEnum):
    """What administrations can hang on."""

    DIVISION = "division"
    TEMPLATE = "template"


@dataclass(frozen=True)
class Difference:
    """One setting that changes alike for `count` of them."""

    key: str
    before: Any
    after: Any
    count: int


@dataclass(frozen=True)
class Effects:
    """What other settings of a template would do: of `total`, `changed` sync differently afterwards."""

    total: int = 0
    changed: int = 0
    differences: Sequence[Difference] = ()


class Dependants(Protocol):
    """Everything within what the actor may count: restricted ones count, for they are touched too."""

    def counts(self, organisation_id: int, group: Group) -> Mapping[int, int]:
        """How many hang on each, by id."""

    def move(self, actor: Actor, group: Group, from_id: int, into_id: int) -> int:
        """Hang all of one on the other. How many."""

    def effects(self, organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> Effects:
        """If the template said this. Changes nothing."""


_registered: list[Dependants] = []


def register_group_dependants(one: Dependants) -> None:
    if one not in _registered:
        _registered.append(one)


def counts(organisation_id: int, group: Group) -> dict[int, int]:
    found: dict[int, int] = {}
    for each in _registered:
        for key, count in each.counts(organisation_id, group).items():
            found[key] = found.get(key, 0) + count
    return found


def move(actor: Actor, group: Group, from_id: int, into_id: int) -> int:
    return sum(each.move(actor, group, from_id, into_id) for each in _registered)


def effects(organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> Effects:
    found = [each.effects(organisation_id, template_id, settings) for each in _registered]
    return next((one for one in found if one.total), Effects())
