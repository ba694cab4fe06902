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
from koppel.sync.progress.dashboard import active_syncs, changes_since
from koppel.sync.progress.queries import progress_of
from koppel.sync.runs.services import request_for_connection, request_released

register_after_reconnect(request_for_connection)
register_stop(connection.stop_runs)
register_interrupt(connection.interrupt)
register_release(request_released)
register_on_recovery(connection.resume_waiting_runs)
extension_points.register_progress(progress_of)
extension_points.register_changes(changes_since)
extension_points.register_active_syncs(active_syncs)
extension_points.register_tab(extension_points.Tab("sync", _("Sync"), "sync:overview", 30))
lifecycle.register_stop_hook(administration.stop_syncs)
lifecycle.register_start_hook(administration.queue_first_sync)
lifecycle.register_erase_hook(administration.erase_sync_data)
bulk.register()
issue_types.register_issue_types()
