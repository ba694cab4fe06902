"""Let the application role append to the audit log by its function only; register actions and the alarm.

Imported once, by `AppConfig.ready`.
"""

from koppel.audit.alarm_types import ALARM_TYPES, find_audit_alarms
from koppel.audit.audit_actions import AUDIT_ACTIONS
from koppel.audit.hooks import audit_actions
from koppel.audit.models import AuditEntry, Chain, Link, PendingLink, SignedHead
from koppel.kit.database.health.alarms import alarm_types
from koppel.kit.database.health.hooks import find_alarms
from koppel.kit.tenancy.privileges import append_only_models, read_only_models

for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
for model in (AuditEntry, PendingLink, Link, Chain):
    read_only_models.register(model._meta.db_table, model)
append_only_models.register(SignedHead._meta.db_table, SignedHead)
for code, alarm_type in ALARM_TYPES.items():
    alarm_types.register(code, alarm_type)
find_alarms.register(find_audit_alarms)
