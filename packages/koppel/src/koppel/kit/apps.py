from django.apps import AppConfig


class KitConfig(AppConfig):
    """Sets the ranges of ids and the rights of the application role after each migration run by the owner."""

    name = "koppel.kit"

    def ready(self) -> None:
        from koppel.kit import wiring  # noqa: F401, PLC0415 - models must be loaded first
