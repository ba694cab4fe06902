"""What can be done to many administrations at once. A higher app registers its own actions, such as a
sync."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from koppel.administrations.models import Administration
from koppel.kit.hooks import Registry
from koppel.kit.web.parameters import UnknownParameter, shortened, unknown_name
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

Values = Mapping[str, Any]
"""Parameters of an action, or a part of an administration's state; JSON."""


@dataclass(frozen=True)
class PlannedChange:
    """What an action means for one administration. `reason_code` is a key of `bulk.messages.REASON_LABELS` or of the
    action's `reasons` when it changes nothing.

    `before` and `after` describe only what is touched: {"columns": {name: value}, "people": {id: automatic or
    None}}."""

    reason_code: str = ""
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)


Planner = Callable[[Actor, Sequence[Administration], Mapping[int, Values]], dict[int, PlannedChange]]
"""Looks, changes nothing: the preview and the job ask the same judge. The parameters are given per
administration."""
Executor = Callable[[Actor, Mapping[int, Values]], None]
"""Makes what `after` says of each come true, set by set, in the caller's transaction."""


@dataclass(frozen=True)
class BulkAction:
    """`validate` gives the parameters as stored, or raises `Refused` with a sentence. `audit_code` is the
    action in the audit log, '' for none; `audit_code_of` decides by the parameters."""

    key: str
    label: str | Promise
    permission: Permission
    audit_code: str
    validate: Callable[[Actor, Values], Values]
    plan: Planner
    execute: Executor
    is_undoable: bool = False
    parameters: frozenset[str] = frozenset()
    """Keys that `validate` reads; another one is refused."""
    audit_code_of: Callable[[Values], str] | None = None
    reasons: Mapping[str, str | Promise] = field(default_factory=dict)
    """The words of the reason codes that only its planner gives."""

    def audit_action(self, params: Values) -> str:
        return self.audit_code_of(params) if self.audit_code_of else self.audit_code


bulk_actions = Registry[BulkAction]()
"""By key, in the order of the menu. `validate` and `plan` only read; `execute` runs in the transaction of its
part of the operation: with an exception that part is not done."""


def get_action(key: str) -> BulkAction:
    """Return the action of a key. Raises `Refused` for one that nobody registered."""
    if key not in bulk_actions:
        raise Refused(f"There is no bulk action {shortened(key)!r}; there are: {', '.join(sorted(bulk_actions))}.")
    return bulk_actions[key]


def refuse_unknown(action: BulkAction, values: Values) -> None:
    """Raise `UnknownParameter` for parameters that the action does not have."""
    names = sorted(action.parameters)
    if parts := [unknown_name(key, "", names) for key in values if key not in action.parameters]:
        raise UnknownParameter(parts)
