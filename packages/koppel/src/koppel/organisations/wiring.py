"""The audit actions that organisations bring.

Imported once, by `AppConfig.ready`.
"""

from koppel.audit.hooks import audit_actions
from koppel.organisations.audit_actions import AUDIT_ACTIONS

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
