"""What the audit log records, which only the apps that act know."""

from koppel.audit.audit_actions import AuditAction
from koppel.kit.hooks import Registry

audit_actions = Registry[AuditAction]()
"""Every action that Koppel can record, by its code."""


def action_label(code: str) -> str:
    """What a person reads of an action, in the language that is active. The code itself when no app knows it."""
    action = audit_actions.get(code)
    return str(action.label) if action else code
