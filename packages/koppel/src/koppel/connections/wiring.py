"""Tells issues and notices the words of connections.

Imported once, by `AppConfig.ready`."""

from koppel.connections import issue_types
from koppel.connections.lifecycle import offboarding

issue_types.register()
offboarding.register()
