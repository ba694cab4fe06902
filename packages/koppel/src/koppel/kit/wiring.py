"""Grants the application role its rights after every migration run by the owner.

Imported once, by `AppConfig.ready`."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

from koppel.kit.tenancy.grants import grant_to_application_role


def _grant(*, using: str, app_config: AppConfig, **_: Any) -> None:
    if app_config.name == "koppel.kit":
        return
    grant_to_application_role(using)


post_migrate.connect(_grant, dispatch_uid="koppel.kit.grants")
