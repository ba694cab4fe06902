from django.apps import AppConfig


class SyncConfig(AppConfig):
    """Puts progress and the Sync tab on administrations, and tells issues and notices its words."""

    name = "koppel.sync"
    label = "sync"

    def ready(self) -> None:
        from koppel.sync import wiring  # noqa: F401, PLC0415 - models must be loaded first
