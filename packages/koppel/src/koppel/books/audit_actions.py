"""The actions that this app writes to the audit log."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class BooksAction(AuditAction):
    """Access to books, and exports."""

    ACCESSED = "books.accessed", _("opened the books")
    EXPORTED = "books.exported", _("exported books")


class SqlReaderAction(AuditAction):
    """Actions on SQL readers."""

    CREATED = "sql_reader.created", _("granted SQL access")
    REMOVED = "sql_reader.removed", _("revoked SQL access")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *BooksAction,
    *SqlReaderAction,
)
