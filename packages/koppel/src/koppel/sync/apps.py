from django.apps import AppConfig


class SyncConfig(AppConfig):
    """Registers the Sync tab, the progress column, and the issue and event types of syncs."""

    name = "koppel.sync"
    label = "sync"

    def ready(self) -> None:
        from koppel.sync import wiring  # noqa: F401, PLC0415 - models must be loaded first
