from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SyncConfig(AppConfig):
    """Puts progress and the Sync tab on administrations, and tells issues and notices its words."""

    name = "koppel.sync"
    label = "sync"

    def ready(self) -> None:
        from koppel.administrations.panels import Tab, register_progress, register_tab  # noqa: PLC0415 - after models
        from koppel.connections.services import register_after_reconnect  # noqa: PLC0415 - after models
        from koppel.sync import words  # noqa: PLC0415 - after models
        from koppel.sync.queries import progress_of  # noqa: PLC0415 - after models
        from koppel.sync.services import request_for_connection  # noqa: PLC0415 - after models

        register_after_reconnect(request_for_connection)
        register_progress(progress_of)
        register_tab(Tab("sync", _("Sync"), "sync:overview", 30))
        words.register()
