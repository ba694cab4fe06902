from django.apps import AppConfig


class ConnectionsConfig(AppConfig):
    """Tells issues and notices the words of connections."""

    name = "koppel.connections"
    label = "connections"

    def ready(self) -> None:
        from koppel.connections import handover, words  # noqa: PLC0415 - after models

        words.register()
        handover.register()
