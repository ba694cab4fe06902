"""Connects web with the apps below it.

Imported once, by `AppConfig.ready`."""

from koppel.audit.queries import register_actions
from koppel.web.audit.labels import AUDIT_ACTION_LABELS
from koppel.web.auth import session_tracking

session_tracking.register()
register_actions(AUDIT_ACTION_LABELS)
