"""The event types of syncs."""

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from koppel.connections.event_types import ConnectionEvent
from koppel.notifications.event_types import EventCode, EventType
from koppel.sync.issue_types import SyncIssue

FAILURE_DELAY_SECONDS = 15 * 60.0
"""Delay before a failure is sent: a sync that succeeds within it is never reported as failed."""


class SyncEvent(EventCode):
    """Events of imports and syncs."""

    IMPORT_FINISHED = "import_finished"
    IMPORT_FAILED = "import_failed"
    SYNC_FAILING = "sync_failing"


EVENT_TYPES = (
    EventType(
        SyncEvent.IMPORT_FINISHED,
        ngettext_lazy(
            "The import of %(total)s administration is complete. Active: %(active)s. "
            "Needing attention: %(others)s.",
            "The import of %(total)s administrations is complete. Active: %(active)s. "
            "Needing attention: %(others)s.",
            "total",
        ),
        label=_("Import complete"),
        by_administration=True,
    ),
    EventType(
        SyncEvent.IMPORT_FAILED,
        ngettext_lazy(
            "The import of %(total)s administration failed.",
            "The import of %(total)s administrations failed. None could be read.",
            "total",
        ),
        label=_("Import failed"),
        by_administration=True,
    ),
    EventType(
        SyncEvent.SYNC_FAILING,
        _("The sync of %(name)s fails: %(reason)s"),
        plural_message=_("The syncs of %(count)s administrations of one connection fail: %(names)s"),
        label=_("Syncs fail"),
        by_administration=True,
        confirm_seconds=FAILURE_DELAY_SECONDS,
        superseded_by=(ConnectionEvent.LOST,),
        covers_issues=(
            SyncIssue.SYNC_FAILED,
            SyncIssue.NOT_CONSENTED,
            SyncIssue.SETUP_MISSING,
            SyncIssue.UNEXPECTED_RESPONSE,
        ),
    ),
)
