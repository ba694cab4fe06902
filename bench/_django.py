"""Django on the database of a benchmark, even if this process ran another benchmark before."""

import importlib
import os
from pathlib import Path

from koppel.kit.database.embedded_postgres import Addresses


def migrate_database(addresses: Addresses, home: Path) -> None:
    """Apply all migrations, and set Django up as the application role. `home` holds mail and data."""
    _configure_django(addresses, home)
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", database="owner", verbosity=0, interactive=False)
    connections["owner"].close()


def _configure_django(addresses: Addresses, home: Path) -> None:
    import django
    from django.apps import apps

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "koppel.settings",
        "DATABASE_URL": addresses.app_url,
        "KOPPEL_OWNER_DATABASE_URL": addresses.owner_url,
        "KOPPEL_SECRET_KEY": "a-key-for-benchmarks-that-is-long-enough-for-every-check-of-django-0123456789",
        "KOPPEL_VAULT_KEYS": "bench:" + "QUFB" * 10 + "QUE=",
        "KOPPEL_MAIL_DIR": str(home),
        "KOPPEL_PUBLIC_URL": "http://localhost:8400",
        "KOPPEL_DATA_DIR": str(home / "data"),
    }
    if apps.ready:
        _reload_settings()
    else:
        django.setup()


def _reload_settings() -> None:
    """Make Django read its settings again; a connection keeps those that it was created with."""
    from django.conf import settings
    from django.db import connections

    from koppel import settings as module

    importlib.reload(module)
    for name in filter(str.isupper, dir(module)):
        setattr(settings, name, getattr(module, name))
    for alias, database in module.DATABASES.items():
        connections[alias].close()
        connections.settings[alias].update(database)
