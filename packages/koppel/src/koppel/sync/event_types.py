"""The words of this app's events."""

from django.utils.translation import gettext_lazy as _

from koppel.notifications.event_types import EventType

CONFIRM_SECONDS = 15 * 60.0
"""A sync that succeeds by then never failed for anybody."""

EVENT_TYPES = {
    "import_finished": EventType(
        _("The import of %(total)s administrations is complete: %(active)s active, %(others)s need attention."),
        label=_("An import is complete"),
        by_administration=True,
    ),
    "import_failed": EventType(
        _("The import of %(total)s administrations failed: none of them could be read."),
        label=_("An import failed"),
        by_administration=True,
    ),
    "sync_failing": EventType(
        _("The sync of %(name)s fails: %(reason)s"),
        plural_message=_("The sync of %(count)s administrations of one connection fails: %(names)s"),
        label=_("Syncs fail"),
        by_administration=True,
        confirm_seconds=CONFIRM_SECONDS,
        covers_issues=("sync_failed", "not_consented", "setup_missing", "unexpected_response"),
    ),
}
