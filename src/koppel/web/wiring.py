"""Connects web with the apps below it.

Imported once, by `AppConfig.ready`."""

from koppel.audit.queries import register_acts
from koppel.web.audit.labels import ACTS
from koppel.web.auth import session_tracking

session_tracking.register()
register_acts(ACTS)
