"""Definition of a bulk action, and the registry of all. A higher app registers its own, such as a sync.

One `BulkAction` is all that the bar of the list, the page of a CSV, REST, the command line and the job know
of an action.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypedDict, TypeVar

import msgspec
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.administrations.bulk.action_form import ActionForm
from koppel.administrations.bulk.skip_reasons import BulkReason, CommonReason
from koppel.administrations.models import Administration, BulkValues
from koppel.audit.audit_actions import AuditAction
from koppel.kit.hooks import Registry
from koppel.kit.web.parameters import UnknownParameter, shorten, unknown_name
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

ParametersT = TypeVar("ParametersT")
RawParameters = Mapping[str, Any]
"""Parameters as a person or a program gave them, before `parse_parameters`."""


class NoParameters(TypedDict):
    """The parameters of an action that has none."""


@dataclass(frozen=True)
class PlannedChange:
    """The planned change of one administration."""

    reason_code: BulkReason | None = None
    """The reason if nothing changes: one of `CommonReason`, or of the action's `reasons`."""
    before: BulkValues = field(default_factory=BulkValues)
    """The present values of what the action changes: {"columns": {name: value}, "people": {id: automatic or
    None}}.
    """
    after: BulkValues = field(default_factory=BulkValues)
    """The new values, in the same form."""


def changed_names(values: BulkValues) -> set[str]:
    """Return the names of the parameters that set these values."""
    names = {column.removesuffix("_id") for column in values.get("columns", {})}
    return names | {"add", "remove"} if values.get("people") else names


Planner = Callable[[Actor, Sequence[Administration], Mapping[int, ParametersT]], dict[int, PlannedChange]]
"""Plans without writing; the preview and the job use the same planner. Parameters by administration id."""
Executor = Callable[[Actor, Mapping[int, BulkValues]], None]
"""Applies each administration's `after` values, in the caller's transaction."""


def _accept(actor: Actor, params: ParametersT) -> ParametersT:
    return params


def _describe_nothing(actor: Actor, params: ParametersT) -> Sequence[str]:
    return ()


def _describe_result(count: int) -> str:
    text = ngettext("%(count)d administration was changed.", "%(count)d administrations were changed.", count)
    return text % {"count": count}


class Placement(StrEnum):
    """Where the bar of the list has an action without fields; one with fields is at the end of the menu."""

    BUTTON = "button"
    """A button of the bar itself."""
    MENU = "menu"
    """An item of the menu “more”."""


@dataclass(frozen=True, kw_only=True)
class BarPanel:
    """A menu of the bar with some fields of an action, and a button to preview it."""

    name: str
    label: str | Promise
    fields: Sequence[str]
    permission: Permission
    hint: str | Promise = ""
    has_csv_link: bool = False
    """Whether the hint ends with a link to the page of a CSV."""
    is_primary: bool = False


@dataclass(frozen=True)
class BulkAction(Generic[ParametersT]):
    """An action that is done to many administrations at once."""

    code: str
    """The stable word for programs; `bulk_actions` has the action under it."""
    label: str | Promise
    icon: str
    permission: Permission
    audit_action: AuditAction | None
    """The action that is recorded in the audit log; None: nothing is recorded."""
    command: str
    """The name of the command: `koppel administrations <command>`."""
    command_help: str
    parameters: type[ParametersT]
    """The type of the parameters: a `TypedDict` whose keys may be absent. Others are refused."""
    plan: Planner[ParametersT]
    """Plans the change of each administration. Only reads."""
    execute: Executor
    """Makes the planned changes, in the transaction of its part of the operation: with an exception that part
    is not done.
    """
    validate: Callable[[Actor, ParametersT], ParametersT] = _accept
    """Returns the parameters to store, or raises `Refused`. Only reads."""
    describe: Callable[[Actor, ParametersT], Sequence[str]] = _describe_nothing
    """Returns a sentence for each parameter that is the same for all items."""
    describe_result: Callable[[int], str] = _describe_result
    """Returns what was done to this number of administrations."""
    form: type[ActionForm] = ActionForm
    """The fields in which a person enters the parameters."""
    placement: Placement = Placement.MENU
    panels: Sequence[BarPanel] = ()
    """The menus of the bar that take the place of `placement`."""
    explanation: str | Promise = ""
    """What a person must know before it is done, above the fields."""
    is_dangerous: bool = False
    """Whether its button warns by its colour."""
    has_preview: bool = True
    """Whether a person sees what will change before the action starts."""
    reads_csv_values: bool = False
    """Whether the other columns of a CSV are its values; else only the first column is read."""
    is_undoable: bool = False
    choose_audit_action: Callable[[ParametersT], AuditAction] | None = None
    """Returns the action that is recorded, from the parameters, in place of `audit_action`."""
    private_parameters: frozenset[str] = frozenset()
    """Parameters that are neither shown with the operation nor recorded."""
    reasons: type[BulkReason] = CommonReason
    """Reasons that only this action's planner gives."""
    parameter_permissions: Mapping[str, Permission] = field(default_factory=dict)
    """The permissions that single parameters need besides `permission`."""

    @property
    def parameter_names(self) -> Sequence[str]:
        return sorted(self.parameters.__annotations__)

    def public_parameters(self, params: RawParameters) -> dict[str, Any]:
        """Return the parameters that may be shown with the operation and recorded."""
        return {name: value for name, value in params.items() if name not in self.private_parameters}

    def may_change(self, actor: Actor, names: Iterable[str]) -> bool:
        """Return whether the actor may do the action now with parameters of these names."""
        return all(map(actor.can, self.permissions_for(names)))

    def permissions_for(self, names: Iterable[str]) -> set[Permission]:
        by_name = self.parameter_permissions
        return {self.permission, *(by_name[name] for name in names if name in by_name)}

    def audit_action_of(self, params: RawParameters) -> AuditAction | None:
        if self.choose_audit_action is None:
            return self.audit_action
        return self.choose_audit_action(parse_parameters(self, params))


bulk_actions = Registry[BulkAction[Any]]()
"""All bulk actions, by code."""


def get_action(code: str) -> BulkAction[Any]:
    """Return the action of a code. Raises `Refused` for an unknown one."""
    if code not in bulk_actions:
        raise Refused(
            f"There is no bulk action {shorten(code)!r}; there are: {', '.join(sorted(bulk_actions))}."
        )
    return bulk_actions[code]


def parse_parameters(action: BulkAction[ParametersT], values: RawParameters) -> ParametersT:
    """Return the parameters in the action's own type.

    Raises `UnknownParameter` for a name that it does not have, `Refused` for a value of another type.
    """
    names = action.parameter_names
    if parts := [unknown_name(key, "", names) for key in values if key not in names]:
        raise UnknownParameter(parts)
    try:
        return msgspec.convert(values, action.parameters)
    except msgspec.ValidationError as error:
        path = re.search(r"\$\.(\w+)", str(error))
        raise Refused(_("The value of “%s” is not valid.") % (path[1] if path else "")) from None


def merged_parameters(
    action: BulkAction[ParametersT], params: RawParameters, item_params: RawParameters
) -> ParametersT:
    """Return the parameters of an operation, replaced by those of one of its items."""
    return msgspec.convert({**params, **item_params}, action.parameters)
