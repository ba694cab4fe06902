"""The actions that this app writes to the audit log."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction
from koppel.connections.models import TimelineKind


class AppRegistrationAction(AuditAction):
    """Actions on app registrations."""

    CHANGED = "app_registration.changed", _("changed an app registration")
    CREATED = "app_registration.created", _("registered an app")
    REMOVED = "app_registration.removed", _("removed an app registration")


class ConnectionAction(AuditAction):
    """Actions on connections and their companies."""

    COMPANY_CHANGE_RESOLVED = "company.change_resolved", _("reviewed a change in the accounting system")
    COMPANIES_HIDDEN = "connection.companies_hidden", _("hid companies from colleagues")
    COMPANIES_REMOVED = "connection.companies_removed", _("removed companies from the connection")
    COMPANIES_SHARED = "connection.companies_shared", _("shared companies with colleagues")
    COMPANY_ADDED = "connection.company_added", _("added a company to the connection")
    CONNECTED = "connection.connected", _("created the connection")
    IMPORT_POLICY_CHANGED = "connection.import_policy_changed", _("changed the import policy")
    OWNER_CHANGED = "connection.owner_changed", _("took over the connection")
    PAUSED = "connection.paused", _("paused the connection")
    PROBED = "connection.probed", _("tested the connection")
    RECONNECTED = "connection.reconnected", _("signed in again")
    REMOVED = "connection.removed", _("removed the connection")
    RESUMED = "connection.resumed", _("resumed the connection")
    SIGN_IN_REFUSED = "connection.sign_in_refused", _("was refused a sign-in with another account or company")
    TRANSFER_CANCELLED = "connection.transfer_cancelled", _("cancelled the ownership transfer")
    TRANSFER_REQUESTED = (
        "connection.transfer_requested",
        _("requested an ownership transfer of the connection"),
    )


class VaultAction(AuditAction):
    """Refused calls outside the consent, and key rotation."""

    CONSENT_SCOPE_REFUSED = "consent_scope.refused", _("was refused a call outside the consent")
    KEYS_ROTATED = "keys.rotated", _("re-encrypted the tokens with a new key")


def timeline_kind(action: ConnectionAction) -> TimelineKind:
    """Return the kind of the timeline event for the same action: the code without its subject."""
    return TimelineKind(action.value.partition(".")[2])


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *AppRegistrationAction,
    *ConnectionAction,
    *VaultAction,
)
