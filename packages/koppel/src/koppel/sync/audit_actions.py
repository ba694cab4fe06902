"""The actions that this app writes to the audit log."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class SyncAction(AuditAction):
    """Syncs that a person starts or cancels, and books that are normalised again."""

    SYNC_CANCELLED = "administration.sync_cancelled", _("stopped a sync")
    BOOKS_RENORMALISED = "administration.books_renormalised", _("normalised the stored books again")
    SYNC_REQUESTED = "administration.sync_requested", _("started a sync")
    BULK_SYNC_REQUESTED = "administrations.sync_requested", _("started a sync of several administrations")


AUDIT_ACTIONS: tuple[AuditAction, ...] = tuple(SyncAction)
