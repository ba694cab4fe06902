"""What can be done to many administrations at once. A higher slice registers its own acts, such as a sync."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from koppel.administrations.models import Administration
from koppel.kit.parameters import UnknownParameter, shortened, unknown_name
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Actor, Permission

Values = Mapping[str, Any]
"""Parameters of an act, or a part of an administration's state; JSON."""


@dataclass(frozen=True)
class Verdict:
    """What an act means for one administration. `why` is a word of `bulk.words` when it changes nothing.

    `before` and `after` describe only what is touched: {"columns": {name: value}, "people": {id: automatic or None}}."""

    why: str = ""
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)


Judge = Callable[[Actor, Sequence[Administration], Mapping[int, Values]], dict[int, Verdict]]
"""Looks, changes nothing: the preview and the job ask the same judge. The parameters are given per administration."""
Perform = Callable[[Actor, Mapping[int, Values]], None]
"""Makes what `after` says of each come true, set by set, in the caller's transaction."""


@dataclass(frozen=True)
class Act:
    """`check` gives the parameters as stored, or raises `Refused` with a sentence. `audit` is the act in the trail, '' for
    none; `audit_of` decides by the parameters."""

    key: str
    label: str | Promise
    permission: Permission
    audit: str
    check: Callable[[Actor, Values], Values]
    judge: Judge
    perform: Perform
    is_undoable: bool = False
    parameters: frozenset[str] = frozenset()
    """Keys that `check` reads; another one is refused."""
    audit_of: Callable[[Values], str] | None = None

    def in_trail(self, asked: Values) -> str:
        return self.audit_of(asked) if self.audit_of else self.audit


_acts: dict[str, Act] = {}


def register_act(act: Act) -> None:
    _acts[act.key] = act


def act_named(key: str) -> Act:
    """Raises `Refused` for a key that nobody registered."""
    if key not in _acts:
        raise Refused(f"There is no bulk act {shortened(key)!r}; there are: {', '.join(sorted(_acts))}.")
    return _acts[key]


def refuse_unknown(act: Act, asked: Values) -> None:
    """Raises `UnknownParameter` for what the act does not know: left out, something else would happen than was asked."""
    names = sorted(act.parameters)
    if parts := [unknown_name(key, "", names) for key in asked if key not in act.parameters]:
        raise UnknownParameter(parts)


def acts() -> list[Act]:
    return list(_acts.values())
