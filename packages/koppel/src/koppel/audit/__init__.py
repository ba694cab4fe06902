"""The audit log: who did what, when; append-only.

Begin with `services.add_audit_entry`, which a use case calls in its own transaction; `queries` reads, `hooks`
knows every action by name.
"""
