"""The bar below the list of administrations: the actor's bulk actions, as menus, buttons and items."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.forms import BoundField

from koppel.administrations.bulk.action_form import ActionForm, Choices
from koppel.administrations.bulk.actions import BarPanel, BulkAction, Placement, bulk_actions
from koppel.organisations.roles import Actor


@dataclass(frozen=True, kw_only=True)
class BarMenu:
    """A menu of its own, with its fields."""

    action: BulkAction[Any]
    panel: BarPanel
    fields: Sequence[BoundField]


@dataclass(frozen=True)
class Bar:
    """What the actor may do, in the order of registration."""

    panels: Sequence[BarMenu]
    buttons: Sequence[BulkAction[Any]]
    items: Sequence[Sequence[BulkAction[Any]]]
    """The menu's actions without fields, in groups that need the same permission."""
    forms: Sequence[tuple[BulkAction[Any], ActionForm]]
    """The menu's actions with fields."""


def load_bar(actor: Actor, choices: Choices) -> Bar:
    actions = [action for action in bulk_actions.values() if actor.can(action.permission)]
    others = [action for action in actions if not action.panels]
    simple = [action for action in others if not action.form.base_fields]
    items = [action for action in simple if action.placement is Placement.MENU]
    return Bar(
        panels=list(_menus(actor, [action for action in actions if action.panels], choices)),
        buttons=[action for action in simple if action.placement is Placement.BUTTON],
        items=[list(group) for _permission, group in groupby(items, lambda action: action.permission)],
        forms=[
            (action, action.form(prefix=action.code, choices=choices))
            for action in others
            if action.form.base_fields
        ],
    )


def _menus(actor: Actor, actions: Iterable[BulkAction[Any]], choices: Choices) -> Iterator[BarMenu]:
    for action in actions:
        form = action.form(prefix=action.code, choices=choices)
        for panel in action.panels:
            if actor.can(panel.permission):
                yield BarMenu(action=action, panel=panel, fields=[form[name] for name in panel.fields])
