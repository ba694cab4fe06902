from django.apps import AppConfig


class AdministrationsConfig(AppConfig):
    """Proves to connections what was imported, says what becomes of it without a connection, and registers
    its bulk actions."""

    name = "koppel.administrations"
    label = "administrations"

    def ready(self) -> None:
        from koppel.administrations import wiring  # noqa: F401, PLC0415 - models must be loaded first
