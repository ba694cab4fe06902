"""The actions that this app writes to the audit log."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class AdministrationAction(AuditAction):
    """Actions on one administration."""

    ACCESS_REFUSED = "administration.access_refused", _("was refused access to an administration")
    CLIENT_CONFIRMED = (
        "administration.client_confirmed",
        _("confirmed that a deregistered company is still a client"),
    )
    COMPANY_CONFIRMED = "administration.company_confirmed", _("confirmed that it is the same company")
    ERASED = "administration.erased", _("erased an administration")
    IDENTIFIED = "administration.identified", _("identified the company")
    IMPORT_CANCELLED = "administration.import_cancelled", _("cancelled an import")
    OFFBOARDED = "administration.offboarded", _("marked the client as left")
    OFFBOARDING_CANCELLED = "administration.offboarding_cancelled", _("marked the client as returned")
    PREDECESSOR_SET = "administration.predecessor_set", _("linked an earlier administration")
    REASSIGNED = (
        "administration.reassigned",
        _("gave users access to a restricted administration without active users"),
    )
    REGISTER_RESULT_ACKNOWLEDGED = (
        "administration.register_result_acknowledged",
        _("acknowledged a change in the register"),
    )
    REGISTER_VALUES_APPLIED = (
        "administration.register_values_applied",
        _("applied a change from the register"),
    )
    RESTRICTED = "administration.restricted", _("restricted the administration")
    SETTINGS_CHANGED = "administration.settings_changed", _("changed the settings")
    UNRESTRICTED = (
        "administration.unrestricted",
        _("lifted the restriction of the administration"),
    )
    SHARED_NUMBER_EXPLAINED = (
        "administration.shared_number_explained",
        _("gave the reason for a number that is used twice"),
    )
    WITHDRAWN = "administration.withdrawn", _("withdrew an import")


class BulkAuditAction(AuditAction):
    """Actions on many administrations at once."""

    ACTIVATED = "administrations.activated", _("activated administrations")
    ASSIGNED = "administrations.assigned", _("assigned administrations")
    CHANGED = "administrations.changed", _("updated administrations")
    DEACTIVATED = "administrations.deactivated", _("deactivated administrations")
    EXPORTED = "administrations.exported", _("exported the list of administrations")
    IMPORTED = "administrations.imported", _("imported administrations")
    MOVED = "administrations.moved", _("moved administrations to another connection")
    UNDONE = "administrations.undone", _("undid a bulk edit")


class IssueAction(AuditAction):
    """Actions on issues, in the log of their administration or connection."""

    ASSIGNED = "issue.assigned", _("assigned an issue")
    COMMENTED = "issue.commented", _("commented on an issue")
    DISMISSED = "issue.dismissed", _("dismissed an issue")
    REOPENED = "issue.reopened", _("reopened an issue")
    SNOOZED = "issue.snoozed", _("snoozed an issue")
    UNDONE = "issue.undone", _("undid a change to an issue")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *AdministrationAction,
    *BulkAuditAction,
    *IssueAction,
)
