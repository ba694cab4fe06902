from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class KitConfig(AppConfig):
    """Grants the application role its rights after every migration run by the owner."""

    name = "koppel.kit"

    def ready(self) -> None:
        post_migrate.connect(_grant, dispatch_uid="koppel.kit.grants")


def _grant(*, using: str, app_config: AppConfig, **_: Any) -> None:
    from koppel.kit.tenancy.grants import grant_to_application_role  # noqa: PLC0415 - needs configured settings

    if app_config.name == "koppel.kit":
        return
    grant_to_application_role(using)
