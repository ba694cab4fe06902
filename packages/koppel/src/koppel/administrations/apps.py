from django.apps import AppConfig


class AdministrationsConfig(AppConfig):
    """Registers hooks of connections (imported companies, removal) and the bulk actions."""

    name = "koppel.administrations"
    label = "administrations"

    def ready(self) -> None:
        from koppel.administrations import wiring  # noqa: F401, PLC0415 - models must be loaded first
