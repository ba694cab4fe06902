"""Hooks for the actions of the audit log, which only the acting apps know."""

from collections.abc import Collection, Iterable

from koppel.audit.audit_actions import AuditAction
from koppel.kit.hooks import Registry, SingleHook

audit_actions = Registry[AuditAction]()
"""Every action that Koppel can record, by its code."""

erasure_actions = Registry[AuditAction]()
"""Actions that record the erasure of their subject, an administration; the detail `company` is its remote
company.
"""

existing_administrations = SingleHook[[int, Iterable[int]], Collection[int]]()
"""The ids, of those given, of administrations that an organisation has."""


def action_label(code: str) -> str:
    """Return the label of an action in the active language; its code when no app knows it."""
    action = audit_actions.get(code)
    return str(action.label) if action else code
