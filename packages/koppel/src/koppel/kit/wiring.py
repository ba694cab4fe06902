"""Sets id ranges and the application role's rights after each migration run by the owner; registers alarms.

Imported once, by `AppConfig.ready`.
"""

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from koppel.kit.database.health.alarm_types import ALARM_TYPES, find_installation_alarms
from koppel.kit.database.health.alarms import alarm_types
from koppel.kit.database.health.hooks import find_alarms
from koppel.kit.models import Installation
from koppel.kit.tenancy.id_ranges import set_id_ranges
from koppel.kit.tenancy.privileges import append_only_models, grant_to_application_role


def _set_id_ranges(*, using: str, **_: Any) -> None:
    set_id_ranges(using)


def _grant(*, using: str, app_config: AppConfig, **_: Any) -> None:
    if app_config.name == "koppel.kit":
        return
    grant_to_application_role(using)


post_migrate.connect(_set_id_ranges, sender=apps.get_app_config("kit"), dispatch_uid="koppel.kit.id_ranges")
post_migrate.connect(_grant, dispatch_uid="koppel.kit.grants")
append_only_models.register(Installation._meta.db_table, Installation)
for code, alarm_type in ALARM_TYPES.items():
    alarm_types.register(code, alarm_type)
find_alarms.register(find_installation_alarms)
