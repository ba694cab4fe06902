"""Closes the audit log: the application role appends to it and never rewrites it. Brings this app's own
actions.

Imported once, by `AppConfig.ready`."""

from koppel.audit.audit_actions import AUDIT_ACTIONS
from koppel.audit.hooks import audit_actions
from koppel.audit.models import AuditEntry
from koppel.kit.tenancy.privileges import append_only_models

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
append_only_models.register(AuditEntry._meta.db_table, AuditEntry)
