"""Puts progress and the Sync tab on administrations, and tells issues and notices its words.

Imported once, by `AppConfig.ready`."""

from django.utils.translation import gettext_lazy as _

from koppel.administrations.hooks import extension_points
from koppel.administrations.lifecycle import lifecycle
from koppel.connections.health.states import register_on_recovery
from koppel.connections.hooks import register_interrupt, register_release, register_stop
from koppel.connections.services import register_after_reconnect
from koppel.sync import issue_types
from koppel.sync.hooks import administration, bulk, connection
from koppel.sync.progress.dashboard import changes_since, under_way
from koppel.sync.progress.queries import progress_of
from koppel.sync.runs.services import request_for_connection, request_released

register_after_reconnect(request_for_connection)
register_stop(connection.stop)
register_interrupt(connection.interrupt)
register_release(request_released)
register_on_recovery(connection.wake)
extension_points.register_progress(progress_of)
extension_points.register_changes(changes_since)
extension_points.register_under_way(under_way)
extension_points.register_tab(extension_points.Tab("sync", _("Sync"), "sync:overview", 30))
lifecycle.register_stop(administration.stop)
lifecycle.register_begin(administration.begin)
lifecycle.register_eraser(administration.erase)
bulk.register()
issue_types.register()
