"""The words of the audit trail's acts. The frame shows them; a test sees to it that no act lacks its words."""

from django.utils.translation import gettext_lazy as _

ACTS = {
    "administration.settings_changed": _("changed the settings"),
    "administration.sync_requested": _("asked for a sync"),
    "administration.unassigned": _("took a person off"),
    "administrations.active": _("activated administrations"),
    "administrations.assigned": _("assigned administrations"),
    "administrations.deactivated": _("deactivated administrations"),
    "administrations.imported": _("imported administrations"),
    "books.exported": _("exported books"),
    "app_registration.changed": _("changed an app registration"),
    "app_registration.made": _("registered an app"),
    "app_registration.removed": _("removed an app registration"),
    "connection.company_added": _("added a company to the connection"),
    "connection.company_forgotten": _("took companies off the connection's list"),
    "connection.connected": _("made the connection"),
    "connection.reconnected": _("signed in again"),
    "consent_scope.refused": _("was refused books that are not imported, or not theirs to see"),
    "division.changed": _("changed the division"),
    "division.made": _("made the division"),
    "notices.arranged": _("chose what to be told"),
    "organisation.changed": _("changed the organisation"),
    "person.added": _("added a person"),
    "person.changed": _("changed a person"),
    "template.changed": _("changed the template"),
    "template.made": _("made the template"),
    "token.made": _("made an API token"),
    "token.revoked": _("revoked an API token"),
}
