from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SyncConfig(AppConfig):
    """Puts progress and the Sync tab on administrations, and tells issues and notices its words."""

    name = "koppel.sync"
    label = "sync"

    def ready(self) -> None:
        from koppel.administrations import life, panels  # noqa: PLC0415 - after models
        from koppel.connections.dependants import (  # noqa: PLC0415 - after models
            register_interrupt,
            register_release,
            register_stop,
        )
        from koppel.connections.health import register_on_recovery  # noqa: PLC0415 - after models
        from koppel.connections.services import register_after_reconnect  # noqa: PLC0415 - after models
        from koppel.sync import bulk, endings, standstill, words  # noqa: PLC0415 - after models
        from koppel.sync.overview import changes_since, under_way  # noqa: PLC0415 - after models
        from koppel.sync.queries import progress_of  # noqa: PLC0415 - after models
        from koppel.sync.services import request_for_connection, request_released  # noqa: PLC0415 - after models

        register_after_reconnect(request_for_connection)
        register_stop(standstill.stop)
        register_interrupt(standstill.interrupt)
        register_release(request_released)
        register_on_recovery(standstill.wake)
        panels.register_progress(progress_of)
        panels.register_changes(changes_since)
        panels.register_under_way(under_way)
        panels.register_tab(panels.Tab("sync", _("Sync"), "sync:overview", 30))
        life.register_stop(endings.stop)
        life.register_begin(endings.begin)
        life.register_eraser(endings.erase)
        bulk.register()
        words.register()
