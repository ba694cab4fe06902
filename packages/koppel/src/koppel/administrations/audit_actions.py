"""The actions that this app writes to the audit log."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class AdministrationAction(AuditAction):
    """Actions on one administration."""

    COMPANY_CONFIRMED = "administration.company_confirmed", _("confirmed that it is the same company")
    ERASED = "administration.erased", _("erased an administration")
    IDENTIFIED = "administration.identified", _("said which company it is")
    IMPORT_CANCELLED = "administration.import_cancelled", _("cancelled an import")
    OFFBOARDED = "administration.offboarded", _("noted that the client left")
    OFFBOARDING_CANCELLED = "administration.offboarding_cancelled", _("noted that the client came back")
    PREDECESSOR_SET = "administration.predecessor_set", _("linked to an earlier administration")
    REASSIGNED = (
        "administration.reassigned",
        _("named somebody on a restricted administration that nobody saw"),
    )
    REGISTER_RESULT_ACKNOWLEDGED = (
        "administration.register_result_acknowledged",
        _("took note of what the register says"),
    )
    REGISTER_VALUES_APPLIED = "administration.register_values_applied", _("took over what the register says")
    RESTRICTED = "administration.restricted", _("restricted the administration")
    SETTINGS_CHANGED = "administration.settings_changed", _("changed the settings")
    UNRESTRICTED = (
        "administration.unrestricted",
        _("opened a restricted administration to all who may see it"),
    )
    WITHDRAWN = "administration.withdrawn", _("withdrew an import")


class BulkAuditAction(AuditAction):
    """Actions on many administrations at once."""

    ACTIVATED = "administrations.activated", _("activated administrations")
    ASSIGNED = "administrations.assigned", _("assigned administrations")
    CHANGED = "administrations.changed", _("set values of administrations")
    DEACTIVATED = "administrations.deactivated", _("deactivated administrations")
    EXPORTED = "administrations.exported", _("exported the list of administrations")
    IMPORTED = "administrations.imported", _("imported administrations")
    MOVED = "administrations.moved", _("moved administrations to another connection")
    UNDONE = "administrations.undone", _("undid bulk work")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *AdministrationAction,
    *BulkAuditAction,
)
