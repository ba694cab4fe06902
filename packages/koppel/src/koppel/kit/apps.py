from django.apps import AppConfig


class KitConfig(AppConfig):
    """Sets id ranges and the application role's rights after each migration run by the owner."""

    name = "koppel.kit"

    def ready(self) -> None:
        from koppel.kit import wiring  # noqa: F401, PLC0415 - models must be loaded first
