"""Detects a database of Koppel before 0.2, whose migrations no longer exist."""

from django.apps import apps
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

FIRST = ("kit", "0001_initial")
"""All other migrations of Koppel depend on this one, so it is applied whenever any of them is. It did not
exist before 0.2.
"""
TOO_OLD = (
    "This database was made by a Koppel before 0.2, and no way leads from there to this version; "
    "nothing was changed."
    " Name an empty database or another data directory (docs/operations.md, Upgrade)."
)


def is_too_old(alias: str) -> bool:
    """Return whether Koppel before 0.2 created the tables. Read-only."""
    applied = set(MigrationRecorder(connections[alias]).applied_migrations())
    own_labels = {config.label for config in apps.get_app_configs() if config.name.startswith("koppel.")}
    return FIRST not in applied and any(label in own_labels for label, _name in applied)
