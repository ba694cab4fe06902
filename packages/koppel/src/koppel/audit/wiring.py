"""Closes the audit log: the application role appends to it and never rewrites it.

Imported once, by `AppConfig.ready`."""

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy.privileges import append_only_models

append_only_models.register(AuditEntry._meta.db_table, AuditEntry)
