"""Definition of a bulk action, and the registry of all. A higher app registers its own, such as a sync."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from koppel.administrations.bulk.skip_reasons import BulkReason, CommonReason
from koppel.administrations.models import Administration, BulkParameters, BulkValues
from koppel.audit.audit_actions import AuditAction
from koppel.kit.database.json_fields import to_shape
from koppel.kit.hooks import Registry
from koppel.kit.web.parameters import UnknownParameter, shorten, unknown_name
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

RawParameters = Mapping[str, Any]
"""Parameters as a person or a program gave them, before `BulkAction.validate`."""


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


Planner = Callable[[Actor, Sequence[Administration], Mapping[int, BulkParameters]], dict[int, PlannedChange]]
"""Plans without writing; the preview and the job use the same planner. Parameters by administration id."""
Executor = Callable[[Actor, Mapping[int, BulkValues]], None]
"""Applies each administration's `after` values, in the caller's transaction."""


@dataclass(frozen=True)
class BulkAction:
    """An action that is done to many administrations at once."""

    key: str
    label: str | Promise
    """The text in the menu."""
    permission: Permission
    audit_action: AuditAction | None
    """The action that is recorded in the audit log; None: nothing is recorded."""
    validate: Callable[[Actor, RawParameters], BulkParameters]
    """Returns the parameters to store, or raises `Refused`. Only reads."""
    plan: Planner
    """Plans the change of each administration. Only reads."""
    execute: Executor
    """Makes the planned changes, in the transaction of its part of the operation: with an exception that part
    is not done.
    """
    is_undoable: bool = False
    parameters: frozenset[str] = frozenset()
    """Keys that `validate` reads; any other key is refused."""
    choose_audit_action: Callable[[BulkParameters], AuditAction] | None = None
    """Returns the action that is recorded, from the parameters, in place of `audit_action`."""
    reasons: type[BulkReason] = CommonReason
    """Reasons that only this action's planner gives."""

    def audit_action_of(self, params: BulkParameters) -> AuditAction | None:
        return self.choose_audit_action(params) if self.choose_audit_action else self.audit_action


bulk_actions = Registry[BulkAction]()
"""All bulk actions, by key."""


def get_action(key: str) -> BulkAction:
    """Return the action of a key. Raises `Refused` for an unknown key."""
    if key not in bulk_actions:
        raise Refused(
            f"There is no bulk action {shorten(key)!r}; there are: {', '.join(sorted(bulk_actions))}."
        )
    return bulk_actions[key]


def merged_parameters(params: BulkParameters, item_params: RawParameters) -> BulkParameters:
    """Return the parameters of an operation, replaced by those of one of its items."""
    return to_shape({**params, **item_params}, BulkParameters)


def refuse_unknown(action: BulkAction, values: RawParameters) -> None:
    """Raise `UnknownParameter` for parameters that the action does not have."""
    names = sorted(action.parameters)
    if parts := [unknown_name(key, "", names) for key in values if key not in action.parameters]:
        raise UnknownParameter(parts)
