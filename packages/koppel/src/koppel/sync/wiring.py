"""Register the listeners of syncs, progress and a tab of administrations, a bulk action, issues and events.

Imported once, by `AppConfig.ready`.
"""

from django.urls import reverse
from django.utils.translation import pgettext_lazy

from koppel.administrations import hooks as administration_hooks
from koppel.administrations.bulk import bulk_actions
from koppel.administrations.hooks import Tab
from koppel.audit.hooks import audit_actions
from koppel.connections import hooks as connection_hooks
from koppel.issues.issue_types import issue_types
from koppel.kit.database.health.alarms import alarm_types
from koppel.kit.database.health.hooks import find_alarms
from koppel.notifications.event_types import event_types
from koppel.sync.alarm_types import ALARM_TYPES, find_run_alarms
from koppel.sync.audit_actions import AUDIT_ACTIONS
from koppel.sync.bulk_actions import SYNC_ACTION
from koppel.sync.event_types import EVENT_TYPES
from koppel.sync.issue_types import ISSUE_TYPES
from koppel.sync.listeners import administration, connection
from koppel.sync.progress.import_estimate import seconds_left_of_import
from koppel.sync.progress.queries import progress_of
from koppel.sync.progress.sync_activity import active_syncs, changes_since
from koppel.sync.runs.services import (
    request_first_runs,
    request_runs_after_confirmation,
    request_runs_after_reconnect,
)

connection_hooks.connection_reconnected.register(request_runs_after_reconnect)
connection_hooks.connection_recovered.register(connection.resume_waiting_runs)
connection_hooks.stop_runs.register(connection.stop_runs)
connection_hooks.restart_runs.register(connection.restart_runs)
connection_hooks.unblock_administrations.register(request_runs_after_confirmation)

administration_hooks.progress_of.register(progress_of)
administration_hooks.import_seconds_left.register(seconds_left_of_import)
administration_hooks.changes_since.register(changes_since)
administration_hooks.active_syncs.register(active_syncs)
administration_hooks.stop_syncs.register(administration.stop_syncs)
administration_hooks.queue_first_syncs.register(request_first_runs)
administration_hooks.erase_data.register(administration.erase_sync_data)
administration_hooks.tabs.register("sync", Tab(pgettext_lazy("tab", "Sync"), "sync:overview", 30))

for code, alarm_type in ALARM_TYPES.items():
    alarm_types.register(code, alarm_type)
find_alarms.register(find_run_alarms)

bulk_actions.register(SYNC_ACTION.code, SYNC_ACTION)
for action in AUDIT_ACTIONS:
    audit_actions.register(action.value, action)
for issue_type in ISSUE_TYPES:
    issue_types.register(issue_type.code, issue_type)
for event_type in EVENT_TYPES:
    event_types.register(event_type.code, event_type)


def _overview_url(administration_id: int) -> str:
    return reverse("sync:overview", args=[administration_id])


def _start_url(administration_id: int) -> str:
    return reverse("sync:now", args=[administration_id])


def _import_url(import_id: int) -> str:
    return reverse("imports:detail", args=[import_id])


administration_hooks.sync_url.register(_overview_url)
administration_hooks.start_sync_url.register(_start_url)
administration_hooks.import_progress_url.register(_import_url)
