"""Detects a database that this version cannot use: of Koppel before 0.2, or of a newer one."""

from django.apps import apps
from django.db import connections
from django.db.migrations.loader import MigrationLoader
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

TOO_NEW = (
    "A newer Koppel has migrated this database ({name} is not known here), so this version cannot use it;"
    " nothing was changed. Install that version again, or restore the backup from before its upgrade"
    " (docs/operations.md, Downgrade)."
)


def is_too_old(alias: str) -> bool:
    """Return whether Koppel before 0.2 created the tables. Read-only."""
    applied = set(MigrationRecorder(connections[alias]).applied_migrations())
    own_labels = {config.label for config in apps.get_app_configs() if config.name.startswith("koppel.")}
    return FIRST not in applied and any(label in own_labels for label, _name in applied)


def reason_unusable(alias: str) -> str:
    """Return why this version cannot use the database; '' when it can. Read-only."""
    if is_too_old(alias):
        return TOO_OLD
    unknown = _unknown_migrations(alias)
    return TOO_NEW.format(name=".".join(unknown[0])) if unknown else ""


def _unknown_migrations(alias: str) -> list[tuple[str, str]]:
    """Return (app, name) of the applied migrations of Koppel that this version does not have."""
    loader = MigrationLoader(connections[alias])
    own_labels = {config.label for config in apps.get_app_configs() if config.name.startswith("koppel.")}
    return sorted(
        migration
        for migration in loader.applied_migrations
        if migration[0] in own_labels and migration not in loader.disk_migrations
    )
