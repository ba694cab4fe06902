from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Tells issues and notifications the words of connections."""

    name = "koppel.connections"
    label = "connections"

    def ready(self) -> None:
        from koppel.connections import wiring  # noqa: F401, PLC0415 - models must be loaded first
